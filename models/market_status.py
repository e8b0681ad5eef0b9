"""What each market accepts, as the exchange's journal said last."""

from beanie import Document
from pydantic import BaseModel

from core.vocabulary import MarketStatus
from models.base import replace_many


class MarketStatusEntry(BaseModel, frozen=True):
    """A market's status and since when, epoch milliseconds."""

    symbol: str
    status: MarketStatus
    since_ms: int


class MarketStatusDocument(Document):
    """One market's status under its symbol. A small collection, read whole into memory at start."""

    id: str  # type: ignore[assignment]
    entry: MarketStatusEntry

    class Settings:
        """Where it is kept."""

        name = "market_statuses"


async def all_statuses() -> dict[str, MarketStatusEntry]:
    """Of every market whose status ever changed, by symbol."""
    return {document.id: document.entry for document in await MarketStatusDocument.find_all().to_list()}


async def store_status(entry: MarketStatusEntry) -> None:
    """Write a market's status over what was stored."""
    await replace_many(MarketStatusDocument, [MarketStatusDocument(id=entry.symbol, entry=entry)])
