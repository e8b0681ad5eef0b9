"""Which passwords are taken: by their own look, and by what is known as stolen."""

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.account_vocabulary import AuthErrorCode
from core.clock import ManualClock
from core.errors import InvalidInput, RateLimited
from core.refusals import AuthRefused
from integrations.breaches.pwned_passwords import PwnedPasswords
from services.common_passwords import CommonPasswords
from services.passwords import (
    MOST_CHARACTERS,
    PasswordBreached,
    PasswordHasher,
    Passwords,
    PasswordTooCommon,
    check_password,
)
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request
from tests.services.argon2_workbench import TINY_KIB, Workbench, workbench_of

COMMON = CommonPasswords.load()
EMAIL, NAME = "alice.smith@example.org", "Alice Smith"
GOOD = "tower velvet quartz"
SHORT, EASY = AuthErrorCode.PASSWORD_TOO_SHORT, AuthErrorCode.PASSWORD_TOO_COMMON


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=2)
    yield hasher
    await hasher.close()


@pytest.fixture
async def workbench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    with workbench_of(monkeypatch) as workbench:
        yield workbench


def verdict(password: str) -> str:
    """The code of its refusal, or ok."""
    try:
        check_password(password, COMMON, email=EMAIL, display_name=NAME)
    except (AuthRefused, InvalidInput) as error:
        refusal: AuthRefused | InvalidInput = error
    else:
        return "ok"
    if isinstance(refusal, AuthRefused):
        assert refusal.field == ["password"]
    else:
        assert refusal.details == {"field": ["input", "password"]}
    return refusal.code


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", SHORT),
        ("qX7$mmpz!", SHORT),
        ("qX7$mmpz!k", "ok"),
        ("ångströmöö", "ok"),
        ("a\u030ang\u0308st\u0308rm", SHORT),  # thirteen code points, nine once they are composed
        ("ﬁﬂoz ﬁtz", "ok"),  # eight code points, eleven once the ligatures are taken apart
        (" long enough ", "ok"),
        ("correct horse battery staple", "ok"),
        ("正しい馬の電池のホチキス", "ok"),
        ("strawberry", EASY),
        ("Password2024!", EASY),
        ("Ｐａｓｓｗｏｒｄ２０２４", EASY),
        ("qwertyuiop", EASY),
        ("aaaaaaaaaaaa", EASY),
        ("alice.smith1", EASY),
        ("Smith-2024-Alice", EASY),
        ("CryptoVault!", EASY),
        ("alice likes long trains", "ok"),
        ("half of a horse \ud83d", "BAD_USER_INPUT"),
    ],
)
def test_which_passwords_are_taken(password: str, expected: str) -> None:
    assert verdict(password) == expected


def test_the_bounds_of_the_length() -> None:
    longest = (GOOD * 60)[:MOST_CHARACTERS]
    assert verdict(longest) == "ok"
    assert verdict(longest + "x") == "BAD_USER_INPUT"
    assert verdict("\ufdfa" * 57) == "BAD_USER_INPUT", "one character of these is eighteen in NFKC"


def test_names_that_are_missing_or_short_refuse_nothing() -> None:
    check_password(GOOD, COMMON, email=None, display_name=None)
    check_password("tower velvet bo", COMMON, email="bo@x.io", display_name="Bo")


def test_refusals_have_a_template_and_its_values() -> None:
    with pytest.raises(AuthRefused) as caught:
        check_password("short", COMMON, email=EMAIL, display_name=NAME)
    assert (caught.value.text, caught.value.values) == ("expected at least {least} characters", {"least": 10})
    assert caught.value.message == "expected at least 10 characters"


@given(st.text(max_size=200))
def test_every_text_is_taken_or_refused(text: str) -> None:
    assert verdict(text) in {"ok", SHORT, EASY, "BAD_USER_INPUT"}


class Counter:
    """Have I Been Pwned, told what to answer."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.stolen: set[str] = set()
        self.venue = HttpVenue(self._answer)

    def _answer(self, request: Request) -> Reply:
        if self.reply is not None:
            return self.reply
        digests = [
            hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper() for password in self.stolen
        ]
        lines = [f"{digest[5:]}:9" for digest in digests if request.path.endswith(digest[:5])]
        return Reply("\r\n".join([f"{'0' * 35}:0", *lines]).encode())


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    counter = Counter()
    async with counter.venue.listening():
        yield counter


async def accept(
    counter: Counter, hasher: PasswordHasher, password: str, *, timeout_seconds: float = 30.0
) -> str | Exception:
    breaches = PwnedPasswords(counter.venue.url, clock=ManualClock(), timeout_seconds=timeout_seconds)
    try:
        return await Passwords(hasher, COMMON, breaches).accept(password, email=EMAIL, display_name=NAME)
    except Exception as error:  # noqa: BLE001
        return error
    finally:
        await breaches.close()


async def test_a_good_password_becomes_its_hash(counter: Counter, hasher: PasswordHasher) -> None:
    stored = await accept(counter, hasher, GOOD)
    assert isinstance(stored, str)
    assert (await hasher.verify(GOOD, stored)).matches
    assert len(counter.venue.requests) == 1


async def test_a_stolen_password_is_refused_in_whatever_form_it_is_typed(
    counter: Counter, hasher: PasswordHasher
) -> None:
    counter.stolen = {"finden Sie Ångström"}
    refused = await accept(counter, hasher, unicodedata.normalize("NFD", "ﬁnden Sie Ångström"))
    assert isinstance(refused, PasswordBreached)
    assert (refused.code, refused.field) == (AuthErrorCode.PASSWORD_BREACHED, ["password"])


async def test_a_stolen_password_is_refused_before_it_is_hashed(counter: Counter, workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=1, most_waiting=1)
    running = asyncio.create_task(hasher.verify(GOOD, None))
    await workbench.started.wait()
    counter.stolen = {GOOD}
    assert isinstance(await accept(counter, hasher, GOOD), PasswordBreached)
    waiting = asyncio.create_task(hasher.verify(GOOD, None))
    workbench.leave.set()
    assert not (await running).matches
    assert not (await waiting).matches, "its place was free again"
    await hasher.close()


async def test_an_easy_password_is_not_even_asked_for(counter: Counter, hasher: PasswordHasher) -> None:
    assert isinstance(await accept(counter, hasher, "Password2024!"), PasswordTooCommon)
    assert counter.venue.requests == []


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(status=503), Reply(b"<html>")])
async def test_a_service_that_fails_refuses_nobody(counter: Counter, hasher: PasswordHasher, reply: Reply) -> None:
    counter.reply = reply
    counter.stolen = {GOOD}
    assert isinstance(await accept(counter, hasher, GOOD, timeout_seconds=0.1), str)


async def test_a_full_queue_is_told_as_such(counter: Counter, workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=1, most_waiting=0)
    running = asyncio.create_task(hasher.verify(GOOD, None))
    await workbench.started.wait()
    counter.reply = Reply(silent=True)
    assert isinstance(await accept(counter, hasher, GOOD), RateLimited)
    workbench.leave.set()
    await running
    await hasher.close()
