"""Authority that ends: known at once where it is ended, by the bus in other processes, and by looking where the bus is cut."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from pymongo.errors import ServerSelectionTimeoutError
from structlog.testing import capture_logs

from core.account_vocabulary import ApiScope, AuthFactor, Role, SessionMethod, UserStatus
from core.bus import Bus, MemoryBus
from core.cache import Cache, MemoryCache
from core.clock import ManualClock
from core.database import Database
from core.message_seal import SEAL_BYTES, MessageSeal
from core.secret_box import SecretBox
from events.account import AUTHORITY_TOPIC, AccountChanged, SessionsEnded
from models import api_key, session, user
from models.user import UserDocument
from services import account_states, api_key_states, revocations
from services.account_services import AccountServices
from services.api_keys import WantedKey
from services.authority import CredentialRejected
from services.revocations import OVERLAP_MS
from services.sessions import OpenedSession
from services.viewer import Viewer
from tests.accounts import BOX, CLIENT, build_accounts

NEVER = 3_600.0
WANTED = WantedKey("a program", [ApiScope.READ], [], None)


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """No process looks by itself, so that what is known is known by the bus; call it to let them look so often."""

    def every(seconds: float) -> None:
        monkeypatch.setattr(revocations, "LOOK_SECONDS", seconds)

    every(NEVER)
    return every


@dataclass
class Processes:
    """Two processes on one database. Each has a bus and a cache of its own unless they are given."""

    clock: ManualClock = field(default_factory=ManualClock)
    bus: Bus | None = None
    cache: Cache | None = None
    here: AccountServices = field(init=False)
    there: AccountServices = field(init=False)

    def __post_init__(self) -> None:
        self.here, self.there = self.made(), self.made()

    def made(self) -> AccountServices:
        return build_accounts(
            clock=self.clock, bus=self.bus or MemoryBus(), cache=self.cache or MemoryCache(self.clock)
        )


@asynccontextmanager
async def running(*processes: AccountServices) -> AsyncIterator[None]:
    """Processes that hear and look while the block runs."""
    for process in processes:
        await process.load()
    tasks = [asyncio.create_task(process.revocations.run()) for process in processes]
    await asyncio.sleep(0)
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture
async def joined(database: Database) -> AsyncIterator[Processes]:
    """Two processes on one bus."""
    clock = ManualClock()
    processes = Processes(clock, MemoryBus(), MemoryCache(clock))
    async with running(processes.here, processes.there):
        yield processes


@pytest.fixture
async def apart(database: Database) -> AsyncIterator[Processes]:
    """Two processes between which the bus is cut."""
    processes = Processes()
    async with running(processes.here, processes.there):
        yield processes


async def opened(process: AccountServices, user_id: str = "alice") -> OpenedSession:
    """A session of this person, who is made when needed."""
    person = await user.by_id(user_id)
    if person is None:
        person = UserDocument(
            id=user_id, email_key=user_id, locale="en", quote_asset="USD", created_ms=0, authority_ms=0
        )  # fmt: skip
        await user.insert(person)
    return await process.sessions.open(
        person, SessionMethod.PASSWORD, [AuthFactor.PASSWORD], CLIENT, device_name=None, device_hash=None
    )


async def viewer(process: AccountServices, credential: str) -> Viewer:
    return await process.authority.viewer_of(credential, CLIENT)


async def takes(process: AccountServices, credential: str) -> bool:
    """Whether this process believes the credential."""
    with contextlib.suppress(CredentialRejected):
        await viewer(process, credential)
        return True
    return False


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Return as soon as it holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.002)


async def test_the_process_that_ends_a_session_knows_at_once(joined: Processes) -> None:
    one, other = await opened(joined.here), await opened(joined.here)
    assert await takes(joined.here, one.tokens.access)
    with joined.here.revocations.watch(one.session.id) as told, joined.here.revocations.watch(other.session.id) as idle:
        await joined.here.revocations.end_sessions("alice", [one.session.id], "a test")
        assert told.result() == "the session has ended"
        assert not idle.done()
    assert not await takes(joined.here, one.tokens.access)
    assert await takes(joined.here, other.tokens.access)


async def test_other_processes_know_by_the_bus(joined: Processes) -> None:
    one, other = await opened(joined.here), await opened(joined.here)
    with (
        joined.there.revocations.watch(one.session.id) as told,
        joined.there.revocations.watch(other.session.id) as idle,
    ):
        assert await takes(joined.there, one.tokens.access)
        await joined.here.revocations.end_sessions("alice", [one.session.id], "a test")
        async with asyncio.timeout(30):
            assert await told == "the session has ended"
        assert not await takes(joined.there, one.tokens.access)
        assert await takes(joined.there, other.tokens.access)
        assert not idle.done()


async def test_with_the_bus_cut_they_look_and_know_within_two_seconds(
    apart: Processes, looks: Callable[[float], None]
) -> None:
    """At the pace of production, by the machine's own clock."""
    looks(1.0)
    process = apart.made()
    async with running(process):
        one = await opened(apart.here)
        with process.revocations.watch(one.session.id) as told:
            assert await takes(process, one.tokens.access)
            await apart.here.revocations.end_sessions("alice", [one.session.id], "a test")
            started = time.monotonic()
            async with asyncio.timeout(2):
                await told
            assert time.monotonic() - started < 2
        assert not await takes(process, one.tokens.access)


async def test_a_gap_of_the_bus_is_no_end_of_hearing(joined: Processes) -> None:
    one = await opened(joined.here)
    flood = SessionsEnded("bob", tuple(f"session {number}" for number in range(10)), joined.clock.now_ms())
    assert joined.bus is not None
    for _ in range(10_001):
        joined.bus.publish(AUTHORITY_TOPIC, flood)
    await asyncio.sleep(0)
    await joined.here.revocations.end_sessions("alice", [one.session.id], "a test")
    await eventually(lambda: refused(joined.there, one.tokens.access))


async def refused(process: AccountServices, credential: str) -> bool:
    return not await takes(process, credential)


@pytest.mark.parametrize("seconds", [-14.0, 14.0])
async def test_a_look_bridges_clocks_that_differ(
    database: Database, looks: Callable[[float], None], seconds: float
) -> None:
    """The end is written down by the clock of the process that ends, and looked for by another one's."""
    looks(0.002)
    here = Processes()
    there = Processes(ManualClock(here.clock.now_ms() + round(seconds * 1000)))
    assert abs(seconds) * 1000 < OVERLAP_MS
    async with running(there.there):
        await here.here.load()
        one = await opened(here.here)
        for _ in range(3):
            there.clock.advance(1)
            here.clock.advance(1)
            await asyncio.sleep(0.01)
        await here.here.revocations.end_sessions("alice", [one.session.id], "a test")
        async with asyncio.timeout(30):
            while not there.there.revocations.is_ended(one.session.id):
                await asyncio.sleep(0.002)


async def test_a_process_that_starts_knows_what_ended_within_the_life_of_a_token(apart: Processes) -> None:
    one = await opened(apart.here)
    await apart.here.revocations.end_sessions("alice", [one.session.id], "a test")
    apart.clock.advance(899.999)
    late = apart.made()
    assert not late.revocations.trusted
    await late.load()
    assert late.revocations.is_ended(one.session.id)
    assert await refused(late, one.tokens.access)


async def test_a_session_that_has_ended_ends_once(joined: Processes) -> None:
    one = await opened(joined.here)
    assert await joined.here.revocations.end_sessions("alice", [one.session.id], "first") == 1
    joined.clock.advance(5)
    assert await joined.there.revocations.end_sessions("alice", [one.session.id], "second") == 0
    assert await joined.here.revocations.end_sessions("alice", [], "nothing") == 0
    row = await session.by_id(one.session.id)
    assert row is not None
    assert (row.end_reason, row.ended_ms) == ("first", joined.clock.now_ms() - 5_000)


class Away:
    """A database that does not answer while it is told not to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.asked = 0
        ended_since = session.ended_since

        async def answer(since_ms: int) -> Any:
            self.asked += 1
            if self.away:
                raise ServerSelectionTimeoutError("away")
            return await ended_since(since_ms)

        monkeypatch.setattr(session, "ended_since", answer)


async def test_nothing_is_trusted_half_a_minute_after_the_last_look(
    apart: Processes, looks: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks(0.002)
    database = Away(monkeypatch)
    process = apart.made()
    assert not process.revocations.trusted, "before the first look"
    async with running(process):
        assert process.revocations.trusted
        with capture_logs() as logs:
            database.away = True
            before = database.asked
            await eventually(lambda: reached(database, before + 3))
            one = await opened(apart.here)
            await apart.here.revocations.end_sessions("alice", [one.session.id], "a test")
            apart.clock.advance(30)
            assert process.revocations.trusted
            apart.clock.advance(0.001)
            assert not process.revocations.trusted
            apart.clock.advance(300)
        assert {line["event"] for line in logs} == {"revocations.not_read"}
        assert await takes(process, one.tokens.access), "known tokens go on meanwhile"
        database.away = False
        await eventually(lambda: refused(process, one.tokens.access))
        await eventually(lambda: trusts(process))


async def reached(database: Away, asked: int) -> bool:
    return database.asked >= asked


async def trusts(process: AccountServices) -> bool:
    return process.revocations.trusted


async def test_a_change_that_was_heard_counts_more_than_what_the_shared_cache_holds(joined: Processes) -> None:
    one = await opened(joined.here)
    assert joined.cache is not None
    for process in (joined.here, joined.there):
        assert (await viewer(process, one.tokens.access)).role is Role.USER
    old = await cached(joined.cache)

    await changed(joined.here, Role.SUPPORT, joined.clock)
    await eventually(lambda: has_role(joined.there, one.tokens.access, Role.SUPPORT))
    for _ in range(3):
        joined.clock.advance(31)  # nothing is held here any more
        slow = [joined.clock.now_ms(), *old[1:]]  # a slow process puts back what it had read before
        await joined.cache.set("account:alice", sealed("account:alice", orjson.dumps(slow)), ttl_seconds=NEVER)
        for process in (joined.here, joined.there):
            assert (await viewer(process, one.tokens.access)).role is Role.SUPPORT


def sealed(key: str, body: bytes) -> bytes:
    return MessageSeal(BOX, "cache").of(key.encode(), body) + body


async def cached(cache: Cache) -> list[Any]:
    """What lies there of alice: when it was read, and her state."""
    found = await cache.get("account:alice")
    assert found is not None
    read: list[Any] = orjson.loads(found[SEAL_BYTES:])
    return read


async def changed(process: AccountServices, role: Role, clock: ManualClock) -> None:
    await user.set_role("alice", role, clock.now_ms())
    await process.authority._states.changed("alice")


async def has_role(process: AccountServices, token: str, role: Role) -> bool:
    return (await viewer(process, token)).role is role


async def test_a_change_is_found_by_looking_where_the_bus_is_cut(
    apart: Processes, looks: Callable[[float], None]
) -> None:
    looks(0.002)
    process = apart.made()
    async with running(process):
        one = await opened(apart.here)
        assert (await viewer(process, one.tokens.access)).status is UserStatus.ACTIVE
        now_ms = apart.clock.now_ms()
        await user.set_status("alice", UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
        await eventually(lambda: has_status(process, one.tokens.access, UserStatus.FROZEN))


async def has_status(process: AccountServices, token: str, status: UserStatus) -> bool:
    return (await viewer(process, token)).status is status


async def test_whoever_neither_hears_nor_looks_believes_an_old_state_for_a_minute(database: Database) -> None:
    """By way of the shared cache and of two processes, each of which keeps what it has read."""
    clock = ManualClock()
    processes = Processes(clock, None, MemoryCache(clock))
    for process in (processes.here, processes.there):
        await process.load()
    one = await opened(processes.here)
    await viewer(processes.here, one.tokens.access)
    await user.set_role("alice", Role.SUPPORT, clock.now_ms())
    clock.advance(29.999)
    assert await has_role(processes.there, one.tokens.access, Role.USER), "from the shared cache, and kept from now on"
    clock.advance(0.001)
    late = processes.made()
    await late.tokens.load()
    assert await has_role(late, one.tokens.access, Role.SUPPORT), "the shared cache has forgotten it"
    clock.advance(29.997)
    assert await has_role(processes.there, one.tokens.access, Role.USER)
    clock.advance(0.002)
    for process in (processes.here, processes.there):
        assert await has_role(process, one.tokens.access, Role.SUPPORT)


NO_STATES = (b"", b"{}", b"null", b"5", b"[]", b'["x"]', b'[0,null,"USER","ACTIVE",true,"en"]', b'[0,9,"KING","ACTIVE",true,"en"]', b'["x",9,"ADMIN","ACTIVE",true,"en"]')  # fmt: skip


async def test_what_is_no_state_in_the_shared_cache_is_not_believed(apart: Processes) -> None:
    cache = MemoryCache(apart.clock)
    one = await opened(apart.here)
    for data in NO_STATES:
        process = Processes(apart.clock, MemoryBus(), cache).here
        await process.load()
        now_ms = str(apart.clock.now_ms()).encode()
        await cache.set("account:alice", sealed("account:alice", data.replace(b"[0", b"[" + now_ms)))
        assert (await viewer(process, one.tokens.access)).role is Role.USER, data
        assert (await cached(cache))[2] == "USER", "it is replaced by what the database says"


@pytest.mark.parametrize("status", UserStatus)
async def test_nobody_becomes_an_operator_by_writing_into_the_shared_cache(
    apart: Processes, status: UserStatus
) -> None:
    cache, now_ms = MemoryCache(apart.clock), apart.clock.now_ms()
    one = await opened(apart.here)
    forged = orjson.dumps([now_ms, 999, Role.ADMIN, status, True, "en"])
    long_ago = orjson.dumps([now_ms - 30_001, 999, Role.ADMIN, status, True, "en"])
    right = MessageSeal(BOX, "cache")
    for data in (
        forged,
        bytes(SEAL_BYTES) + forged,
        MessageSeal(SecretBox([bytes(32)]), "cache").of(b"account:alice", forged) + forged,
        MessageSeal(BOX, "bus").of(b"account:alice", forged) + forged,
        right.of(b"account:bob", forged) + forged,
        right.of(b"account:alice", long_ago) + forged,
        sealed("account:alice", long_ago),
    ):
        process = Processes(apart.clock, MemoryBus(), cache).here
        await process.load()
        await cache.set("account:alice", data)
        viewed = await viewer(process, one.tokens.access)
        assert (viewed.role, viewed.status) == (Role.USER, UserStatus.ACTIVE), data


async def new_key(process: AccountServices, **wanted: Any) -> str:
    one = await opened(process)
    viewer = await process.authority.viewer_of(one.tokens.access, CLIENT)
    _, secret = await process.api_keys.create(viewer, replace(WANTED, **wanted), CLIENT)
    return secret


async def owner(process: AccountServices) -> Viewer:
    return await viewer(process, (await opened(process)).tokens.access)


async def test_a_key_that_ends_is_over_in_every_process_by_the_bus(joined: Processes) -> None:
    secret, other = await new_key(joined.here), await new_key(joined.here)
    key_id = (await viewer(joined.there, secret)).api_key_id or ""
    assert await takes(joined.here, secret)
    with joined.there.revocations.watch(key_id) as told:
        await joined.here.api_keys.revoke(await owner(joined.here), key_id, CLIENT)
        async with asyncio.timeout(30):
            assert await told == "the API key has ended"
    for process in (joined.here, joined.there):
        assert await refused(process, secret)
        assert await takes(process, other)


async def test_a_key_that_ends_or_changes_is_found_by_looking_where_the_bus_is_cut(
    apart: Processes, looks: Callable[[float], None]
) -> None:
    looks(0.002)
    process = apart.made()
    async with running(process):
        secret, other = await new_key(apart.here), await new_key(apart.here)
        for text in (secret, other):
            assert await takes(process, text)
        ended, narrowed = [(await viewer(process, text)).api_key_id or "" for text in (secret, other)]
        alice = await owner(apart.here)
        with process.revocations.watch(ended) as first, process.revocations.watch(narrowed) as second:
            await apart.here.api_keys.revoke(alice, ended, CLIENT)
            apart.clock.advance(1)
            await apart.here.api_keys.update(alice, narrowed, CLIENT, name=None, ip_allowlist=["198.51.100.7"])
            async with asyncio.timeout(30):
                assert await first == "the API key has ended"
                assert await second == "the API key has changed; connect again"
        assert await refused(process, secret)
        assert await refused(process, other)


async def test_a_change_of_a_key_is_told_once_and_a_new_name_is_none(
    apart: Processes, looks: Callable[[float], None]
) -> None:
    looks(0.002)
    process = apart.made()
    async with running(process):
        secret = await new_key(apart.here)
        key_id = (await viewer(process, secret)).api_key_id or ""
        alice = await owner(apart.here)
        for _ in range(2):
            apart.clock.advance(1)
            with process.revocations.watch(key_id) as told:
                await apart.here.api_keys.update(alice, key_id, CLIENT, name=None, ip_allowlist=["192.0.2.0/24"])
                async with asyncio.timeout(30):
                    await told
            with process.revocations.watch(key_id) as again:
                await apart.here.api_keys.update(alice, key_id, CLIENT, name="another name", ip_allowlist=None)
                await asyncio.sleep(0.05)
                assert not again.done(), "looks that meet the same change again tell nothing"
        assert await takes(process, secret)


async def test_what_has_ended_is_forgotten_once_no_token_of_it_can_last(apart: Processes) -> None:
    process = apart.here
    for _ in range(3):
        one = await opened(process)
        await process.revocations.end_sessions("alice", [one.session.id], "a test")
    known = process.revocations._ended
    apart.clock.advance(960)
    process.revocations._forget(apart.clock.now_ms() - 960_000)
    assert len(process.revocations._ended) == len(known) == 3
    process.revocations._forget(apart.clock.now_ms() - 960_000 + 1)
    assert process.revocations._ended == {}


async def test_watchers_leave_nothing_behind(apart: Processes) -> None:
    revoked = apart.here.revocations
    for number in range(5):
        with revoked.watch(f"session {number}"), revoked.watch(f"session {number}"):
            assert len(revoked._watchers) == 1
    with contextlib.suppress(ValueError), revoked.watch("a session"):
        raise ValueError
    assert revoked._watchers == {}


async def test_a_watcher_of_what_has_ended_is_told_at_once(apart: Processes) -> None:
    one = await opened(apart.here)
    await apart.here.revocations.end_sessions("alice", [one.session.id], "a test")
    with apart.here.revocations.watch(one.session.id) as told:
        assert told.result() == "the session has ended"


async def test_no_memory_of_accounts_or_keys_grows_without_bound(
    joined: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_states, "_HELD", 3)
    monkeypatch.setattr(api_key_states, "_HELD", 3)
    assert joined.bus is not None
    states, keys = joined.here.authority._states, joined.here.authority._keys
    for number in range(8):
        await viewer(joined.here, (await opened(joined.here, f"person {number}")).tokens.access)
        await joined.here.authority._states.changed(f"person {number}")
        joined.bus.publish(AUTHORITY_TOPIC, AccountChanged(f"stranger {number}", 2))
        await refused(joined.here, f"cvk_{number:012}_x")
    alice = await owner(joined.here)
    for number in range(8):
        joined.clock.advance(1)
        secret = await new_key(joined.here)
        key_id = (await viewer(joined.here, secret)).api_key_id or ""
        await joined.here.api_keys.update(alice, key_id, CLIENT, name=None, ip_allowlist=["192.0.2.0/24"])
        if number % 2:
            await joined.here.api_keys.revoke(alice, key_id, CLIENT)
    await keys._look(0)
    await states._look(0)
    sizes = [len(states._held), len(states._least), len(keys._held), len(keys._ended), len(keys._changed)]
    assert max(sizes) <= 3
    assert await api_key.of_user("alice")
