"""The one reconnecting socket loop all streaming providers share.

A provider gives a `Conversation`, made anew for every connection: what to send, how to read a message, what to do beside it. The loop
owns the rest: open and ping timeouts, message size, silence, planned lifetime, jittered backoff, FeedConnected and FeedDisconnected,
garbage. Invariant: messages leave in the order in which the conversation made them, also when it makes some beside the reading.
"""

import asyncio
import functools
import random
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from core.backoff import Backoff
from core.clock import Clock
from core.vocabulary import PriceSource
from events.feed import FeedConnected, FeedDisconnected, FeedMessage, FeedRejected
from integrations.feeds.base import Emit, Sleep
from integrations.feeds.fields import Garbage, JsonObject, as_object, decode


@dataclass(frozen=True, slots=True)
class SocketPolicy:
    """Limits of one provider's socket. Providers end a connection after 24 hours, so ours ends itself a little earlier."""

    open_seconds: float = 10.0
    ping_seconds: float = 20.0
    close_seconds: float = 2.0
    stall_seconds: float = 30.0
    lifetime_seconds: float = 23 * 3600.0
    lasting_seconds: float = 60.0
    """A connection that lasted this long starts the backoff anew."""
    first_backoff_seconds: float = 0.5
    most_backoff_seconds: float = 30.0
    send_gap_seconds: float = 0.25
    """Four messages a second: Binance allows five, Coinbase eight."""
    max_message_bytes: int = 32 * 2**20
    """Coinbase sends the whole book of a market, tens of thousands of levels, in one message."""
    max_garbage_in_a_row: int = 20


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, for every connection of the process: reading the system's list holds up everything for 50 ms."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Send:
    """A message to the provider, among the messages a conversation makes."""

    body: JsonObject


class ConnectionSpoiled(Exception):
    """This connection cannot be trusted any more; the text is the reason of the reconnect, fit to be shown."""


Made = Sequence[FeedMessage | Send]
Deliver = Callable[[Callable[[], Made]], Awaitable[None]]
"""Makes messages and delivers them, both before anything else is made."""


class Conversation(ABC):
    """One connection's talk with a provider."""

    @abstractmethod
    def open(self) -> Sequence[JsonObject]:
        """What to send once connected, in order."""

    @abstractmethod
    def receive(self, message: JsonObject) -> Made:
        """What a message means. Raises Garbage (thrown away) or ConnectionSpoiled (reconnect)."""

    @abstractmethod
    def lose(self, reason: str) -> Sequence[FeedMessage]:
        """What is no longer true now that the connection is lost."""

    async def assist(self, deliver: Deliver) -> None:  # noqa: ARG002
        """Work beside the reading: begun once the provider has answered, cancelled with the connection."""
        return


class SocketLoop:
    """Keeps one connection to one address alive."""

    def __init__(
        self,
        source: PriceSource,
        url: str,
        *,
        policy: SocketPolicy,
        clock: Clock,
        randomness: random.Random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._source = source
        self._url = url
        self._policy = policy
        self._clock = clock
        self._randomness = randomness
        self._sleep = sleep

    async def run(self, converse: Callable[[], Conversation], emit: Emit) -> NoReturn:
        """Connect, talk, and start again, until cancelled."""
        policy = self._policy
        backoff = Backoff(policy.first_backoff_seconds, policy.most_backoff_seconds, self._randomness)
        while True:
            conversation = converse()
            began = self._clock.monotonic()
            reason = await self._connect(conversation, emit)
            for message in conversation.lose(reason):
                await emit(message)
            await emit(FeedDisconnected(self._source, reason))
            if self._clock.monotonic() - began >= policy.lasting_seconds:
                backoff.reset()
            await self._sleep(backoff.next_delay())

    async def _connect(self, conversation: Conversation, emit: Emit) -> str:
        """One connection from its opening to its end; returns why it ended."""
        policy = self._policy
        opening = connect(
            self._url,
            ssl=_certificates() if self._url.startswith("wss:") else None,
            open_timeout=policy.open_seconds,
            ping_interval=policy.ping_seconds,
            ping_timeout=policy.ping_seconds,
            close_timeout=policy.close_seconds,
            max_size=policy.max_message_bytes,
        )
        try:
            async with opening as socket, asyncio.TaskGroup() as tasks:
                talk = _Talk(self._source, socket, conversation, emit, policy)
                helper = tasks.create_task(talk.assist())
                try:
                    return await talk.read(self._clock, policy.lifetime_seconds * self._randomness.uniform(0.9, 1.0))
                finally:
                    helper.cancel()
        except InvalidStatus as error:
            return f"the provider refused the connection with status {error.response.status_code}"
        except (OSError, WebSocketException):
            return "the provider cannot be reached"


class _Talk:
    """What lives as long as one open socket."""

    def __init__(
        self,
        source: PriceSource,
        socket: ClientConnection,
        conversation: Conversation,
        emit: Emit,
        policy: SocketPolicy,
    ) -> None:
        self._source = source
        self._socket = socket
        self._conversation = conversation
        self._emit = emit
        self._policy = policy
        self._order = asyncio.Lock()
        self._answered = asyncio.Event()
        self._garbage = 0

    async def read(self, clock: Clock, lifetime_seconds: float) -> str:
        """Send the opening, then read until the connection ends; returns why."""
        ends = clock.monotonic() + lifetime_seconds
        try:
            for body in self._conversation.open():
                await self._send(body)
            while True:
                left = ends - clock.monotonic()
                if left <= 0:
                    return "planned reconnect"
                try:
                    async with asyncio.timeout(min(self._policy.stall_seconds, left)):
                        data = await self._socket.recv()
                except TimeoutError:
                    if left <= self._policy.stall_seconds:
                        continue
                    return f"no message for {self._policy.stall_seconds:g} s"
                await self._take(data)
        except ConnectionSpoiled as spoiled:
            return str(spoiled)
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                return f"the provider closed the connection with code {closed.rcvd.code}"
            return (
                "the connection broke" if closed.sent is None else f"connection given up with code {closed.sent.code}"
            )

    async def assist(self) -> None:
        """The conversation's work beside the reading."""
        await self._answered.wait()
        await self._conversation.assist(self._deliver)

    async def _deliver(self, make: Callable[[], Made]) -> None:
        """Make messages and hand them on in one step, so that two makers never mix their messages."""
        async with self._order:
            made = make()
            if not self._answered.is_set():
                self._answered.set()
                await self._emit(FeedConnected(self._source))
            for message in made:
                if isinstance(message, Send):
                    await self._send(message.body)
                else:
                    await self._emit(message)

    async def _take(self, data: str | bytes) -> None:
        try:
            message = as_object(decode(data), "message")
            await self._deliver(lambda: self._conversation.receive(message))
        except Garbage as garbage:
            self._garbage += 1
            await self._emit(FeedRejected(self._source, str(garbage)))
            if self._garbage >= self._policy.max_garbage_in_a_row:
                raise ConnectionSpoiled(f"{self._garbage} unusable messages in a row") from garbage
        else:
            self._garbage = 0

    async def _send(self, body: JsonObject) -> None:
        await self._socket.send(orjson.dumps(body).decode())
        await asyncio.sleep(self._policy.send_gap_seconds)
