"""Orders and fills as they change, for their owner: what holds now first, then every change, none skipped and none twice.

The account's log numbers everything that happens to it. Messages that this process missed, or that a slow reader lost, are read from
storage before the next one is given; where they cannot be read, the stream ends and says so.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from core.bus import Bus, BusGap, BusItem
from core.errors import ExpectedError, InvalidInput
from events.trading import (
    AccountLogged,
    FillState,
    Logged,
    LoggedFill,
    LoggedOrder,
    OrderState,
    in_order,
    trading_topic,
)
from models import fill
from services import trading_log
from services.catalogue import Catalogue
from services.order_reads import OrderReads, fill_state
from services.read_marks import Reader, ReadMarks

MAX_SYMBOLS = 100
_RECENT_FILLS = 50


class EventsMissed(ExpectedError):
    """Something happened that this process neither heard of nor can read yet, so a stream that must not skip was ended."""

    code = "EVENTS_MISSED"


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened, and the place in the journal that whoever is told of it has seen."""

    event: Logged
    sequence: int


class OrderStreams:
    """Streams for one account at a time."""

    def __init__(self, bus: Bus, marks: ReadMarks, reads: OrderReads, catalogue: Catalogue) -> None:
        self._bus = bus
        self._marks = marks
        self._reads = reads
        self._catalogue = catalogue

    async def watch_orders(
        self, account: str, symbols: Sequence[str] | None, reader: Reader
    ) -> AsyncGenerator[OrderState, None]:
        """Open orders in the order of their acceptance, then every state that any order takes on. Raises UnknownMarket, InvalidInput."""
        wanted = self._checked(symbols)
        async with self._bus.subscribe(trading_topic(account)) as subscription:
            told = aiter(subscription)
            row = await self._reads.account(account, reader) or {}
            shown: dict[int, int] = {}
            for state in sorted(
                (await self._reads.orders(account, row.get("open", []), reader)).values(), key=lambda each: each.id
            ):
                if wanted(state.symbol):
                    shown[state.id] = state.sequence
                    self._marks.show(account, state.sequence, reader)
                    yield state
            async with aclosing(self._following(account, told, row.get("logged", 0))) as events:
                async for happened in events:
                    event = happened.event
                    if not isinstance(event, LoggedOrder) or not wanted(event.order.symbol):
                        continue
                    if event.order.sequence > shown.get(event.order.id, 0):
                        shown.pop(event.order.id, None)
                        self._marks.show(account, happened.sequence, reader)
                        yield event.order

    async def watch_fills(
        self, account: str, symbols: Sequence[str] | None, reader: Reader
    ) -> AsyncGenerator[FillState, None]:
        """The newest fill, then every one. Raises UnknownMarket, InvalidInput."""
        wanted = self._checked(symbols)
        async with self._bus.subscribe(trading_topic(account)) as subscription:
            told = aiter(subscription)
            row = await self._reads.account(account, reader) or {}
            newest = row.get("fills", 0)
            recent = [fill_state(each) for each in await fill.between(account, newest - _RECENT_FILLS, newest + 1)]
            last = next((state for state in reversed(recent) if wanted(state.symbol)), None)
            if last is not None:
                self._marks.show(account, last.sequence, reader)
                yield last
            async with aclosing(self._following(account, told, row.get("logged", 0))) as events:
                async for happened in events:
                    event = happened.event
                    if isinstance(event, LoggedFill) and event.fill.number > newest and wanted(event.fill.symbol):
                        self._marks.show(account, happened.sequence, reader)
                        yield event.fill

    async def _following(self, account: str, told: AsyncIterator[BusItem], seen: int) -> AsyncGenerator[Told, None]:
        """Everything after number `seen` of the account's log, in order."""
        async for item in told:
            if isinstance(item, BusGap):
                row = await self._reads.account(account, Reader()) or {}
                logged: AccountLogged | None = None
                through = row.get("logged", 0)
            elif isinstance(item.event, AccountLogged):
                logged = item.event
                through = logged.first - 1
            else:
                continue
            if seen < through:
                async with aclosing(self._missed(account, seen, through, logged)) as missed:
                    async for event in missed:
                        seen = event.event.number
                        yield event
            for each in in_order(logged) if logged is not None else ():
                if each.number > seen:
                    seen = each.number
                    yield Told(each, _sequence(each))

    async def _missed(
        self, account: str, seen: int, through: int, logged: AccountLogged | None
    ) -> AsyncGenerator[Told, None]:
        if logged is not None:
            await self._marks.wait(account, logged.sequence)
        async with aclosing(trading_log.following(account, seen, through)) as events:
            async for event in events:
                seen = event.number
                yield Told(event, _sequence(event))
        if seen < through:
            raise EventsMissed(
                "some changes cannot be read at the moment; read your orders by query and subscribe again"
            )

    def _checked(self, symbols: Sequence[str] | None) -> Callable[[str], bool]:
        """Whether a market is watched."""
        if symbols is None:
            return lambda _: True
        if not 0 < len(symbols) <= MAX_SYMBOLS:
            raise InvalidInput(f"expected 1 to {MAX_SYMBOLS} symbols, got {len(symbols)}", field=["symbols"])
        for place, symbol in enumerate(symbols):
            self._catalogue.market(symbol, field=["symbols", str(place)])
        wanted: Collection[str] = frozenset(symbols)
        return wanted.__contains__


def _sequence(event: Logged) -> int:
    """The place in the journal at which an event is true."""
    if isinstance(event, LoggedOrder):
        return event.order.sequence
    return event.fill.sequence if isinstance(event, LoggedFill) else event.balance.sequence
