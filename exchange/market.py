"""A market: what a tick and a lot are worth, what it accepts, and its two sides.

Arithmetic: an order's value is ticks times lots; `quote_up` and `quote_down` turn it into units of the quote asset. A market whose tick
times lot is no whole number of units rounds there, once per order and in the exchange's favour.
"""

from math import gcd

from core.vocabulary import OrderSide
from events.journal import MarketConfigured
from exchange.book import Side
from exchange.words import BUY, TRADING

ATTO = 10**18
"""Scale of the numbers in commands."""
PPM = 1_000_000


class Market:
    """Everything about one pair. `last` is the price of its own last trade in ticks, 0 before the first; `lot_units` are of the base asset,
    `quote_unit` is one unit of the quote asset in 10^-18; `rules` are what all this was taken from."""

    __slots__ = (
        "asks", "band_ppm", "base", "bids", "denominator", "fee_denominator", "has_reference", "last", "lot", "lot_units", "maker_ppm", "max_lots", "max_open_orders",
        "min_lots", "min_value", "numerator", "quote", "quote_unit", "rules", "status", "symbol", "taker_ppm", "tick",
    )  # fmt: skip

    def __init__(self, configured: MarketConfigured) -> None:
        self.symbol = configured.symbol
        self.status = TRADING
        self.bids = Side(-1)
        self.asks = Side(1)
        self.last = 0
        self.configure(configured)

    def configure(self, configured: MarketConfigured) -> None:
        """Take these rules. Those of a tick and a lot change only while no order is open; the caller has seen to that."""
        self.rules = configured
        self.base, self.quote = configured.base, configured.quote
        self.tick, self.lot = configured.tick, configured.lot
        self.lot_units: int = configured.lot * 10**configured.base_scale // ATTO
        self.quote_unit: int = ATTO // 10**configured.quote_scale
        unit = ATTO * self.quote_unit
        shared = gcd(self.tick * self.lot, unit)
        self.numerator: int = self.tick * self.lot // shared
        self.denominator: int = unit // shared
        self.fee_denominator: int = self.denominator * PPM
        self.min_lots, self.max_lots = configured.min_lots, configured.max_lots
        self.min_value = configured.min_value
        self.max_open_orders = configured.max_open_orders
        self.band_ppm = configured.band_ppm
        self.has_reference = configured.has_reference
        self.maker_ppm, self.taker_ppm = configured.maker_ppm, configured.taker_ppm

    def side(self, side: OrderSide) -> Side:
        """Where orders of this side rest."""
        return self.bids if side is BUY else self.asks

    def quote_up(self, value: int) -> int:
        """What a value costs, in units of the quote asset."""
        return -(-value * self.numerator // self.denominator)

    def quote_down(self, value: int) -> int:
        """What a value brings, in units of the quote asset."""
        return value * self.numerator // self.denominator

    def cost(self, value: int, ppm: int) -> int:
        """What a buyer pays for a value, and for a fee of so many millionths of it, in units of the quote asset."""
        numerator = self.numerator
        return -(-value * numerator // self.denominator) - (-value * ppm * numerator // self.fee_denominator)

    def fee(self, fee_value: int) -> int:
        """The fee of a value times millionths, rounded up."""
        return -(-fee_value * self.numerator // self.fee_denominator)
