"""Requests to a provider: few, small, and each with its end.

No redirect is followed, no answer is read past a limit, and none may be compressed, so that the limit holds for what is
unpacked. A failure never repeats an address, a body or a header.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import orjson

from integrations.certificates import trusted
from integrations.oauth.base import ProviderUnavailable

TIMEOUT_SECONDS = 5.0
"""From the first byte out to the last byte in, of one try."""
MAX_BODY_BYTES = 2**20
_TRIES = 2
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer that is no failure of the provider: its status is below 500."""

    status: int
    body: object

    def document(self) -> Mapping[str, object]:
        """The body; empty when it is no object."""
        return self.body if isinstance(self.body, dict) else {}


class _Failed(Exception):
    """One try failed in a way that another may not."""


class OAuthHttp:
    """Requests to one provider, named as in its errors. Opens on first use; `close` frees its connections."""

    def __init__(self, provider: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.provider = provider
        self._timeout_seconds = timeout_seconds
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask, twice when the provider cannot be reached or fails at once. Raises ProviderUnavailable."""
        for left in reversed(range(_TRIES)):
            try:
                return await self._once("GET", url, headers or {}, None)
            except _Failed as failure:
                if not left:
                    raise ProviderUnavailable(self.provider, str(failure)) from None
            await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.0))
        raise ProviderUnavailable(self.provider, "no try is allowed")

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Send a form, once: a code must not be sent twice. Raises ProviderUnavailable."""
        try:
            return await self._once("POST", url, headers, body)
        except _Failed as failure:
            raise ProviderUnavailable(self.provider, str(failure)) from None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> Answer:
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._open().stream(method, url, headers=headers, content=body) as response,
            ):
                data = await self._read(response)
        except (TimeoutError, httpx.TimeoutException):
            raise ProviderUnavailable(self.provider, "it did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _Failed("it cannot be reached") from None
        status = response.status_code
        if status >= 500:
            raise _Failed(f"it answered with status {status}")
        if status == 429 or 300 <= status < 400:
            raise ProviderUnavailable(self.provider, f"it answered with status {status}")
        try:
            return Answer(status, orjson.loads(data))
        except orjson.JSONDecodeError:
            raise ProviderUnavailable(self.provider, f"its answer with status {status} is not JSON") from None

    async def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ProviderUnavailable(self.provider, "its answer is compressed, which was not asked for")
        data = bytearray()
        async for part in response.aiter_raw():
            data += part
            if len(data) > MAX_BODY_BYTES:
                raise ProviderUnavailable(self.provider, "its answer is too long")
        return bytes(data)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "CryptoVault"},
                timeout=self._timeout_seconds,
                follow_redirects=False,
                verify=trusted(),
            )
        return self._client
