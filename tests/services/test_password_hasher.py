"""How passwords are stored and checked, and that hashing them holds nobody else up."""

import asyncio
import os
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator

import bcrypt
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from core.errors import InvalidInput, InvariantBroken, RateLimited
from services.passwords import MOST_CHARACTERS, PasswordHasher, Verified
from tests.services.argon2_workbench import TINY_KIB, Workbench, workbench_of

GOOD = "tower velvet quartz"
SALT = b"$2b$04$abcdefghijklmnopqrstuu"
LONG_BCRYPT = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored"


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=2)
    yield hasher
    await hasher.close()


@pytest.fixture
async def workbench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    with workbench_of(monkeypatch) as workbench:
        yield workbench


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_default_cost_is_what_owasp_recommends_first() -> None:
    hasher = PasswordHasher(workers=1)
    hashing = asyncio.create_task(hasher.hash(GOOD))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10, "Argon2 holds the loop up"
    stored = hashing.result()
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert await hasher.verify(GOOD, stored) == Verified(matches=True, new_hash=None)
    await hasher.close()


async def test_a_hash_is_salted_and_matches_its_password_alone(hasher: PasswordHasher) -> None:
    stored, again = await hasher.hash(GOOD), await hasher.hash(GOOD)
    assert stored != again
    for password, matches in ((GOOD, True), (GOOD.upper(), False), (GOOD + " ", False), ("", False)):
        answer = await hasher.verify(password, stored)
        assert (answer.matches, answer.new_hash) == (matches, None)


async def test_a_password_is_the_same_however_it_is_composed(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("Ångströme ﬁnden")
    assert (await hasher.verify(unicodedata.normalize("NFD", "Ångströme finden"), stored)).matches


async def test_nothing_is_cut_off(hasher: PasswordHasher) -> None:
    longest = (GOOD * 60)[:MOST_CHARACTERS]
    stored = await hasher.hash(longest)
    assert (await hasher.verify(longest, stored)).matches
    assert not (await hasher.verify(longest[:-1] + "#", stored)).matches
    assert not (await hasher.verify(longest + "#", stored)).matches
    with pytest.raises(InvalidInput):
        await hasher.hash(longest + "#")


async def test_what_cannot_be_a_password_matches_nothing(hasher: PasswordHasher) -> None:
    stored = await hasher.hash(GOOD)
    for password in ("\ud83d", "x" * 200_000):
        assert not (await hasher.verify(password, stored)).matches
        assert not (await hasher.verify(password, None)).matches


async def test_without_a_hash_the_same_work_is_done_in_vain(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = Argon2Hasher.verify

    def spy(argon2: Argon2Hasher, text: str, stored: str) -> bool:
        checked.append(stored)
        assert not argon2.check_needs_rehash(stored)
        return verify(argon2, text, stored)

    stored = await hasher.hash(GOOD)
    monkeypatch.setattr(Argon2Hasher, "verify", spy)
    for known in (stored, None):
        answer = await hasher.verify("tower velvet Quartz", known)
        assert (answer.matches, answer.new_hash) == (False, None)
    parts, nobodys = (hash_.split("$") for hash_ in checked)
    assert parts[:4] == nobodys[:4]
    assert [len(part) for part in parts] == [len(part) for part in nobodys]


async def test_a_hash_of_other_parameters_is_replaced_at_the_right_password(hasher: PasswordHasher) -> None:
    older = PasswordHasher(memory_kib=TINY_KIB, passes=2, workers=1)
    stored = await older.hash(GOOD)
    await older.close()
    assert (await hasher.verify("another one", stored)).new_hash is None
    answer = await hasher.verify(GOOD, stored)
    assert answer.matches
    assert answer.new_hash is not None
    assert answer.new_hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    again = await hasher.verify(GOOD, answer.new_hash)
    assert (again.matches, again.new_hash) == (True, None)


@pytest.mark.parametrize(
    ("password", "stored"),
    [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"),
        (LONG_BCRYPT, "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"),
        (LONG_BCRYPT, "$2y$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"),
        ("ﬁnden Sie Ångström", bcrypt.hashpw("ﬁnden Sie Ångström".encode(), SALT).decode()),
        ("ü" * 50, bcrypt.hashpw(("ü" * 36).encode(), SALT).decode()),
    ],
)
async def test_another_programs_bcrypt_hash_is_replaced(hasher: PasswordHasher, password: str, stored: str) -> None:
    wrong = await hasher.verify("x" + password, stored)
    assert (wrong.matches, wrong.new_hash) == (False, None)
    answer = await hasher.verify(password, stored)
    assert answer.matches
    assert answer.new_hash is not None
    assert (await hasher.verify(password, answer.new_hash)).matches


async def test_the_new_hash_is_of_the_whole_password(hasher: PasswordHasher) -> None:
    stored = bcrypt.hashpw(b"x" * 72, SALT).decode()
    new_hash = (await hasher.verify("x" * 80, stored)).new_hash
    assert (await hasher.verify("x" * 80, new_hash)).matches
    assert not (await hasher.verify("x" * 72, new_hash)).matches


@pytest.mark.parametrize("stored", ["", "plain text", "$1$salt$md5", "$argon2id$"])
async def test_an_unknown_kind_of_hash_is_a_fault_of_ours(hasher: PasswordHasher, stored: str) -> None:
    with pytest.raises(InvariantBroken) as caught:
        await hasher.verify(GOOD, stored)
    assert not stored or stored not in str(caught.value)


async def test_forty_checks_at_once_leave_the_loop_free(workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=2)
    stored = await hasher.hash(GOOD)
    checks = asyncio.gather(*(hasher.verify(GOOD, stored if number % 2 else None) for number in range(40)))
    await workbench.started.wait()
    for _ in range(1000):  # each is a whole turn of the loop, while every worker is busy
        await asyncio.sleep(0)
    assert not checks.done()
    workbench.leave.set()
    answers = await checks
    assert [answer.matches for answer in answers] == [False, True] * 20
    assert len(workbench.threads) == 40
    assert workbench.most_at_once <= 2
    assert threading.get_ident() not in workbench.threads
    await hasher.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has a priority per thread")
async def test_workers_make_way_for_the_rest(hasher: PasswordHasher, workbench: Workbench) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    workbench.leave.set()
    await hasher.verify(GOOD, None)
    assert workbench.niceness == {19}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_the_queue_is_bounded_and_a_cancelled_caller_leaves_it(workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=1, most_waiting=2)
    running, first, second = (asyncio.create_task(hasher.verify(GOOD, None)) for _ in range(3))
    await workbench.started.wait()
    with pytest.raises(RateLimited) as caught:
        await hasher.verify(GOOD, None)
    assert caught.value.details == {"retryAfter": 5}
    with pytest.raises(RateLimited):
        await hasher.hash(GOOD)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    third = asyncio.create_task(hasher.verify(GOOD, None))
    await settled()
    with pytest.raises(RateLimited):
        await hasher.verify(GOOD, None)
    workbench.leave.set()
    await asyncio.gather(running, second, third)
    assert len(workbench.threads) == 3, "what was given up is never hashed"
    assert not (await hasher.verify(GOOD, None)).matches
    await hasher.close()


async def test_a_caller_that_gives_up_while_it_is_served_gives_its_place_back(workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=1, most_waiting=0)
    running = asyncio.create_task(hasher.verify(GOOD, None))
    await workbench.started.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    following = asyncio.create_task(hasher.verify(GOOD, None))
    workbench.leave.set()
    assert not (await following).matches
    assert workbench.most_at_once == 1
    await hasher.close()


async def test_closing_cancels_those_who_wait(workbench: Workbench) -> None:
    hasher = PasswordHasher(memory_kib=TINY_KIB, workers=1)
    running, waiting = (asyncio.create_task(hasher.verify(GOOD, None)) for _ in range(2))
    await workbench.started.wait()
    closing = asyncio.create_task(hasher.close())
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    workbench.leave.set()
    await closing
    assert not (await running).matches
    assert len(workbench.threads) == 1
