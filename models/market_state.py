"""How far a market's stored history reaches, per series, and which sequence numbers may have been given out."""

from collections.abc import Collection, Mapping, Sequence

from beanie import Document
from pydantic import BaseModel, Field

from core.vocabulary import CandleInterval, Series
from models.base import replace_rows


class MarketHistoryState(BaseModel):
    """What a reader or a restarted worker must know; written after the rows it speaks of.

    `trades_through`: trades up to this sequence are stored (or lost for good). `candles_through`: trades up to it are in stored
    candles. `complete_until_ms`: every trade before it was seen or fetched; None: nothing yet. `earliest` and `latest`: open times
    of the outermost stored candles. `trade_marks`: first sequence of each hour (epoch milliseconds as text) that may still be stored.
    """

    series: Series
    symbol: str
    trades_through: int = 0
    candles_through: int = 0
    complete_until_ms: int | None = None
    earliest: dict[CandleInterval, int] = Field(default_factory=dict)
    latest: dict[CandleInterval, int] = Field(default_factory=dict)
    trade_marks: dict[str, int] = Field(default_factory=dict)


class MarketStateDocument(Document):
    """One series and market under `series:symbol`; read and written by id."""

    id: str  # type: ignore[assignment]
    state: MarketHistoryState

    class Settings:
        """Where it is kept."""

        name = "market_states"


class SequenceDocument(Document):
    """One counter under its name: every number below `next` may have been given out."""

    id: str  # type: ignore[assignment]
    next: int

    class Settings:
        """Where it is kept."""

        name = "sequences"


async def read_state(series: Series, symbol: str) -> MarketHistoryState:
    """The state of one series and market; a fresh one where nothing is stored."""
    row = await MarketStateDocument.get_pymongo_collection().find_one({"_id": _id(series, symbol)})
    return MarketHistoryState(series=series, symbol=symbol) if row is None else MarketHistoryState(**row["state"])


async def write_states(states: Sequence[MarketHistoryState]) -> None:
    """Store these states, in one round trip."""
    if states:
        await replace_rows(
            MarketStateDocument,
            [{"_id": _id(s.series, s.symbol), "state": s.model_dump(mode="json")} for s in states],
        )


async def read_sequences(names: Collection[str]) -> dict[str, int]:
    """The counters' next numbers; a counter never stored is absent."""
    cursor = SequenceDocument.get_pymongo_collection().find({"_id": {"$in": list(names)}})
    return {row["_id"]: row["next"] async for row in cursor}


async def write_sequences(numbers: Mapping[str, int]) -> None:
    """Store the counters' next numbers, in one round trip."""
    if numbers:
        await replace_rows(SequenceDocument, [{"_id": name, "next": number} for name, number in numbers.items()])


def _id(series: Series, symbol: str) -> str:
    return f"{series}:{symbol}"
