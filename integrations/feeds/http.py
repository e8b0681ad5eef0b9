"""The one HTTP client all providers share: timeouts, bounded retries with jitter, requested waits honoured, a circuit breaker.

Every failure is a `ProviderUnavailable` in our own words. Addresses are never repeated in it: some hold keys.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from core.backoff import Backoff
from core.clock import Clock, to_ms
from integrations.certificates import trusted
from integrations.feeds.base import ProviderUnavailable, Sleep
from integrations.feeds.fields import Garbage, decode

logging.getLogger("httpx").setLevel(logging.WARNING)
"""httpx logs every address at INFO, and an Ethereum node's address holds its key."""

Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Limits of one provider's requests."""

    connect_seconds: float = 5.0
    total_seconds: float = 15.0
    attempts: int = 3
    first_backoff_seconds: float = 0.5
    most_backoff_seconds: float = 5.0
    patience_seconds: float = 5.0
    """A wait the provider asks for is waited out up to this long; a longer one is the caller's to wait."""
    unnamed_wait_seconds: float = 60.0
    """How long to wait after "too many requests" without a Retry-After."""
    most_wait_seconds: float = 3 * 86_400.0
    """Binance bans an address for three days at most."""
    breaker_failures: int = 6
    breaker_seconds: float = 30.0
    max_body_bytes: int = 32 * 2**20


class RateLimited(ProviderUnavailable):
    """The provider asked to wait `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"the provider asked to wait {max(1, round(retry_after_seconds))} s")
        self.retry_after_seconds = retry_after_seconds


class _Failed(Exception):
    """One try failed in a way that another may not."""


class ProviderHttp:
    """Requests to one provider. Opens on first use; `close` frees its connections, a later request opens them again."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
        hold_seconds: Callable[[httpx.Headers], float] = lambda headers: 0.0,  # noqa: ARG005
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`hold_seconds` reads from an answer's headers how long to ask nothing, for providers that count weights."""
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._headers = dict(headers or {})
        self._policy = policy or HttpPolicy()
        self._randomness = randomness or random.Random()
        self._hold_seconds = hold_seconds
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        self._blocked_until = 0.0
        self._failures = 0

    async def get(self, path: str, params: Params | None = None) -> object:
        """The JSON answer to a GET, numbers exact. Raises ProviderUnavailable, RateLimited among them."""
        return await self._request("GET", path, params=params)

    async def post(self, path: str, body: object) -> object:
        """The JSON answer to a POST of JSON, numbers exact. Raises ProviderUnavailable, RateLimited among them."""
        return await self._request("POST", path, body=body)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _request(self, method: str, path: str, *, params: Params | None = None, body: object = None) -> object:
        policy = self._policy
        backoff = Backoff(policy.first_backoff_seconds, policy.most_backoff_seconds, self._randomness)
        for left in reversed(range(policy.attempts)):
            await self._wait_for_leave()
            try:
                answer = await self._once(method, path, params, body)
            except _Failed as failure:
                self._failures += 1
                if self._failures >= policy.breaker_failures:
                    self._block(policy.breaker_seconds)
                if not left:
                    raise ProviderUnavailable(str(failure)) from None
                await self._sleep(backoff.next_delay())
            except RateLimited:
                if not left:
                    raise
            else:
                self._failures = 0
                return answer
        raise ProviderUnavailable("no attempt is allowed")

    async def _wait_for_leave(self) -> None:
        wait = self._blocked_until - self._clock.monotonic()
        if wait > self._policy.patience_seconds:
            if self._failures >= self._policy.breaker_failures:
                raise ProviderUnavailable(f"not asked, because it failed {self._failures} times in a row")
            raise RateLimited(wait)
        if wait > 0:
            await self._sleep(wait)

    async def _once(self, method: str, path: str, params: Params | None, body: object) -> object:
        try:
            async with (
                asyncio.timeout(self._policy.total_seconds),
                self._open().stream(method, self._base_url + path, params=params, json=body) as response,
            ):
                data = await self._read(response)
        except (TimeoutError, httpx.TimeoutException):
            raise _Failed("the provider did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _Failed("the provider cannot be reached") from None
        self._block(self._hold_seconds(response.headers))
        status = response.status_code
        if status in (418, 429):
            wait = self._retry_after(response.headers.get("retry-after"))
            self._block(wait)
            raise RateLimited(wait)
        if status >= 500:
            raise _Failed(f"the provider answered with status {status}")
        if status != 200:
            raise ProviderUnavailable(f"the provider refused the request with status {status}")
        try:
            return decode(data)
        except Garbage:
            raise _Failed("the provider's answer is not JSON") from None

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for part in response.aiter_bytes():
            data += part
            if len(data) > self._policy.max_body_bytes:
                raise _Failed("the provider's answer is too long")
        return bytes(data)

    def _retry_after(self, value: str | None) -> float:
        """Seconds of a Retry-After header, RFC 9110 section 10.2.3: a number of seconds or a date."""
        if value is None:
            return self._policy.unnamed_wait_seconds
        if value.isascii() and value.isdigit():
            wait = float(value[:9])
        else:
            try:
                moment = parsedate_to_datetime(value)
            except ValueError:
                return self._policy.unnamed_wait_seconds
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            wait = (to_ms(moment) - self._clock.now_ms()) / 1000
        return min(max(wait, 0.0), self._policy.most_wait_seconds)

    def _block(self, seconds: float) -> None:
        self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            timeout = httpx.Timeout(self._policy.total_seconds, connect=self._policy.connect_seconds)
            self._client = httpx.AsyncClient(headers=self._headers, timeout=timeout, verify=trusted())
        return self._client
