"""HTTP to a chain's node: one connection pool per node, a limit on time and size, failures as `ProviderFailed`.

Nothing is tried twice here: `ProviderPool` asks the next node instead.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
import orjson

from integrations.certificates import trusted
from integrations.chains.errors import Failure, NodeRefused, ProviderFailed

logging.getLogger("httpx").setLevel(logging.WARNING)
"""httpx logs every address at INFO, and a node's address may hold its key."""
_DECODER = json.JSONDecoder(parse_float=Decimal)


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """How long a node may take, and how much it may say."""

    connect_seconds: float = 3.0
    total_seconds: float = 10.0
    max_body_bytes: int = 32 * 2**20


class NodeHttp:
    """Requests to one node. User and password may stand in its URL; `headers` go with every request."""

    def __init__(self, url: str, limits: NodeLimits | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._limits = limits or NodeLimits()
        auth = None
        if parts.username is not None:
            auth = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
        netloc = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), parts.query, ""))
        timeout = httpx.Timeout(self._limits.total_seconds, connect=self._limits.connect_seconds)
        self._client = httpx.AsyncClient(
            timeout=timeout, auth=auth, follow_redirects=False, headers=headers, verify=trusted()
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def post_json(self, body: object) -> tuple[int, object]:
        """Status and JSON value of the answer to a POST of JSON to the node's URL itself. Raises ProviderFailed."""
        content = orjson.dumps(body)
        status, answer = await self._send("POST", "", content, {"content-type": "application/json"})
        return status, _json(answer)

    async def get_json(self, path: str) -> object:
        """The JSON value below the node's URL. Raises ProviderFailed; NodeRefused for a status that says no."""
        return _json(await self.get_text(path))

    async def get_answer(self, path: str) -> tuple[int, object]:
        """Status and JSON value of whatever stands below the node's URL, also of one that says no. Raises ProviderFailed."""
        status, answer = await self._send("GET", path)
        return status, _json(answer)

    async def get_text(self, path: str) -> bytes:
        """What stands below the node's URL. Raises ProviderFailed, NodeRefused."""
        status, answer = await self._send("GET", path)
        return _accepted(status, answer)

    async def post_text(self, path: str, text: str) -> bytes:
        """The answer to a POST of plain text. Raises ProviderFailed, NodeRefused."""
        status, answer = await self._send("POST", path, text.encode(), {"content-type": "text/plain"})
        return _accepted(status, answer)

    async def _send(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                request = self._client.stream(method, self._base + path, content=content, headers=headers)
                async with request as response:
                    return response.status_code, await self._body(response)
        except (TimeoutError, httpx.TimeoutException):
            seconds = self._limits.total_seconds
            raise ProviderFailed(Failure.TIMED_OUT, f"no answer within {seconds:g} s") from None
        except httpx.HTTPError as error:
            raise ProviderFailed(Failure.UNREACHABLE, f"cannot be reached ({type(error).__name__})") from None

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            wait = _seconds(response.headers.get("retry-after"))
            raise ProviderFailed(Failure.RATE_LIMITED, "asked to be left alone", retry_after_seconds=wait)
        if response.status_code in (401, 402, 403):
            raise ProviderFailed(Failure.UNREACHABLE, f"refuses our key (HTTP {response.status_code})")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > self._limits.max_body_bytes:
                raise ProviderFailed(Failure.MALFORMED, "its answer is too long")
        return bytes(body)


def _accepted(status: int, answer: bytes) -> bytes:
    if status < 300:
        return answer
    if status < 500 and status >= 400:
        raise NodeRefused(status, answer[:500].decode(errors="replace").strip())
    raise ProviderFailed(Failure.UNREACHABLE, f"HTTP {status}")


def _json(answer: bytes) -> object:
    """The value, its numbers exact: Bitcoin Core writes amounts as numbers."""
    try:
        found: object = _DECODER.decode(answer.decode())
    except (ValueError, ArithmeticError, RecursionError):
        raise ProviderFailed(Failure.MALFORMED, "its answer is not JSON") from None
    return found


def _seconds(text: str | None) -> float:
    """Of a Retry-After in seconds; a date is taken as a minute."""
    if text is None:
        return 1.0
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else 60.0
