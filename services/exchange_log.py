"""What the exchange did to one account, in order and without a gap: from storage, and as it is published.

It is published when the journal holds it, and stored a moment later. So what is missing between two messages, or was missed by the bus, is
there once the projection has reached it, and is waited for; then it is read.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from core.bus import Bus, BusGap, BusMessage, Subscription
from events import codec
from events.trading import (
    PROJECTION_TOPIC,
    AccountLogged,
    Logged,
    LoggedBalance,
    LoggedFill,
    ProjectionAdvanced,
    in_order,
    trading_topic,
)
from models import journal, projection, trading_account
from models.packs import MOST_IN_PACK, AccountLogDocument, overlapping
from services.trading_accounts import ReadMarks, read_row

MOST_BEHIND = 10_000
"""Events a reader may be behind; one that is further behind goes on from the newest."""
_AT_ONCE = 100
_WAITING = 256
"""Messages a reader may leave waiting; what comes then is read from storage."""


@dataclass(frozen=True, slots=True)
class ExchangeHappened:
    """An event, and its number in the account's log."""

    number: int
    event: Logged

    @property
    def sequence(self) -> int:
        """The place in the exchange's journal at which it is true."""
        if isinstance(self.event, LoggedFill):
            return self.event.fill.sequence
        return self.event.balance.sequence if isinstance(self.event, LoggedBalance) else self.event.order.sequence

    @property
    def time_ms(self) -> int:
        """When it happened."""
        if isinstance(self.event, LoggedFill):
            return self.event.fill.time_ms
        return self.event.balance.time_ms if isinstance(self.event, LoggedBalance) else self.event.order.updated_ms


@dataclass(frozen=True, slots=True)
class Missed:
    """A reader was too far behind: the events after `from_` up to `to` are not given, and it goes on behind them."""

    from_: int
    to: int


async def between(account: str, low: int, high: int) -> list[ExchangeHappened]:
    """Stored events low <= number < high, as far as they follow each other without a gap; the caller keeps the range narrow."""
    found = {
        event.number: event
        for pack in await overlapping(AccountLogDocument, account, low, high)
        for event in in_order(_logged(pack.payload))
    }
    events = []
    for number in range(low, high):
        if number not in found:
            break
        events.append(ExchangeHappened(number, found[number]))
    return events


async def number_at(account: str, sequence: int, newest: int) -> int:
    """The number, at most, of the first event at or after this sequence of the journal: a few numbers early, never late."""
    low, high = 1, newest + 1
    while high - low > MOST_IN_PACK:
        middle = (low + high) // 2
        packs = await overlapping(AccountLogDocument, account, middle, middle + 1)
        if packs and _logged(packs[0].payload).sequence < sequence:
            low = middle
        else:
            high = middle
    return low


async def newest(account: str) -> int:
    """The number of the newest event that the documents contain."""
    return read_row(account, await trading_account.by_id(account)).logged


class ExchangeLog:
    """Follows one account for one reader."""

    def __init__(self, account: str, bus: Bus, marks: ReadMarks) -> None:
        self._account = account
        self._bus = bus
        self._marks = marks
        self._seen = 0

    async def follow(self, after: int | None) -> AsyncGenerator[ExchangeHappened | Missed, None]:
        """Events after a number, or from now on, as they happen."""
        async with self.subscribe() as subscription:
            self._seen = await newest(self._account) if after is None else after
            async with aclosing(self.follow_on(subscription, self._seen, await _end_of_journal())) as events:
                async for happened in events:
                    yield happened

    def subscribe(self) -> Subscription:
        """What `follow_on` reads: to be opened before the documents are read that it goes on from."""
        return self._bus.subscribe(trading_topic(self._account), capacity=_WAITING)

    async def follow_on(
        self, subscription: Subscription, after: int, missing: int | None = None
    ) -> AsyncGenerator[ExchangeHappened | Missed, None]:
        """Events after a number. `missing`: up to this sequence of the journal there may be some that the subscription was not told of."""
        self._seen = after
        told = aiter(subscription)
        while True:
            if missing is not None:
                await _stored_up_to(missing, self._bus)
                async with aclosing(self._stored()) as events:
                    async for happened in events:
                        yield happened
            item = await anext(told, None)
            if item is None:
                return
            missing = await self._missing_before(item)
            if missing is None and isinstance(item, BusMessage) and isinstance(item.event, AccountLogged):
                for new in self._news(item.event):
                    yield new

    async def _missing_before(self, item: BusMessage | BusGap) -> int | None:
        """Up to which sequence of the journal something is missing before this item can be given; None: nothing."""
        if isinstance(item, BusGap):
            return await _end_of_journal()
        logged = item.event
        if isinstance(logged, AccountLogged) and logged.first > self._seen + 1:
            return logged.sequence
        return None

    def _news(self, logged: AccountLogged) -> list[ExchangeHappened]:
        """What a reader has not seen of a batch. It may read on at once: the documents are waited for where they are read."""
        events = [ExchangeHappened(each.number, each) for each in in_order(logged) if each.number > self._seen]
        if events:
            self._seen = events[-1].number
            self._marks.raise_to(self._account, logged.sequence)
        return events

    async def _stored(self) -> AsyncGenerator[ExchangeHappened | Missed, None]:
        """What storage has beyond what was seen, at the reader's pace."""
        while True:
            behind = await newest(self._account) - self._seen
            if behind > MOST_BEHIND:
                missed = Missed(self._seen, self._seen + behind)
                self._seen = missed.to
                yield missed
            events = await between(self._account, self._seen + 1, self._seen + 1 + _AT_ONCE)
            if not events:
                return
            for happened in events:
                self._seen = happened.number
                yield happened


async def _end_of_journal() -> int:
    """The sequence of the newest event of the journal."""
    mark = await projection.read_watermark()
    newest_batch = await journal.tail(mark.batch)
    return mark.sequence if newest_batch is None else max(mark.sequence, newest_batch.last_seq)


async def _stored_up_to(sequence: int, bus: Bus) -> None:
    """Wait until the documents hold everything up to here, however long the projection takes."""
    if (await projection.read_watermark()).sequence >= sequence:
        return
    async with bus.subscribe(PROJECTION_TOPIC, capacity=_WAITING) as subscription:
        reached = (await projection.read_watermark()).sequence
        told = aiter(subscription)
        while reached < sequence:
            item = await anext(told, None)
            if isinstance(item, BusMessage) and isinstance(item.event, ProjectionAdvanced):
                reached = max(reached, item.event.sequence)
            elif item is not None:
                reached = (await projection.read_watermark()).sequence
            else:
                return


def _logged(payload: bytes) -> AccountLogged:
    event = codec.decode(payload)
    if not isinstance(event, AccountLogged):
        raise TypeError(f"an account's log holds no {type(event).__name__}")
    return event
