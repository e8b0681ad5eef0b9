"""What an account has and how far its lists reach: one row per account, written by the projection alone.

A row: `_id` account; `sequence`; `frozen`; `maker_ppm`, `taker_ppm` (None: the market's); `balances` by asset `{available, held}`; `open`
ids of open orders; `timers` `[{owner, expires_ms, symbols}]`; `positions` by asset (`services/cost_basis.py`); `holds`
by asset: what its open orders and groups hold, added up by themselves; `debts` by asset: what is owed after deposits were reversed;
`withdrawals` `[{id, asset, amount}]`: what open withdrawals hold; `volumes` by day since the epoch and quote asset
(`services/fee_tiers.py`); `orders`, `fills`, `lines`,
`logged`: the highest number of each list.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from beanie import Document
from pymongo.asynchronous.client_session import AsyncClientSession

from models.base import packed, renew_rows, unpacked

Row = Mapping[str, Any]


class TradingAccountDocument(Document):
    """One account; `payload` is its row, packed: its many numbers cost the embedded engine more than all the rest."""

    id: str  # type: ignore[assignment]

    class Settings:
        """Where it is kept."""

        name = "trading_accounts"


async def renew_accounts(rows: Sequence[Row], session: AsyncClientSession) -> None:
    """Write the newest states of accounts."""
    await renew_rows(TradingAccountDocument, [packed(row) for row in rows], session)


async def by_id(account: str) -> Row | None:
    """One account; None: nothing ever happened on it."""
    row = await TradingAccountDocument.get_pymongo_collection().find_one({"_id": account})
    return None if row is None else unpacked(row)


async def everybody() -> AsyncIterator[Row]:
    """All accounts, the house's included; for audits."""
    async for row in TradingAccountDocument.get_pymongo_collection().find({}):
        yield unpacked(row)
