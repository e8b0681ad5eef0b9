"""The rules of markets as the exchange's core takes them, from those people read."""

from collections.abc import Mapping
from decimal import Decimal

from events.journal import MarketConfigured
from exchange.market import ATTO, PPM
from models.asset import AssetEntry
from models.market import MarketEntry
from services.catalogue import Catalogue


class ExchangeRules:
    """Gives every market's rules; the same object while they are the same."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._version = 0
        self._rules: list[MarketConfigured] = []

    def __call__(self) -> list[MarketConfigured]:
        if self._version != self._catalogue.version:
            known = {rules.symbol: rules for rules in self._rules}
            fresh = [market_rules(market, self._catalogue.assets) for market in self._catalogue.markets.values()]
            self._rules = [known[rules.symbol] if known.get(rules.symbol) == rules else rules for rules in fresh]
            self._version = self._catalogue.version
        return self._rules


def market_rules(market: MarketEntry, assets: Mapping[str, AssetEntry]) -> MarketConfigured:
    """One market's rules in ticks, lots and millionths: the least value is rounded up, fees and the band to millionths."""
    rules = market.rules
    tick, lot = _atto(rules.tick_size), _atto(rules.lot_size)
    return MarketConfigured(
        market.symbol,
        market.base,
        market.quote,
        assets[market.base].decimals,
        assets[market.quote].decimals,
        tick,
        lot,
        -(-_atto(rules.min_quantity) // lot),
        0 if rules.max_quantity is None else _atto(rules.max_quantity) // lot,
        -(-_atto(rules.min_notional) * ATTO // (tick * lot)),
        rules.max_open_orders,
        0 if rules.price_band is None else round(rules.price_band * PPM),
        round(rules.maker_fee * PPM),
        round(rules.taker_fee * PPM),
        bool(market.providers),
    )


def _atto(number: Decimal) -> int:
    return int(number.scaleb(18))
