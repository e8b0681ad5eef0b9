"""Responses that go on: subscriptions, and any other operation, over server-sent events; subscriptions in Apollo's multipart responses.

What a stream tells, what it costs and when it ends is as over a socket. It ends with its client, with its events, when what its caller was admitted with ends, and when the
server stops.
"""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import orjson

from core.clock import Clock
from core.ids import random_id
from graph.errors import INTERNAL, ErrorRenderer, RequestRefused
from graph.request import Answer, Caller
from graph.started import Started
from server.departures import ClientGone
from server.http_exchange import HttpExchange
from server.media_types import EVENT_STREAM, MULTIPART
from server.open_connections import OpenConnections
from server.origins import Header
from server.realtime.http_sink import HttpSink
from server.realtime.hub import Hub
from server.realtime.sink import EVENT_STREAM as EVENT_STREAM_FRAMING
from server.realtime.sink import MULTIPART as MULTIPART_FRAMING
from server.realtime.sink import HttpFraming
from server.socket_authority import authority_ended
from server.transport_metrics import TransportMetrics
from services.authority import Authority, CredentialRejected

HEARTBEAT_SECONDS = 12.0
"""Between signs of life, so that proxies keep the connection and a dead peer is noticed."""
_FRAMINGS: dict[str, HttpFraming] = {EVENT_STREAM: EVENT_STREAM_FRAMING, MULTIPART: MULTIPART_FRAMING}
_TRANSPORTS = {EVENT_STREAM: "sse", MULTIPART: "multipart"}


def streaming_caller(caller: Caller, kind: str) -> Caller:
    """Whose stream it is: each has a budget of its own for its events. Cookies cannot be sent once a stream has begun."""
    outgoing = None if kind == EVENT_STREAM else caller.outgoing
    return replace(caller, transport=_TRANSPORTS[kind], events_key=f"stream {random_id()}", outgoing=outgoing)


class HttpStreams:
    """The streaming responses of a process."""

    def __init__(
        self, hub: Hub, authority: Authority, *, clock: Clock, connections: OpenConnections, metrics: TransportMetrics
    ) -> None:
        self._hub = hub
        self._authority = authority
        self._clock = clock
        self._connections = connections
        self._metrics = metrics

    async def serve(
        self, exchange: HttpExchange, started: Started, caller: Caller, kind: str, headers: list[Header]
    ) -> None:
        """Answer with a stream. Raises TooManyConnections before anything is sent, ClientGone."""
        framing = _FRAMINGS[kind]
        sink = HttpSink()
        with self._connections.opened(caller), self._metrics.streams.labels(caller.transport).track_inprogress():
            await exchange.begin_stream([(b"content-type", framing.content_type), *headers])
            sink.write(framing.opening)
            errors = ErrorRenderer(caller.request_id, caller.client.locale)
            await self._until_ended(exchange, _Stream(sink, framing, caller, errors), started)

    async def _until_ended(self, exchange: HttpExchange, stream: "_Stream", started: Started) -> None:
        """Write until it ends, and say with what."""
        sink = stream.sink
        events = asyncio.ensure_future(stream.write_events(started, self._hub))
        authority = asyncio.ensure_future(authority_ended(self._authority, stream.caller.viewer, self._clock))
        client = asyncio.ensure_future(exchange.until_gone())
        pump = asyncio.ensure_future(sink.pump(exchange.send_chunk))
        heart = asyncio.ensure_future(_beat(sink, stream.framing.heartbeat))
        tasks: tuple[asyncio.Future[object], ...] = (events, authority, client, pump, heart)  # type: ignore[assignment]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if client.done() or pump.done():
                raise ClientGone
            answer = events.result() if events.done() else stream.rejected(authority.result())
            if answer is not None:
                self._metrics.refusals.labels(stream.caller.transport, answer.refused).inc()
            events.cancel()
            sink.write(stream.framing.closing(None if answer is None else orjson.dumps(answer.body["errors"])))
            sink.close()
            await pump
            await exchange.end_stream()
        finally:
            sink.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _Stream:
    """One streaming response: its connection, its words, its caller."""

    def __init__(self, sink: HttpSink, framing: HttpFraming, caller: Caller, errors: ErrorRenderer) -> None:
        self.sink = sink
        self.framing = framing
        self.caller = caller
        self._errors = errors

    async def write_events(self, started: Started, hub: Hub) -> Answer | None:
        """Write what it tells; the answer it ended with, None when it came to its end."""
        try:
            return await self._written(started, hub)
        except Exception as error:  # noqa: BLE001 - the edge: what has begun cannot be answered otherwise
            return Answer({"errors": [self._errors.unexpected(error)]}, INTERNAL)

    async def _written(self, started: Started, hub: Hub) -> Answer | None:
        if started.shared is not None:
            following = hub.follow(started.shared, self.sink, self.framing, self.framing.suffix)
            try:
                return await started.ended(await following.ended)
            finally:
                following.leave()
        async with aclosing(started.answers()) as answers:
            async for answer in answers:
                if answer.refused is not None:
                    return answer
                payload = orjson.dumps(answer.body)
                self.sink.write(self.framing.head(payload, len(self.framing.suffix)) + self.framing.suffix)
                await self.sink.until_read()
        return None

    def rejected(self, reason: str) -> Answer:
        """What it ends with when its caller may no longer have it."""
        refused = RequestRefused.because(CredentialRejected(reason))
        return Answer({"errors": self._errors.refusal(refused)}, refused.code)


async def _beat(sink: HttpSink, heartbeat: bytes) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        if not sink.paused:
            sink.write(heartbeat)
