"""GraphQL over HTTP: a plain ASGI application for one path.

GET serves queries, POST with `application/json` queries and mutations. Everything else is refused before it is read, which is what
keeps another site's page from acting for a visitor: a form, a multipart body and text/plain need no preflight, JSON does.
https://http-spec.graphql.org
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from core.begun import Begun
from core.clock import Clock
from core.errors import InvalidInput, RateLimited
from core.translations import accepted_locale
from graph.errors import (
    INTERNAL,
    DatabaseAway,
    ErrorRenderer,
    OperationNotAllowed,
    OperationTimedOut,
    RequestRefused,
)
from graph.pipeline import Pipeline
from graph.request import (
    ALL_OPERATIONS,
    QUERIES,
    QUERIES_AND_MUTATIONS,
    QUERIES_AND_SUBSCRIPTIONS,
    Answer,
    Caller,
    GraphQLRequest,
    request_from_json,
)
from server.at_once import KnownBodies
from server.authentication import Authentication, CrossSiteRefused, Handshake
from server.cookies import set_cookies
from server.departures import ClientGone
from server.graphql_answers import answer_headers, is_sent_compressed, rate_headers
from server.http_exchange import HttpExchange
from server.http_refusals import (
    AddressNotServed,
    AuthorityAway,
    BodyTimedOut,
    BodyTooLarge,
    ConnectionNotServed,
    CredentialNotServed,
    HttpRefused,
    MethodNotAllowed,
    NotAcceptable,
    SiteNotServed,
    UnsupportedMediaType,
)
from server.http_streams import HttpStreams, streaming_caller
from server.media_types import JSON, MULTIPART, RESPONSE_JSON, answer_type, is_json_in_utf8, streaming_type
from server.open_connections import TooManyConnections
from server.origins import Header, Origins
from server.transport_metrics import TransportMetrics
from services.authority import CredentialRejected

_ALLOW = b"GET, POST, OPTIONS"
_PARAMETERS = frozenset({"query", "operationName", "variables", "extensions"})
_SEQUENCE = b"x-exchange-sequence"
"""What the client has been shown of the exchange's journal; back goes what it has been shown by now."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one request."""

    body_bytes: int = 262_144
    body_seconds: float = 10.0
    """For the whole body to arrive."""


class GraphQLHTTP:
    """The application. Mount it at the path itself; it does not look at the path."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        authentication: Authentication,
        limits: HttpLimits,
        origins: Origins,
        clock: Clock,
        request_id: Callable[[], str],
        metrics: TransportMetrics,
        streams: HttpStreams,
    ) -> None:
        """`request_id` gives the id of the request being served."""
        self._pipeline = pipeline
        self._authentication = authentication
        self._limits = limits
        self._origins = origins
        self._clock = clock
        self._request_id = request_id
        self._metrics = metrics
        self._streams = streams
        self.known_bodies = KnownBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        exchange = HttpExchange(scope, receive, send)
        if exchange.method == "OPTIONS":
            await exchange.respond(204, b"", [(b"allow", _ALLOW), *self._origins.preflight_headers(exchange.origin)])
            return
        started = time.perf_counter()
        streaming = streaming_type(exchange.header(b"accept"))
        media_type = answer_type(exchange.header(b"accept")) or (JSON if streaming is not None else None)
        handshake = exchange.handshake(self._request_id())
        errors = ErrorRenderer(handshake.request_id, accepted_locale(handshake.header(b"accept-language")))
        caller: Caller | None = None
        try:
            if media_type is None:
                raise NotAcceptable(f"answers are {RESPONSE_JSON} or {JSON}")
            request = await self._read(exchange)
            caller = await self._caller(handshake)
            caller.reader.see(_shown(handshake.header(_SEQUENCE)))
            if streaming is None:
                answer = await self._execute(exchange, request, caller)
            elif (given := await self._stream(exchange, request, caller, streaming)) is not None:
                answer = given
            else:
                return
            if answer.did_not_wait is not None and exchange.body is not None and request.extensions is None:
                self.known_bodies.learn(exchange.body, answer.did_not_wait, signed_in=caller.viewer is not None)
        except ClientGone:
            return
        except HttpRefused as refused:
            body = orjson.dumps({"errors": errors.refusal(RequestRefused.because(refused))})
            self._metrics.refusals.labels("http", refused.code).inc()
            await self._refuse(exchange, refused, body, media_type or JSON)
            return
        except Exception as error:  # noqa: BLE001 - the edge: no request ends without an answer
            answer = Answer({"errors": [errors.unexpected(error)]}, INTERNAL)
        self._count(answer, time.perf_counter() - started)
        await self._respond(exchange, answer, media_type, errors, caller)

    async def _caller(self, handshake: Handshake) -> Caller:
        try:
            return await self._authentication.of_request(handshake)
        except CredentialRejected as error:
            raise CredentialNotServed(error) from error
        except CrossSiteRefused as error:
            raise SiteNotServed(error) from error
        except RateLimited as error:
            raise AddressNotServed(error) from error
        except DatabaseAway as error:
            raise AuthorityAway(error.message) from error

    async def _read(self, exchange: HttpExchange) -> GraphQLRequest:
        try:
            if exchange.method == "GET":
                return request_from_json(self._parameters_of_url(exchange.query_string))
            if exchange.method == "POST":
                return request_from_json(await self._json(exchange))
        except InvalidInput as error:
            raise HttpRefused(error.message, **error.details) from error
        raise MethodNotAllowed("queries are sent by GET or POST, mutations by POST")

    def _parameters_of_url(self, query_string: bytes) -> dict[str, object]:
        if len(query_string) > self._limits.body_bytes:
            raise BodyTooLarge(f"at most {self._limits.body_bytes} bytes are read", limit=self._limits.body_bytes)
        try:
            pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
        except ValueError as error:
            raise HttpRefused("the query string is not percent-encoded UTF-8") from error
        known = [(name, value) for name, value in pairs if name in _PARAMETERS]
        parameters: dict[str, object] = dict(known)
        if len(parameters) < len(known):
            raise HttpRefused("a parameter is given twice")
        for name in ("variables", "extensions"):
            text = parameters.get(name)
            if text is not None:
                parameters[name] = _decode(str(text).encode()) if text else None
        return parameters

    async def _json(self, exchange: HttpExchange) -> object:
        if not is_json_in_utf8(exchange.header(b"content-type")):
            raise UnsupportedMediaType(f"a POST body must be {JSON}, in UTF-8")
        if exchange.header(b"content-encoding").strip().lower() not in {"", "identity"}:
            raise HttpRefused("a body with a Content-Encoding is not read; send it plain")
        declared = exchange.header(b"content-length")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self._limits.body_bytes:
            raise self._too_large()
        arriving = Begun(self._body(exchange))
        if arriving.done:
            body = arriving.value
        else:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    body = await arriving
            except TimeoutError as error:
                raise BodyTimedOut(f"the body did not arrive within {self._limits.body_seconds:g} s") from error
        if not body:
            raise HttpRefused("the body is empty; it must be a JSON object with a query")
        exchange.body = body
        return _decode(body)

    async def _body(self, exchange: HttpExchange) -> bytes:
        chunks, length = [], 0
        while (chunk := await exchange.chunk()) is not None:
            chunks.append(chunk)
            length += len(chunk)
            if length > self._limits.body_bytes:
                raise self._too_large()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self) -> BodyTooLarge:
        limit = self._limits.body_bytes
        return BodyTooLarge(f"the body has more than {limit} bytes", limit=limit)

    async def _execute(self, exchange: HttpExchange, request: GraphQLRequest, caller: Caller) -> Answer:
        """Run it, until it is answered or the client has gone."""
        allowed = QUERIES if exchange.method == "GET" else QUERIES_AND_MUTATIONS
        begun = Begun(self._pipeline.execute(request, caller, allowed=allowed, encoded=True))
        return begun.value if begun.done else await exchange.while_there(begun)

    async def _stream(
        self, exchange: HttpExchange, request: GraphQLRequest, caller: Caller, kind: str
    ) -> Answer | None:
        """Stream it. What is refused, and over multipart what has one answer only, is answered as ever."""
        caller = streaming_caller(caller, kind)
        allowed = ALL_OPERATIONS if exchange.method == "POST" else QUERIES_AND_SUBSCRIPTIONS
        started = await self._pipeline.start(request, caller, allowed=allowed, encoded=True)
        if started.refused is not None:
            return started.refused
        if kind == MULTIPART and not started.goes_on:
            async with aclosing(started.answers()) as answers:
                return await anext(answers)
        headers = [*self._headers(exchange, JSON)[1:], (b"x-accel-buffering", b"no")]
        try:
            await self._streams.serve(exchange, started, caller, kind, headers)
        except TooManyConnections as error:
            raise ConnectionNotServed(error.message, **error.details) from error
        return None

    def _count(self, answer: Answer, seconds: float) -> None:
        if answer.refused is None:
            self._metrics.operation_seconds.labels("http", answer.operation).observe(seconds)
        else:
            self._metrics.refusals.labels("http", answer.refused).inc()

    async def _respond(
        self,
        exchange: HttpExchange,
        answer: Answer,
        media_type: str | None,
        errors: ErrorRenderer,
        caller: Caller | None,
    ) -> None:
        encoded = answer.encoded
        zipped = encoded is not None and is_sent_compressed(encoded.shared, exchange.header(b"accept-encoding"))
        if encoded is not None:
            body = b"".join(encoded.parts(zipped=zipped))
        else:
            try:
                body = orjson.dumps(answer.body)
            except orjson.JSONEncodeError as error:
                answer = Answer({"errors": [errors.unexpected(error)]}, INTERNAL)
                body = orjson.dumps(answer.body)
        status = _status(answer, exchange.method, media_type)
        headers = self._headers(exchange, media_type or JSON, zipped=zipped)
        if status == MethodNotAllowed.status:
            headers.append((b"allow", b"POST"))
        if answer.retry_after_seconds is not None:
            headers.append((b"retry-after", str(answer.retry_after_seconds).encode()))
        if answer.remaining is not None:
            headers += rate_headers(self._pipeline.budget, answer.remaining)
        if caller is not None and caller.reader.shown:
            headers.append((_SEQUENCE, str(caller.reader.shown).encode()))
        outgoing = None if caller is None else caller.outgoing
        if outgoing is not None and (exchange.origin is None or self._origins.allows_credentials(exchange.origin)):
            headers += set_cookies(outgoing, self._clock)
        await exchange.respond(status, body, headers)

    async def _refuse(self, exchange: HttpExchange, refused: HttpRefused, body: bytes, media_type: str) -> None:
        headers = self._headers(exchange, media_type)
        if isinstance(refused, MethodNotAllowed):
            headers.append((b"allow", _ALLOW))
        if isinstance(refused, CredentialNotServed):
            headers.append((b"www-authenticate", b'Bearer error="invalid_token"'))
        if "retryAfter" in refused.details:
            headers.append((b"retry-after", str(refused.details["retryAfter"]).encode()))
        unread = isinstance(refused, BodyTooLarge | BodyTimedOut)
        if unread:
            headers.append((b"connection", b"close"))
        await exchange.respond(refused.status, b"" if exchange.method == "HEAD" else body, headers, drain=unread)

    def _headers(self, exchange: HttpExchange, media_type: str, *, zipped: bool = False) -> list[Header]:
        return answer_headers(media_type, self._origins.response_headers(exchange.origin), zipped=zipped)


def _status(answer: Answer, method: str, media_type: str | None) -> int:
    """GraphQL over HTTP, section 6.4: with `application/json` a well-formed request is answered 200 whatever became of it."""
    if answer.refused is None:
        return 200
    if answer.refused == RateLimited.code:
        return 429
    if answer.refused == OperationNotAllowed.code and method == "GET":
        return MethodNotAllowed.status
    if media_type == JSON:
        return 200
    return {INTERNAL: 500, OperationTimedOut.code: 504}.get(answer.refused, 400)


def _shown(header: str) -> int:
    """The sequence in a header; what is none says nothing."""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 16 else 0


def _decode(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise HttpRefused(
            "the request is not JSON in UTF-8, or nested too deeply, or holds a number too large"
        ) from error
