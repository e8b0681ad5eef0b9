"""Batched reads, per operation: many fields of one kind become one query."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal
from typing import TypeVar

from strawberry.dataloader import DataLoader

from core.vocabulary import HistoryRange
from events.trading import GroupState, OrderState
from services.market_reads import MarketDataReads
from services.order_reads import OrderReads
from services.read_marks import Reader

SparklineKey = tuple[str, HistoryRange, int]
OfAccount = tuple[str, int]
"""An account, and the id of something of it."""
State = TypeVar("State")


class Loaders:
    """The loaders of one operation."""

    def __init__(self, market_data: MarketDataReads, orders: OrderReads, reader: Reader) -> None:
        self._market_data = market_data
        self._reads = orders
        self._reader = reader
        self._sparklines: DataLoader[SparklineKey, list[Decimal]] = DataLoader(
            load_fn=self._load_sparklines,
            cache=False,  # the operation may be a subscription, whose every event reads anew
        )
        self._orders: DataLoader[OfAccount, OrderState | None] = DataLoader(load_fn=self._load_orders, cache=False)
        self._groups: DataLoader[OfAccount, GroupState | None] = DataLoader(load_fn=self._load_groups, cache=False)

    async def sparkline(self, symbol: str, span: HistoryRange, points: int) -> list[Decimal]:
        """Closing prices of one market, read together with all others this operation asks for."""
        return await self._sparklines.load((symbol, span, points))

    async def orders(self, account: str, ids: Collection[int]) -> dict[int, OrderState]:
        """Those of these orders that are the account's, by id, read together with all others this operation asks for."""
        found = await self._orders.load_many([(account, order_id) for order_id in ids])
        return {state.id: state for state in found if state is not None}

    async def group(self, account: str, group_id: int) -> GroupState | None:
        """A group of orders of the account, read as above."""
        return await self._groups.load((account, group_id))

    async def _load_orders(self, keys: list[OfAccount]) -> list[OrderState | BaseException | None]:
        return [*await self._by_account(keys, self._reads.orders)]

    async def _load_groups(self, keys: list[OfAccount]) -> list[GroupState | BaseException | None]:
        return [*await self._by_account(keys, self._reads.groups)]

    async def _by_account(
        self,
        keys: Sequence[OfAccount],
        read: Callable[[str, Collection[int], Reader], Awaitable[dict[int, State]]],
    ) -> list[State | None]:
        wanted: defaultdict[str, set[int]] = defaultdict(set)
        for account, id_ in keys:
            wanted[account].add(id_)
        found = {account: await read(account, ids, self._reader) for account, ids in wanted.items()}
        return [found[account].get(id_) for account, id_ in keys]

    async def _load_sparklines(self, keys: Sequence[SparklineKey]) -> list[list[Decimal] | BaseException]:
        return await self._market_data.sparklines(keys)
