"""Have I Been Pwned's list of stolen passwords, asked without telling the password.

Five hex digits of its SHA-1 go out; some hundred endings of hashes that begin so come back, with made-up ones of count
0 among them (`Add-Padding`), so that the length of the answer tells nothing either.
"""

import asyncio
import hashlib
import re

import httpx
import structlog

from core.clock import Clock
from integrations.certificates import trusted

TIMEOUT_SECONDS = 1.0
REST_SECONDS = 60.0
"""After a failure nothing is asked for so long."""
_PREFIX_LENGTH = 5
_MAX_BODY_BYTES = 2**20
_LINE = re.compile(rb"([0-9A-F]{35}):([0-9]{1,12})")

log = structlog.get_logger(__name__)


class _Failed(Exception):
    """No answer that can be used."""


class PwnedPasswords:
    """Counts how often a password was stolen. Says nothing when the service fails: nobody is refused for that."""

    def __init__(self, base_url: str | None, *, clock: Clock, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """`base_url` has `/range/…` below it; without one nothing is ever asked."""
        headers = {"User-Agent": "CryptoVault", "Add-Padding": "true"}
        self._client = httpx.AsyncClient(base_url=base_url, headers=headers, verify=trusted()) if base_url else None
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._available = True
        self._rest_until = 0.0

    async def count(self, password: str) -> int | None:
        """How many times it was stolen; None when that cannot be told within `timeout_seconds`."""
        if self._client is None or self._rests():
            return None
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                counts = _counts(await _asked(self._client, digest[:_PREFIX_LENGTH]))
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, _Failed) as error:
            self._rest_until = self._clock.monotonic() + REST_SECONDS
            self._note(available=False, reason=str(error) if isinstance(error, _Failed) else type(error).__name__)
            return None
        if not self._rests():
            self._note(available=True, reason="it answered")
        return counts.get(digest[_PREFIX_LENGTH:], 0)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _rests(self) -> bool:
        return self._clock.monotonic() < self._rest_until

    def _note(self, *, available: bool, reason: str) -> None:
        if available != self._available:
            self._available = available
            log.warning("breaches.availability", available=available, reason=reason)


async def _asked(client: httpx.AsyncClient, prefix: str) -> bytes:
    async with client.stream("GET", f"/range/{prefix}") as response:
        if response.status_code != 200:
            raise _Failed(f"status {response.status_code}")
        data = bytearray()
        async for part in response.aiter_bytes():
            data += part
            if len(data) > _MAX_BODY_BYTES:
                raise _Failed("the answer is too long")
    return bytes(data)


def _counts(data: bytes) -> dict[str, int]:
    """Counts by ending. Raises _Failed for anything but `ENDING:COUNT` on every line."""
    counts: dict[str, int] = {}
    for line in data.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise _Failed("the answer is no list of hashes")
        counts[match[1].decode()] = int(match[2])
    if not counts:
        raise _Failed("the answer is empty")
    return counts
