"""What stands between a guesser and a password: throttles, and a lock of 15 minutes after five failures.

Failures count by the mail address that was named, whether an account has it or not, so that a lock tells nothing. Those of a browser
the account knows, or of somebody signed in to it, count by themselves: a stranger's failures do not shut the owner out. Only time lifts a
lock, or recovery by mail. Each process looks at one password for an address at a time, so while failures come at once, every process
beyond the first may look at one more than five.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from core.account_vocabulary import AuthErrorCode
from core.clock import Clock
from core.refusals import AuthRefused
from models import log_in_lock
from services.email_addresses import key_digest
from services.throttles import LOG_IN, Throttles
from services.viewer import Client

MOST_FAILURES = 5
LOCK_SECONDS = 900


class AccountLocked(AuthRefused):
    """Too many failures; the password was not looked at."""

    code = AuthErrorCode.ACCOUNT_LOCKED


class LogInGuard:
    """Lets tries through, one at a time for each address that is named."""

    def __init__(self, throttles: Throttles, clock: Clock) -> None:
        self._throttles = throttles
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def attempt(self, email_key: str, client: Client, *, known_as: str | None) -> AsyncIterator["Attempt"]:
        """One try. `known_as`: the device or session by which the owner is known. Raises RateLimited, AccountLocked."""
        key = key_digest(email_key)
        if known_as is None:
            await self._throttles.of_stranger(LOG_IN, client, email_key)
        else:
            await self._throttles.of_known_device(LOG_IN, client, known_as)
            key = f"{key}:{known_as}"
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            left_ms = await log_in_lock.locked_until_ms(key) - self._clock.now_ms()
            if left_ms > 0:
                seconds = -(-left_ms // 1000)
                raise AccountLocked(
                    "too many failures: this account is locked for {seconds} s",
                    {"seconds": seconds},
                    retry_after_seconds=seconds,
                )
            yield Attempt(key, self._clock)

    async def recovered(self, email_key: str) -> None:
        """The owner has proven to hold the mailbox: lift the lock."""
        await log_in_lock.unlock(key_digest(email_key))


class Attempt:
    """A try that is under way."""

    def __init__(self, key: str, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    async def failed(self) -> bool:
        """Count a failure. Returns whether it was the one that locks."""
        return await log_in_lock.count_failure(
            self._key, most=MOST_FAILURES, now_ms=self._clock.now_ms(), window_ms=LOCK_SECONDS * 1000
        )

    async def succeeded(self) -> None:
        """Begin to count anew."""
        await log_in_lock.forget_failures(self._key)
