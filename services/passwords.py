"""Passwords: which are taken, how they are stored, and how one is checked.

A password is normalised to NFKC (NIST SP 800-63B, 5.1.1.2) and never cut. It is stored as an Argon2id hash of that; a
hash of another program (bcrypt) or with other parameters is replaced when its owner logs in (`Verified.new_hash`).
"""

import asyncio
import contextlib
import os
import re
import secrets
import sys
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from core.account_vocabulary import AuthErrorCode
from core.errors import InvalidInput, InvariantBroken
from core.refusals import AuthRefused
from integrations.breaches.pwned_passwords import PwnedPasswords
from services.common_passwords import CommonPasswords
from services.turns import Turns

LEAST_CHARACTERS = 10
MOST_CHARACTERS = 1024
PRODUCT = "cryptovault"
_BCRYPT_BYTES = 72
"""bcrypt hashes are of so many bytes; programs that store them cut what is longer."""
_SALT_BYTES, _HASH_BYTES = 16, 32
_WORKER_NICENESS = 19

Result = TypeVar("Result")


class PasswordTooShort(AuthRefused):
    """Fewer than `LEAST_CHARACTERS` code points."""

    code = AuthErrorCode.PASSWORD_TOO_SHORT


class PasswordTooCommon(AuthRefused):
    """Among the first that a guessing program tries, for everybody or for this person."""

    code = AuthErrorCode.PASSWORD_TOO_COMMON


class PasswordBreached(AuthRefused):
    """Published by somebody who stole it, here or elsewhere."""

    code = AuthErrorCode.PASSWORD_BREACHED


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of a check. `new_hash` is to be stored in place of the one that was checked."""

    matches: bool
    new_hash: str | None


def normalised(password: str) -> str:
    """The password in NFKC. Raises InvalidInput for what cannot be one.

    What is too long is not normalised: that takes time by the square of the length. The limit also holds after it,
    which may make eighteen characters of one.
    """
    try:
        password.encode()
    except UnicodeEncodeError:
        raise InvalidInput("expected Unicode text, not halves of characters", field=["input", "password"]) from None
    text = password if len(password) > MOST_CHARACTERS else unicodedata.normalize("NFKC", password)
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"expected at most {MOST_CHARACTERS} characters", field=["input", "password"])
    return text


def check_password(password: str, common: CommonPasswords, *, email: str | None, display_name: str | None) -> None:
    """Raise AuthRefused for a password that is short or easily guessed, InvalidInput as `normalised` does."""
    text = normalised(password)
    if len(text) < LEAST_CHARACTERS:
        raise PasswordTooShort("expected at least {least} characters", {"least": LEAST_CHARACTERS}, field=["password"])
    if common.is_common(text):
        raise PasswordTooCommon(
            "too easy to guess: this is a common password or word, or a small change of one", field=["password"]
        )
    if common.is_made_of(text, _names(email or "", display_name or "")):
        raise PasswordTooCommon(
            "too easy to guess: this is little more than your name, your e-mail address or our name",
            field=["password"],
        )


def _names(email: str, display_name: str) -> set[str]:
    """In lower case: the product, the address, its local part and the name, each whole and in words."""
    names = {PRODUCT}
    for text in (email, email.partition("@")[0], display_name):
        lower = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).casefold()
        names |= {lower, *re.split(r"[\W_]+", lower)}
    return names


class PasswordHasher:
    """Hashes and checks passwords in threads of its own, one password each at a time.

    They have a low priority where the system knows one per thread, so that many log-ins slow nobody else. Callers are
    served in their order; one that is cancelled before its turn costs nothing. The default cost is the first choice of
    the OWASP password storage cheat sheet; each worker needs that memory.
    """

    def __init__(
        self,
        *,
        memory_kib: int = 47_104,
        passes: int = 1,
        parallelism: int = 1,
        workers: int | None = None,
        most_waiting: int = 100,
    ) -> None:
        """`workers`: by default one less than the machine has processors."""
        self._argon2 = Argon2Hasher(passes, memory_kib, parallelism, _HASH_BYTES, _SALT_BYTES)
        self._bcrypt = BcryptHasher()
        salt, digest = (
            b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES)
        )
        self._nobodys_hash = f"$argon2id$v=19$m={memory_kib},t={passes},p={parallelism}${salt}${digest}"
        self.workers = workers or max(1, (os.cpu_count() or 1) - 1)
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="password", initializer=_lower_priority)
        self._places = Turns(self.workers + most_waiting, most_waiting=0)

    async def hash(self, password: str) -> str:
        """The hash to store. Raises RateLimited when too many wait, and InvalidInput as `normalised` does."""
        text = normalised(password)
        return await self._run(lambda: self._argon2.hash(text))

    async def verify(self, password: str, stored_hash: str | None) -> Verified:
        """Whether this is the password of the hash. Without one the answer is no and takes as long.

        Raises RateLimited when too many wait. A check against bcrypt or other parameters takes its own time.
        """
        try:
            text = normalised(password)
        except InvalidInput:
            return Verified(matches=False, new_hash=None)
        return await self._run(lambda: self._check(password, text, stored_hash))

    async def close(self) -> None:
        """Cancel those who wait and end the threads."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        async with self._places:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _check(self, password: str, text: str, stored_hash: str | None) -> Verified:
        """`text` is the password normalised, which other programs' hashes are not of."""
        if stored_hash is None:
            self._argon2.verify(text, self._nobodys_hash)
            return Verified(matches=False, new_hash=None)
        if self._argon2.identify(stored_hash):
            matches = self._argon2.verify(text, stored_hash)
            outdated = matches and self._argon2.check_needs_rehash(stored_hash)
        elif self._bcrypt.identify(stored_hash):
            matches = outdated = self._bcrypt.verify(password.encode()[:_BCRYPT_BYTES], stored_hash)
        else:
            raise InvariantBroken("a stored password hash is of no known kind")
        return Verified(matches, self._argon2.hash(text) if outdated else None)


def _lower_priority() -> None:
    """Make way for everything else. Linux alone has a priority per thread; raising it again takes rights."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _WORKER_NICENESS)


class Passwords:
    """Takes new passwords."""

    def __init__(self, hasher: PasswordHasher, common: CommonPasswords, breaches: PwnedPasswords) -> None:
        self._hasher = hasher
        self._common = common
        self._breaches = breaches

    def check(self, password: str, *, email: str | None, display_name: str | None) -> None:
        """What can be said of a password without work. Raises as `check_password` does."""
        check_password(password, self._common, email=email, display_name=display_name)

    async def accept(self, password: str, *, email: str | None, display_name: str | None) -> str:
        """The hash of a new password. Raises AuthRefused, RateLimited when too many wait, InvalidInput.

        Whether it was stolen is asked while it is hashed, for as long as `PwnedPasswords` waits and no longer.
        """
        self.check(password, email=email, display_name=display_name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._refuse_breached(normalised(password)))
                hashing = tasks.create_task(self._hasher.hash(password))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return hashing.result()

    async def _refuse_breached(self, text: str) -> None:
        if await self._breaches.count(text):
            raise PasswordBreached("this password is known from stolen data; choose another one", field=["password"])
