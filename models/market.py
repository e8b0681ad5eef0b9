"""Markets: a pair that can be watched and traded, its rules, and the names its price sources use."""

from collections.abc import Sequence

from beanie import Document
from pydantic import BaseModel

from core.money import StoredDecimal
from core.vocabulary import MarketStatus, PriceSource
from models.base import replace_many


class MarketRulesEntry(BaseModel, frozen=True):
    """Prices in quote, quantities in base, fees and band as fractions (0.001 is 0.1 %)."""

    tick_size: StoredDecimal
    lot_size: StoredDecimal
    min_quantity: StoredDecimal
    max_quantity: StoredDecimal | None
    min_notional: StoredDecimal
    max_open_orders: int
    price_band: StoredDecimal | None
    maker_fee: StoredDecimal
    taker_fee: StoredDecimal


class MarketEntry(BaseModel, frozen=True):
    """One market, BASE-QUOTE. `providers` maps a price source to its own name of the pair."""

    symbol: str
    base: str
    quote: str
    status: MarketStatus
    rules: MarketRulesEntry
    providers: dict[PriceSource, str]
    simulated_price: StoredDecimal
    """Where the simulated feed starts, in quote; never shown as a price of anything else."""


class MarketDocument(Document):
    """One market under its symbol. A small collection, read whole into memory at start."""

    id: str  # type: ignore[assignment]
    market: MarketEntry

    class Settings:
        """Where it is kept."""

        name = "markets"


async def all_markets() -> list[MarketEntry]:
    """Every market, in no order."""
    return [document.market for document in await MarketDocument.find_all().to_list()]


async def replace_markets(markets: Sequence[MarketEntry]) -> None:
    """Write these markets over what was stored under their symbols."""
    await replace_many(MarketDocument, [MarketDocument(id=market.symbol, market=market) for market in markets])
