"""A trading floor for tests: two markets, one of which rounds, and people with funds."""

from typing import Any

from core.order_vocabulary import OrderType, TrailingUnit
from core.vocabulary import OrderSide
from events.commands import ConfigureMarket, MoveFunds, OrderWish, PlaceOrder
from events.journal import Event, MarketConfigured
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.market import ATTO
from exchange.reply import Reply

EXACT = MarketConfigured(
    "ETH-USDT", "ETH", "USDT", base_scale=18, quote_scale=6, tick=ATTO // 100, lot=ATTO // 10_000, min_lots=1, max_lots=10**9,
    min_value=100, max_open_orders=50, band_ppm=0, maker_ppm=1000, taker_ppm=1500,
)  # fmt: skip
"""A tick times a lot is one unit of USDT."""
ROUNDING = MarketConfigured(
    "BTC-USD", "BTC", "USD", base_scale=8, quote_scale=2, tick=ATTO // 100, lot=ATTO // 100_000, min_lots=1, max_lots=0,
    min_value=1, max_open_orders=50, band_ppm=100_000, maker_ppm=1000, taker_ppm=1500,
)  # fmt: skip
"""A tick times a lot is a hundred-thousandth of a cent."""
SYMBOLS = (EXACT.symbol, ROUNDING.symbol)
FUNDS = {"ETH": 10**21, "USDT": 10**13, "BTC": 10**11, "USD": 10**10}
BUY, SELL = OrderSide.BUY, OrderSide.SELL


class Floor:
    """An exchange with people on it, and everything that happened there."""

    def __init__(self, *people: str) -> None:
        self.exchange = Exchange()
        self.events: list[Event] = []
        self.now_ms = 1_700_000_000_000
        self._keys = 0
        for rules in (EXACT, ROUNDING):
            self.exchange.execute(ConfigureMarket(rules), self.now_ms)
        for person in people:
            for asset, units in FUNDS.items():
                self.give(person, asset, units)
        self.collect()

    def give(self, person: str, asset: str, units: int) -> Reply:
        """Test funds."""
        key = self.key()
        return self.exchange.execute(
            MoveFunds(person, House.TEST_FUNDS, asset, units, key, f"digest of {key}"), self.now_ms
        )

    def key(self) -> str:
        """A client's key that was not used yet."""
        self._keys += 1
        return f"key-{self._keys}"

    def place(self, person: str, wish: OrderWish, key: str = "") -> Reply:
        """Place it, under a new key unless one is given."""
        key = key or self.key()
        reply = self.exchange.execute(PlaceOrder(person, key, f"digest of {wish}", wish), self.now_ms)
        self.collect()
        return reply

    def limit(self, person: str, side: OrderSide, price: int, lots: int, **more: Any) -> Reply:
        """A limit order on the exact market, in ticks and lots."""
        return self.place(person, wish(side, OrderType.LIMIT, lots=lots, price=price, **more))

    def collect(self) -> list[Event]:
        """What happened since."""
        new = self.exchange.take_events()
        self.events += new
        return new


def wish(
    side: OrderSide,
    kind: OrderType,
    *,
    lots: int | None = None,
    price: int | None = None,
    stop: int | None = None,
    display: int | None = None,
    trail: int | None = None,
    activation: int | None = None,
    unit: TrailingUnit = TrailingUnit.ABSOLUTE,
    rules: MarketConfigured = EXACT,
    **more: object,
) -> OrderWish:
    """An order, with prices in ticks, quantities in lots and shares in millionths."""

    def scaled(number: int | None, by: int) -> int | None:
        return None if number is None else number * by

    return OrderWish(
        rules.symbol, side, kind,
        quantity=scaled(lots, rules.lot), price=scaled(price, rules.tick), stop_price=scaled(stop, rules.tick),
        display_quantity=scaled(display, rules.lot), trail=scaled(trail, rules.tick if unit is TrailingUnit.ABSOLUTE else 1),
        trail_unit=unit, activation_price=scaled(activation, rules.tick), **more,  # type: ignore[arg-type]
    )  # fmt: skip
