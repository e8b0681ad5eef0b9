"""Orders, their groups and fills as their owner reads them: by id, by the client's key, and of one another.

Everything here waits until the documents hold what the reader was shown (services/read_marks.py). What is somebody else's is as nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any

from core.rows import Rows
from events.trading import FillState, GroupState, OrderState
from models import client_key, fill, order, order_group, trading_account
from services.read_marks import Reader, ReadMarks

Row = Mapping[str, Any]
_AT_ONCE = 500
_ORDERS = Rows(OrderState)
_GROUPS = Rows(GroupState)
_FILLS = Rows(FillState)


def order_state(row: Row) -> OrderState:
    """The order of a stored row."""
    return _ORDERS.read(row)


def fill_state(row: Row) -> FillState:
    """The fill of a stored row."""
    return _FILLS.read(row)


class OrderReads:
    """Reads for one account at a time."""

    def __init__(self, marks: ReadMarks) -> None:
        self._marks = marks

    async def orders(self, account: str, ids: Collection[int], reader: Reader) -> dict[int, OrderState]:
        """Those of these orders that are the account's, by id."""
        await self._marks.ready(account, reader)
        wanted = sorted(set(ids))
        found: dict[int, OrderState] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            for row in await order.by_ids(wanted[start : start + _AT_ONCE]):
                if row["account"] == account:
                    found[row["_id"]] = order_state(row)
        return found

    async def groups(self, account: str, ids: Collection[int], reader: Reader) -> dict[int, GroupState]:
        """Those of these groups that are the account's, by id; few."""
        await self._marks.ready(account, reader)
        rows = await order_group.by_ids(set(ids))
        return {row["_id"]: _GROUPS.read(row) for row in rows if row["account"] == account}

    async def fills(self, account: str, ids: Collection[int], reader: Reader) -> dict[int, FillState]:
        """Those of these fills that are the account's, by id; few."""
        await self._marks.ready(account, reader)
        rows = await fill.by_ids(set(ids))
        return {row["_id"]: fill_state(row) for row in rows if row["account"] == account}

    async def order(self, account: str, order_id: int, reader: Reader) -> OrderState | None:
        """An order of the account."""
        return (await self.orders(account, [order_id], reader)).get(order_id)

    async def group(self, account: str, group_id: int, reader: Reader) -> GroupState | None:
        """A group of the account."""
        return (await self.groups(account, [group_id], reader)).get(group_id)

    async def order_of_key(self, account: str, key: str, reader: Reader) -> OrderState | None:
        """The order that was placed under a client's key."""
        used = await self.made_by(account, key, reader)
        return None if used is None else await self.order(account, used[1], reader)

    async def group_of_key(self, account: str, key: str, reader: Reader) -> GroupState | None:
        """The group that was placed under a client's key."""
        used = await self.made_by(account, key, reader)
        return None if used is None else await self.group(account, used[1], reader)

    async def made_by(self, account: str, key: str, reader: Reader) -> tuple[str, int] | None:
        """The digest that a client's key was used for, and the sequence it led to; None: not used, or not written yet."""
        await self._marks.ready(account, reader)
        return (await client_key.find_keys([(account, key)])).get((account, key))

    async def account(self, account: str, reader: Reader) -> Row | None:
        """What is stored about the account as a whole (models/trading_account.py)."""
        await self._marks.ready(account, reader)
        return await trading_account.by_id(account)
