"""Who follows which shared subscription.

An execution is what all have in common who ask the same: its topics (a market of a stream) tell it what happens, and each event is encoded once. An audience is those of an
execution who follow the same topics over the same kind of connection: they get the same bytes, but for their own suffix. Nothing here waits: a reader that does not read is
dealt with by its `Following` (`following.py`).
"""

import asyncio
from collections.abc import Hashable
from contextlib import ExitStack
from weakref import WeakValueDictionary

from graph.broadcast import Broadcast
from graph.sharing import SharedStream, compact
from server.realtime.audience import Audience, Event
from server.realtime.following import Following
from server.realtime.sink import Framing, Sink

_KEPT_BYTES = 4_096
"""Longer responses are encoded again for a newcomer: what somebody asks for must not decide how much is kept."""
BATCH_SECONDS = 0.005
"""What comes within so much of the last frames is written together."""


class Hub:
    """The shared subscriptions of a process."""

    def __init__(self) -> None:
        self._executions: dict[Hashable, Execution] = {}
        self._shown: WeakValueDictionary[Hashable, Shown] = WeakValueDictionary()
        self._written: list[Audience] = []

    def follow(self, stream: SharedStream, sink: Sink, framing: Framing, suffix: bytes) -> Following:
        """Begin to send, what holds now first. It goes on until `Following.leave`, or until `Following.ended` says why it could not."""
        execution = self._executions.get(stream.key)
        if execution is None:
            execution = self._executions[stream.key] = Execution(self, stream)
        return execution.admit(stream, sink, framing, suffix)

    def shown(self, broadcast: Broadcast[object, object], key: Hashable) -> "Shown":
        """What all executions show of a key of the same stream."""
        shown = self._shown.get((broadcast.about, key))
        if shown is None:
            shown = self._shown[broadcast.about, key] = Shown(broadcast)
        return shown

    def forget(self, key: Hashable) -> None:
        """Nobody follows this execution any more."""
        del self._executions[key]

    def rest(self, audience: Audience) -> None:
        """An audience was written to: it rests, from the moment on when the loop has handed its frames to the kernel."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._begin_rest)
        self._written.append(audience)

    def _begin_rest(self) -> None:
        written, self._written = self._written, []
        asyncio.get_running_loop().call_later(BATCH_SECONDS, _end_rest, written)

    def __len__(self) -> int:
        """Executions under way."""
        return len(self._executions)


class Shown:
    """The newest item of a key, as an object of the schema: made once for all operations that select of it."""

    def __init__(self, broadcast: Broadcast[object, object]) -> None:
        self._broadcast = broadcast
        self._item: object = None
        self._version: object = None
        self._shown: object = None

    def of(self, item: object) -> object:
        """The object of this item as it is to be shown now; the very same one while nothing has changed."""
        version = self._broadcast.version(item)
        if self._item is not item or self._version != version:
            self._item, self._version, self._shown = item, version, self._broadcast.show(item)
        return self._shown


class Topic:
    """A key of a live value, as an execution watches it: what is put in is encoded and handed on at once."""

    __slots__ = ("_execution", "_key", "_newest", "_shown", "audiences")

    def __init__(self, execution: "Execution", key: Hashable) -> None:
        self.audiences: list[Audience] = []
        self._execution = execution
        self._key = key
        self._shown = execution.hub.shown(execution.stream.broadcast, key)
        self._newest: tuple[object, bytes] = (None, b"")
        """What was shown last, and its bytes."""

    def put(self, item: object) -> None:
        """What happened."""
        try:
            event = self.event(item)
        except Exception as error:  # noqa: BLE001 - it is told to those who follow, and to nobody else
            self.fail(error)
            return
        for audience in tuple(self.audiences):
            audience.send(event)

    def snapshot(self) -> Event | None:
        """What holds now; None: not known."""
        live = self._execution.stream.broadcast.live
        item = live.current(self._key)
        return None if item is None else self.event(item)

    def event(self, item: object) -> Event:
        """An item as those who follow are told of it."""
        return Event(self, item, self._encoded(item))

    def fail(self, error: Exception) -> None:
        """Nothing more comes, because of this."""
        for audience in tuple(self.audiences):
            for following in tuple(audience.followings):
                following.end(error)

    def __len__(self) -> int:
        return sum(audience.behind for audience in self.audiences)

    @property
    def readers(self) -> int:
        return sum(len(audience.followings) for audience in self.audiences)

    def _encoded(self, item: object) -> bytes:
        shown = self._shown.of(item)
        if self._newest[0] is shown:
            return self._newest[1]
        payload = self._execution.stream.encode(shown)
        if len(payload) <= _KEPT_BYTES:
            self._newest = (shown, compact(payload))
        return payload


class Execution:
    """One operation, executed once for everybody who follows it."""

    def __init__(self, hub: Hub, stream: SharedStream) -> None:
        self.hub = hub
        self.stream = stream
        self._topics: dict[Hashable, Topic] = {}
        self._audiences: dict[Hashable, Audience] = {}
        self._held = ExitStack()
        self._held.enter_context(stream.broadcast.live.hold())

    def admit(self, stream: SharedStream, sink: Sink, framing: Framing, suffix: bytes) -> Following:
        """Let somebody follow the topics of their own stream, which is of this execution."""
        keys = stream.broadcast.live.keys
        audience = self._audiences.get((keys, framing))
        if audience is None:
            topics = [self._topic(key) for key in keys]
            audience = self._audiences[keys, framing] = Audience(self.hub.rest, topics, framing)
            for topic in topics:
                topic.audiences.append(audience)
        following = Following(stream, sink, framing, suffix, on_leave=lambda: self._left(keys, framing))
        try:
            audience.admit(following)
        except BaseException:
            following.leave()
            raise
        return following

    def _topic(self, key: Hashable) -> Topic:
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic(self, key)
            self.stream.broadcast.live.watchers.add(key, topic)
        return topic

    def _left(self, keys: tuple[Hashable, ...], framing: Framing) -> None:
        """Free what nobody needs any more."""
        audience = self._audiences[keys, framing]
        if audience.followings:
            return
        del self._audiences[keys, framing]
        for key in keys:
            topic = self._topics[key]
            topic.audiences.remove(audience)
            if not topic.audiences:
                del self._topics[key]
                self.stream.broadcast.live.watchers.remove(key, topic)
        if not self._audiences:
            self.hub.forget(self.stream.key)
            self._held.close()


def _end_rest(audiences: list[Audience]) -> None:
    for audience in audiences:
        audience.rested()
