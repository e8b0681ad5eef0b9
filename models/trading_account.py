"""What an account has and how far its lists reach: one row per account, written by the projection alone.

A row: `_id` account; `sequence`; `frozen`; `maker_ppm`, `taker_ppm` (None: the market's); `balances` by asset `{available, held}`; `open`
ids of open orders; `timers` `[{owner, expires_ms, symbols}]`; `positions` by asset (`services/cost_basis.py`); `holds`
by asset: what its open orders and groups hold, added up by themselves; `volumes` by day since the epoch and quote asset
(`services/fee_tiers.py`); `orders`, `fills`, `lines`,
`logged`: the highest number of each list.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from beanie import Document

from models.base import put_newer_rows

Row = Mapping[str, Any]


class TradingAccountDocument(Document):
    """One account."""

    id: str  # type: ignore[assignment]
    sequence: int

    class Settings:
        """Where it is kept."""

        name = "trading_accounts"


async def put_accounts(rows: Sequence[Row]) -> None:
    """Store these states, unless newer ones are stored."""
    await put_newer_rows(TradingAccountDocument, rows)


async def by_id(account: str) -> Row | None:
    """One account; None: nothing ever happened on it."""
    row: Row | None = await TradingAccountDocument.get_pymongo_collection().find_one({"_id": account})
    return row


async def everybody() -> AsyncIterator[Row]:
    """All accounts, the house's included; for audits."""
    async for row in TradingAccountDocument.get_pymongo_collection().find({}):
        yield row
