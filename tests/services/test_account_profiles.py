"""What a person is shown of themselves is kept in memory, and is never older than the authority that requests are judged by."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.bus import MemoryBus
from core.cache import MemoryCache
from core.clock import ManualClock
from core.database import Database
from models import user
from tests.accounts import World, build_accounts, world
from tests.server.serving import eventually

WHO = "{ viewer { id email emailVerified displayName role status locale createdAt quoteAsset { code } } }"
RENAME = "mutation($n: String) { updateProfile(input: {displayName: $n}) { viewer { displayName } errors { code } } }"


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def test_a_change_is_seen_by_the_next_question(vault: World) -> None:
    ann, bob = await vault.signed_up("ann@example.com"), await vault.signed_up("bob@example.com")
    before = await vault.data(WHO, bob)
    for name in ("Ann", "Anna", None):
        told = await vault.data(RENAME, ann, n=name)
        assert told["updateProfile"]["viewer"] == {"displayName": name}
        assert (await vault.data(WHO, ann))["viewer"]["displayName"] == name
    assert await vault.data(WHO, bob) == before
    await user.set_pending_email(ann.user_id, email="new@example.com", email_key="new@example.com")
    row = await user.by_id(ann.user_id)
    assert row is not None
    assert (await vault.data(WHO, ann))["viewer"]["email"] == "ann@example.com"
    assert await user.set_email(row, now_ms=vault.clock.now_ms(), held_until_ms=0)
    await vault.accounts.reads._states.changed(ann.user_id)
    assert (await vault.data(WHO, ann))["viewer"]["email"] == "new@example.com"


async def test_a_kept_profile_asks_no_database(vault: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await vault.signed_up("ann@example.com")
    first = await vault.data(WHO, ann)

    async def away(_user_id: str) -> None:
        raise AssertionError("the database is asked")

    monkeypatch.setattr(user, "by_id", away)
    assert await vault.data(WHO, ann) == first


async def test_another_process_hears_of_a_change_and_shares_no_names(database: Database) -> None:
    bus, clock = MemoryBus(), ManualClock()
    cache = MemoryCache(clock)
    here, there = (build_accounts(bus=bus, cache=cache, clock=clock) for _ in range(2))
    async with world() as vault:
        ann = await vault.signed_up("ann@example.com")
    listening = [asyncio.create_task(each.revocations.run()) for each in (here, there)]
    try:
        await asyncio.sleep(0)
        await here.reads._states.of(ann.user_id)
        shared = await there.reads._states.of(ann.user_id)
        assert shared is not None
        assert shared.profile is None, "the shared cache holds no name and no address"
        profile = await there.reads._states.profile(ann.user_id)
        assert profile is not None
        assert (profile.email, profile.display_name) == ("ann@example.com", None)
        await user.set_profile(ann.user_id, {"display_name": "Ann"}, clock.now_ms())
        await here.reads._states.changed(ann.user_id)
        await eventually(lambda: ann.user_id not in there.reads._states._held)
        profile = await there.reads._states.profile(ann.user_id)
        assert profile is not None
        assert profile.display_name == "Ann"
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


async def test_nobody_is_nobody(vault: World) -> None:
    assert await vault.accounts.reads.profile("nobody") is None
