"""The bus between processes, over Redis pub/sub, with the promises of `core/bus.py`.

Where a message goes. Subscriptions of the publishing process receive the very object at once, without Redis; what the server echoes
to its publisher is dropped. So each subscription receives it once, in the publisher's order, and a process alone goes on while the
server is away. Other processes receive through one reader connection per process; their subscriptions share it.

When something was lost. A topic that nobody in this process read before is joined when the server confirms it: its subscriptions then
receive a BusGap, for what others published until then. The same happens on every topic after each reconnect. What a publisher gave up
(its outbox overflowed while the server was away) arrives as a mark in its place and becomes a BusGap; so does any hole in its numbers.
A message sent again because the server's answer was lost is recognised by its number and dropped.

How many travel together. Neighbours that wait on one topic are one message to the server (core/bus_numbers.py): one seal, one number to begin with. Readers see no difference.

What is believed. A message lies behind a seal (core/message_seal.py) over its channel, the time it was sent, and itself. What is not sealed so is counted and passed
over. One that was sent long ago and was not seen here becomes a BusGap: somebody may have kept it to play it to a process that starts later.

Limits. A process that dies takes the messages it has not sent with it, unmarked: whoever takes up its work begins with its state. A
message that cannot be decoded (of a newer version, during a rolling update) is counted, logged and skipped; asking again would not help.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from core.backoff import Backoff
from core.bus import DEFAULT_CAPACITY, BusGap, BusHealth, BusMessage, Subscription, SubscriptionRegistry
from core.bus_numbers import Envelope, Inbox, Outbox, Verdict, from_wire, runs, to_wire
from core.clock import Clock
from core.message_seal import SEAL_BYTES, MessageSeal
from core.redis_client import REDIS_ERRORS, connect
from core.redis_wire import RedisWire
from core.request_id import current_request_id

log = structlog.get_logger(__name__)

OUTBOX_CAPACITY = 10_000
"""Messages that wait while the server is away; more are given up."""
BATCH = 500
"""Messages sent before the server's answers are read."""
TIMEOUT_SECONDS = 2.0
"""Limit of connecting, of one command, and of the last sending at the end."""
SILENCE_SECONDS = 5.0
"""A reader that hears nothing for so long asks whether the server is there, and after as long again reconnects."""
STEADY_SECONDS = 5.0
"""A connection that lasted so long was a success: the next try after it comes soon."""
MOST_AGE_MS = 30_000
"""A message may be on its way for so long, different clocks included."""

Encode = Callable[[object], bytes]
Decode = Callable[[bytes], object]
"""Raises ValueError for bytes that are no event known here."""


class _Readers(SubscriptionRegistry):
    """Subscriptions of this process, and which topics began or ceased to be read since last asked."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self.changed = asyncio.Event()
        self._touched: set[str] = set()
        self._inbox = inbox

    def add(self, topics: tuple[str, ...], capacity: int) -> Subscription:
        subscription = super().add(topics, capacity)
        self._touch(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        super().remove(subscription)
        for topic in subscription.topics:
            if not self.reads(topic):
                self._inbox.forget(topic)
        self._touch(subscription)

    def reads(self, topic: str) -> bool:
        """Whether somebody in this process reads it."""
        return topic in self._by_topic

    def take_touched(self) -> set[str]:
        """Topics whose readers changed since the last call."""
        self.changed.clear()
        touched, self._touched = self._touched, set()
        return touched

    def _touch(self, subscription: Subscription) -> None:
        self._touched |= subscription.topics
        self.changed.set()


class RedisBus:
    """A `core.bus.Bus` that reaches every process on the same server and namespace.

    `publisher` is this process' id, new at each start (`core.ids.random_id`). Counters for metrics: `lost` (messages this process gave
    up), `undecodable` (messages of others it could not read), `reconnects` (of its reader).
    """

    def __init__(
        self,
        url: str,
        *,
        encode: Encode,
        decode: Decode,
        publisher: str,
        clock: Clock,
        seal: MessageSeal,
        namespace: str = "cryptovault",
        outbox_capacity: int = OUTBOX_CAPACITY,
    ) -> None:
        self._client = connect(url, max_connections=8)
        self._encode = encode
        self._decode = decode
        self._publisher = publisher
        self._seal = seal
        self._clock = clock
        self._prefix = f"{namespace}:bus:"
        self._outbox = Outbox(publisher, outbox_capacity)
        self._inbox = Inbox()
        self._readers = _Readers(self._inbox)
        self._wire: RedisWire | None = None
        """To send over, while there is one."""
        self._unanswered = 0
        """Of the commands sent together last."""
        self._asked_at = 0.0
        """When they were, on the loop's clock."""
        self._flushes = False
        self._to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._reading = False
        self._sending = True
        self._task: asyncio.Task[None] | None = None
        self.undecodable = 0
        self.reconnects = 0

    @property
    def lost(self) -> int:
        """Messages of this process given up because the server was away too long."""
        return self._outbox.lost

    async def start(self) -> None:
        """Connect in the background; an absent server is tried again for ever."""
        self._task = asyncio.create_task(self._run(), name="redis-bus")

    async def close(self) -> None:
        """End every subscription, send what waits (while the server answers, within TIMEOUT_SECONDS) and disconnect."""
        self._readers.close()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_SECONDS if self._sending else 0):
                    await self._all_sent.wait()
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self._client.aclose()

    def publish(self, topic: str, event: object) -> None:
        """Hand the event to this process' subscriptions and to the outbox. Raises what `encode` raises, before anything is sent."""
        body = self._encode(event)
        request_id = current_request_id()
        self._readers.deliver(BusMessage(topic, event, request_id))
        self._outbox.put(topic, body, request_id)
        self._all_sent.clear()
        if self._wire is None:
            self._to_send.set()
        else:
            self._flush_soon()

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> Subscription:
        """Receive from here on; what others publish on topics new to this process, from their first BusGap on (see above)."""
        return self._readers.add(topics, capacity)

    async def health(self) -> BusHealth:
        """Ping now; healthy when the server answers, the reader is connected and nothing is stuck in the outbox."""
        start = self._clock.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._client.ping()
        except REDIS_ERRORS as error:
            return BusHealth(healthy=False, detail=f"the server does not answer: {type(error).__name__}")
        latency_ms = round((self._clock.monotonic() - start) * 1000, 3)
        if not self._reading:
            return BusHealth(healthy=False, detail="the reader is reconnecting", latency_ms=latency_ms)
        if not self._sending:
            waiting = len(self._outbox)
            return BusHealth(healthy=False, detail=f"{waiting} messages wait to be sent again", latency_ms=latency_ms)
        return BusHealth(healthy=True, detail="answers", latency_ms=latency_ms)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._for_ever(self._read_session, "bus.reader_retry"))
            group.create_task(self._for_ever(self._send_session, "bus.sender_retry"))

    async def _for_ever(self, session: Callable[[], Awaitable[None]], event: str) -> None:
        backoff = Backoff(first_seconds=0.1, most_seconds=5.0)
        while True:
            start = self._clock.monotonic()
            try:
                await session()
            except Exception as error:  # the supervisor's edge: a bus that stops would go unnoticed
                unexpected = None if isinstance(error, REDIS_ERRORS) else error
                log.warning(event, reason=f"{type(error).__name__}: {error}", exc_info=unexpected)
            if self._clock.monotonic() - start >= STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next_delay())

    async def _send_session(self) -> None:
        try:
            await self._to_send.wait()
            async with self._connected() as connection:
                self._wire, self._unanswered = RedisWire.over(connection, self._answered), 0
                self._flush_soon()
                while True:
                    await self._wire.stay(TIMEOUT_SECONDS / 4)
                    waits = asyncio.get_running_loop().time() - self._asked_at
                    if self._unanswered and waits >= TIMEOUT_SECONDS:
                        raise RedisConnectionError("the server does not answer")
        finally:
            self._wire = None
            self._sending = False
            self._to_send.set()

    def _flush_soon(self) -> None:
        """What is published right after goes with it; what comes while the server has not answered goes when it has."""
        if not self._flushes and not self._unanswered:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes = False
        if self._wire is None or self._unanswered:
            return
        batch = self._outbox.take(BATCH)
        if not batch:
            self._all_sent.set()
            return
        commands = [("PUBLISH", self._prefix + run[0].topic, self._sealed(run)) for run in runs(batch)]
        self._unanswered, self._asked_at = len(commands), asyncio.get_running_loop().time()
        self._wire.send(commands)

    def _answered(self, _reply: object) -> int:
        self._unanswered -= 1
        if not self._unanswered:
            self._outbox.confirm()
            self._sending = True
            self._flush()
        return 1

    async def _read_session(self) -> None:
        async with self._connected() as connection:
            wire = RedisWire.over(connection, self._take)
            try:
                self._reading = True
                await _side_by_side(self._stay(wire), self._follow_topics(wire))
            finally:
                self._reading = False
                self.reconnects += 1

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        """A connection for a session alone."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = await self._client.connection_pool.get_connection()
        try:
            yield connection
        finally:
            await connection.disconnect(nowait=True)
            await self._client.connection_pool.release(connection)

    async def _follow_topics(self, wire: RedisWire) -> None:
        asked: set[str] = set()
        touched = self._readers.take_touched() | set(self._readers.topics())
        while True:
            wanted = {topic for topic in touched if self._readers.reads(topic)}
            for command, topics in (("SUBSCRIBE", wanted - asked), ("UNSUBSCRIBE", (touched - wanted) & asked)):
                if topics:
                    wire.send([(command, *[self._prefix + topic for topic in sorted(topics)])])
            asked = (asked - touched) | wanted
            await self._readers.changed.wait()
            touched = self._readers.take_touched()

    async def _stay(self, wire: RedisWire) -> None:
        """Until the connection ends, which is raised. A server that says nothing is asked whether it is there."""
        while True:
            heard = wire.heard
            await wire.stay(SILENCE_SECONDS)
            if wire.heard == heard:
                wire.send([("PING",)])
                await wire.stay(SILENCE_SECONDS)
                if wire.heard == heard:
                    raise RedisConnectionError("the server fell silent")

    def _take(self, reply: object) -> int:
        """How many messages it was."""
        if not isinstance(reply, list) or len(reply) != 3:
            return 1
        kind, channel, data = reply
        topic = channel.decode().removeprefix(self._prefix)
        if kind == b"subscribe":
            self._readers.deliver(BusGap(topic, "joined: what other processes published before was missed"))
        elif kind == b"message":
            return self._receive(topic, data)
        return 1

    def _sealed(self, run: Sequence[Envelope]) -> bytes:
        body = b"%d %b" % (self._clock.now_ms(), to_wire(run))
        return self._seal.of((self._prefix + run[0].topic).encode(), body) + body

    def _receive(self, topic: str, data: bytes) -> int:
        seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not self._seal.holds(seal, (self._prefix + topic).encode(), body):
            return 1
        sent, _, wire = body.partition(b" ")
        try:
            age_ms, envelopes = abs(self._clock.now_ms() - int(sent)), from_wire(topic, wire)
        except ValueError as error:
            self._skip(topic, error)
            return 1
        if envelopes[0].publisher != self._publisher and self._readers.reads(topic):
            if age_ms > MOST_AGE_MS:
                self._disbelieve(topic, envelopes)
            else:
                for envelope in envelopes:
                    self._believe(topic, envelope)
        return len(envelopes)

    def _disbelieve(self, topic: str, envelopes: Sequence[Envelope]) -> None:
        verdicts = [self._inbox.judge(envelope) for envelope in envelopes]
        if any(verdict is not Verdict.SEEN for verdict in verdicts):
            self._readers.deliver(BusGap(topic, "a message came too late to be believed"))

    def _believe(self, topic: str, envelope: Envelope) -> None:
        verdict = self._inbox.judge(envelope)
        if verdict is Verdict.SEEN:
            return
        if verdict is Verdict.AFTER_HOLE:
            self._readers.deliver(BusGap(topic, "messages of another process were lost"))
        if not envelope.is_message:
            return
        try:
            event = self._decode(envelope.body)
        except ValueError as error:
            self._skip(topic, error)
        else:
            self._readers.deliver(BusMessage(topic, event, envelope.request_id))

    def _skip(self, topic: str, error: ValueError) -> None:
        self.undecodable += 1
        if self.undecodable & (self.undecodable - 1) == 0:
            log.warning("bus.undecodable", topic=topic, reason=str(error), so_far=self.undecodable)


async def _side_by_side(*parts: Coroutine[None, None, None]) -> None:
    """Run until the first of them fails, which ends the others. A TaskGroup would, on Python 3.11, swallow a cancellation that
    arrives in the moment one of its tasks fails."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
