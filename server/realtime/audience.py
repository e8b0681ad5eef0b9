"""Readers of the same bytes: written to in one loop, without a look at any of them, for as long as they read."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from server.realtime.sink import Framing

if TYPE_CHECKING:
    from server.realtime.following import Following


class Source(Protocol):
    """A topic, to those who have lost the thread."""

    def snapshot(self) -> "Event | None":
        """What holds now."""
        ...

    def event(self, item: object) -> "Event":
        """What it told before, once more."""
        ...


class Event(NamedTuple):
    """What happened on a topic."""

    topic: Source
    item: object
    payload: bytes
    """The response, without extensions."""


class Audience:
    """Those who follow the same topics of an execution over the same kind of connection."""

    def __init__(self, rest: Callable[["Audience"], None], topics: Sequence[Source], framing: Framing) -> None:
        """`rest`: calls `rested` when what comes need no longer wait for more."""
        self.followings: dict[Following, None] = {}
        self.sent = 0
        """Events so far; what keeps up has been written that many since it was admitted here."""
        self._rest = rest
        self._topics = topics
        self._framing = framing
        self._waiting: list[Event] = []
        self._resting = False
        self._keeping_up: dict[int, tuple[list[Callable[[bytes], None]], list[bytes]]] = {}
        """Ways to write and suffixes, by the suffix's length. Two lists, not one of pairs: pairs would lie all over the memory, which has to be fetched for each reader."""
        self._apart: list[Following] = []
        self._paid_until = 0
        """Of those that keep up, the first has paid for so many events of `sent`."""
        self._changed = False

    def admit(self, following: "Following") -> None:
        """A new reader: it gets what holds now, then what everybody gets."""
        self.flush()
        following.begin(self)
        for topic in self._topics:
            if (event := topic.snapshot()) is not None:
                following.deliver(event)
        if not following.ended.done():
            self.followings[following] = None
            self.change()

    def remove(self, following: "Following") -> None:
        """It gets no more."""
        self.followings.pop(following, None)
        self.change()

    def change(self) -> None:
        """Somebody came or left, began to keep up or stopped."""
        self._changed = True

    @property
    def behind(self) -> int:
        """Events that were not handed to some reader's connection yet."""
        return len(self._waiting) + sum(following.behind for following in self.followings)

    def send(self, event: Event) -> None:
        """Write an event: at once, or with all that come right after others."""
        if self._resting:
            self._waiting.append(event)
        else:
            self._write([event])

    def rested(self) -> None:
        """What has waited is written, and what comes next may be written at once when nothing has."""
        self._resting = False
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            events, self._waiting = self._waiting, []
            self._write(events)

    def _write(self, events: Sequence[Event]) -> None:
        if self._changed:
            self._sort()
        if self.sent + len(events) > self._paid_until:
            self._charge(len(events))
        self.sent += len(events)
        for length, (ways, suffixes) in self._keeping_up.items():
            heads = [self._framing.head(event.payload, length) for event in events]
            if len(heads) == 1:
                head = heads[0]
                for write, suffix in zip(ways, suffixes, strict=True):
                    write(head + suffix)
            else:
                for write, suffix in zip(ways, suffixes, strict=True):
                    write(suffix.join(heads) + suffix)
        for following in self._apart:
            for event in events:
                following.deliver(event)
        if not self._resting:
            self._resting = True
            self._rest(self)

    def _sort(self) -> None:
        """Tell those that keep up, whom nothing is looked at of, from the others."""
        self._changed = False
        self._keeping_up, self._apart = {}, []
        for following in self.followings:
            if following.keeps_up():
                ways, suffixes = self._keeping_up.setdefault(len(following.suffix), ([], []))
                ways.append(following.sink.write)
                suffixes.append(following.suffix)
            else:
                self._apart.append(following)
        self._paid_until = min((each.paid_until for each in self.followings if each.together), default=self.sent)

    def _charge(self, events: int) -> None:
        """Let those that keep up pay for so many more; who cannot is ended."""
        for following in tuple(self.followings):
            if following.together:
                following.pay_until(self.sent + events)
        if self._changed:
            self._sort()
        self._paid_until = min(
            (each.paid_until for each in self.followings if each.together), default=self.sent + events
        )
