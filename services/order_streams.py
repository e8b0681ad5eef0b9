"""Orders and fills as they change, for their owner: what holds now first, then every change, none skipped and none twice.

They follow the account's log (services/exchange_log.py): what this process missed, or a slow reader lost, is read from storage before the next one
is given. Only a reader that is too far behind to be told everything is ended, and told so.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing

from core.bus import Bus
from core.errors import ExpectedError, InvalidInput
from events.trading import (
    FillState,
    Logged,
    LoggedFill,
    LoggedOrder,
    OrderState,
)
from models import fill
from services.catalogue import Catalogue
from services.exchange_log import MOST_BEHIND, ExchangeHappened, ExchangeLog, Missed
from services.order_reads import OrderReads, fill_state
from services.read_marks import Reader, ReadMarks

MAX_SYMBOLS = 100
_RECENT_FILLS = 50


class EventsMissed(ExpectedError):
    """A reader is too far behind a stream that must not skip, which was therefore ended."""

    code = "EVENTS_MISSED"


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
        """Open orders in the order of their acceptance, then every state that any order takes on. Raises UnknownMarket, InvalidInput,
        EventsMissed."""
        wanted = self._checked(symbols)
        log = ExchangeLog(account, self._bus, self._marks)
        async with log.subscribe() as subscription:
            row = await self._reads.account(account, reader) or {}
            shown: dict[int, int] = {}
            for state in sorted(
                (await self._reads.orders(account, row.get("open", []), reader)).values(), key=lambda each: each.id
            ):
                if wanted(state.symbol):
                    shown[state.id] = state.sequence
                    self._marks.show(account, state.sequence, reader)
                    yield state
            async with aclosing(log.follow_on(subscription, row.get("logged", 0))) as events:
                async for happened in events:
                    event = _told(happened)
                    if not isinstance(event, LoggedOrder) or not wanted(event.order.symbol):
                        continue
                    if event.order.sequence > shown.get(event.order.id, 0):
                        shown.pop(event.order.id, None)
                        self._marks.show(account, event.order.sequence, reader)
                        yield event.order

    async def watch_fills(
        self, account: str, symbols: Sequence[str] | None, reader: Reader
    ) -> AsyncGenerator[FillState, None]:
        """The newest fill, then every one. Raises UnknownMarket, InvalidInput, EventsMissed."""
        wanted = self._checked(symbols)
        log = ExchangeLog(account, self._bus, self._marks)
        async with log.subscribe() as subscription:
            row = await self._reads.account(account, reader) or {}
            newest = row.get("fills", 0)
            recent = [fill_state(each) for each in await fill.between(account, newest - _RECENT_FILLS, newest + 1)]
            last = next((state for state in reversed(recent) if wanted(state.symbol)), None)
            if last is not None:
                self._marks.show(account, last.sequence, reader)
                yield last
            async with aclosing(log.follow_on(subscription, row.get("logged", 0))) as events:
                async for happened in events:
                    event = _told(happened)
                    if isinstance(event, LoggedFill) and event.fill.number > newest and wanted(event.fill.symbol):
                        self._marks.show(account, event.fill.sequence, reader)
                        yield event.fill

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


def _told(happened: ExchangeHappened | Missed) -> Logged:
    """What happened. Raises EventsMissed for a reader that is too far behind to be told all of it."""
    if isinstance(happened, Missed):
        raise EventsMissed(
            f"the reader is more than {MOST_BEHIND} events behind; read your orders by query and subscribe again"
        )
    return happened.event
