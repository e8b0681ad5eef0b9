"""One reader of a shared subscription: what it has paid for, what it is owed, and why it ends."""

import asyncio
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from core.channel import ReaderTooSlow
from graph.answering import OutOfPoints
from graph.sharing import SharedStream
from server.realtime.audience import Event, Source
from server.realtime.sink import Framing, Sink

if TYPE_CHECKING:
    from server.realtime.audience import Audience

_PAID_AHEAD = 32
"""Events that are paid for together; those that are not shown are paid back."""


class Following:
    """While it keeps up its audience writes to it, unseen; otherwise every event comes here."""

    def __init__(
        self, stream: SharedStream, sink: Sink, framing: Framing, suffix: bytes, *, on_leave: Callable[[], None]
    ) -> None:
        self.sink = sink
        self.suffix = suffix
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Why nothing comes any more."""
        self.together = False
        """Whether the audience writes to it; only then `paid_until` counts."""
        self.paid_until = 0
        self._live = stream.broadcast.live
        self._account = stream.account
        self._extensions: bytes | None = stream.extensions
        self._framing = framing
        self._on_leave = on_leave
        self._audience: Audience | None = None
        self._newest: dict[Hashable, tuple[Source, object]] = {}
        self._every: list[tuple[Source, object]] = []
        self._lost_thread: Source | None = None
        self._left = False

    def begin(self, audience: "Audience") -> None:
        """From now on it is delivered to."""
        self._audience = audience
        self.sink.watchers[self] = self._pace_changed

    def leave(self) -> None:
        """It gets nothing any more, not even what waits. Once more is harmless."""
        if self._left or self._audience is None:
            return
        self._left = True
        self._settle()
        self._newest.clear()
        self._every.clear()
        self.sink.watchers.pop(self, None)
        self._audience.remove(self)
        self._on_leave()

    def end(self, error: Exception) -> None:
        """It ends with this."""
        if not self.ended.done():
            self.ended.set_result(error)
        self.leave()

    def keeps_up(self) -> bool:
        """Whether the audience may write to it from here on."""
        together = not (self.sink.paused or self.behind or self._extensions is not None)
        if together and not self.together:
            self.paid_until = self._sent
        elif self.together and not together:
            self._settle()
        self.together = together
        return together

    def pay_until(self, sent: int) -> None:
        """Have paid for the audience's events up to this number, or end."""
        owed = sent - self.paid_until
        if owed <= 0:
            return
        ahead = max(owed, _PAID_AHEAD)
        if self._account.take(ahead).granted:
            self.paid_until += ahead
        elif (allowance := self._account.take(owed)).granted:
            self.paid_until += owed
        else:
            self.end(OutOfPoints(self._account.points * owed, allowance))

    def deliver(self, event: Event) -> None:
        """An event that the audience does not write itself: sent, or kept for when it reads again."""
        if self._left:
            return
        if self.sink.paused or self.behind:
            self._keep(event)
        else:
            self._send(event)

    @property
    def behind(self) -> int:
        """Events that are kept for it."""
        return len(self._newest) + len(self._every) + (self._lost_thread is not None)

    @property
    def _sent(self) -> int:
        return 0 if self._audience is None else self._audience.sent

    def _keep(self, event: Event) -> None:
        """For when it reads again. Items are kept, which all readers share, and no bytes."""
        if self._live.restarts:
            if self._lost_thread is not None:
                self._live.lost(1)
            self._lost_thread = event.topic
        elif self._live.place is not None:
            place = (event.topic, self._live.place(event.item))
            if self._newest.pop(place, None) is not None:
                self._live.lost(1)
            self._newest[place] = (event.topic, event.item)
        elif len(self._every) < self._live.capacity:
            self._every.append((event.topic, event.item))
        else:
            self._live.lost(len(self._every) + 1)
            self.end(ReaderTooSlow("the reader fell too far behind; subscribe again and read what was missed by query"))

    def _send(self, event: Event) -> None:
        allowance = self._account.take(1)
        if not allowance.granted:
            self.end(OutOfPoints(self._account.points, allowance))
            return
        payload = event.payload
        if self._extensions is not None:
            payload = b"".join((payload[:-1], b',"extensions":', self._extensions, b"}"))
            self._extensions = None
            self._change()
        self.sink.write(self._framing.head(payload, len(self.suffix)) + self.suffix)

    def _pace_changed(self) -> None:
        """The connection takes more again, or no more: what the audience is about to write comes before what is kept."""
        self._change()
        if self._audience is not None and self.behind and not self.sink.paused:
            self._audience.flush()
        try:
            while self.behind and not (self.sink.paused or self._left):
                if (event := self._kept()) is not None:
                    self._send(event)
        except Exception as error:  # noqa: BLE001 - what cannot be shown ends this reader alone
            self.end(error)

    def _kept(self) -> Event | None:
        """Take what is to be told next."""
        if self._lost_thread is not None:
            topic, self._lost_thread = self._lost_thread, None
            return topic.snapshot()
        topic, item = self._newest.pop(next(iter(self._newest))) if self._newest else self._every.pop(0)
        return topic.event(item)

    def _change(self) -> None:
        if self._audience is not None:
            self._audience.change()

    def _settle(self) -> None:
        """Get back what was paid for events that are not written by the audience."""
        if self.together:
            self.together = False
            self._account.give_back(self.paid_until - self._sent)
            self.paid_until = self._sent
