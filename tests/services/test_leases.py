import asyncio

import pytest

from core.clock import ManualClock
from core.database import Database
from models import lease
from services import leases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(leases, "RELEASE_SECONDS", 15.0)


async def test_only_one_works_and_the_next_takes_over(database: Database) -> None:
    clock = ManualClock()
    running: list[str] = []
    begun = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def work(name: str) -> None:
        running.append(name)
        begun[name].set()
        try:
            await asyncio.Event().wait()
        finally:
            running.remove(name)

    async with asyncio.timeout(20):
        first = asyncio.create_task(leases.run_as_only_one("feeds", "a", clock, lambda _: work("a")))
        await begun["a"].wait()
        second = asyncio.create_task(leases.run_as_only_one("feeds", "b", clock, lambda _: work("b")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await begun["b"].wait()
        assert running == ["a"]
        first.cancel()
        await begun["b"].wait()
        assert running == ["b"]
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert running == []


async def test_a_holder_that_is_overtaken_stops_its_work(database: Database) -> None:
    clock = ManualClock()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(_: leases.Holding) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(20):
        holder = asyncio.create_task(leases.run_as_only_one("feeds", "old", clock, work))
        await begun.wait()
        late = clock.now_ms() + 60_000
        assert await lease.take("feeds", "new", now_ms=late, expires_ms=late + 10_000)
        with pytest.raises(leases.LeaseLost):
            await holder
    assert ended.is_set()
    assert not await lease.take("feeds", "third", now_ms=late, expires_ms=late + 1)


async def test_the_works_own_failure_is_passed_on_and_frees_the_lease(database: Database) -> None:
    async def work(_: leases.Holding) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await leases.run_as_only_one("feeds", "a", ManualClock(), work)
    assert await lease.take("feeds", "b", now_ms=1, expires_ms=2)


async def test_who_is_cancelled_while_it_is_given_the_lease_does_not_keep_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taken = lease.take, asyncio.Event()

    async def answered_late(name: str, holder: str, *, now_ms: int, expires_ms: int) -> bool:
        await take(name, holder, now_ms=now_ms, expires_ms=expires_ms)
        taken.set()
        await asyncio.Event().wait()
        return True

    async def work(_: leases.Holding) -> None:
        pytest.fail("nobody was told that it is held")

    monkeypatch.setattr(lease, "take", answered_late)
    waiting = asyncio.create_task(leases.run_as_only_one("feeds", "a", ManualClock(), work))
    async with asyncio.timeout(30):
        await taken.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await take("feeds", "b", now_ms=1, expires_ms=2)


async def test_a_renewal_that_comes_after_the_release_keeps_nothing(database: Database) -> None:
    """A holder that ends leaves one on its way when it is cancelled in the middle of it."""
    assert await lease.take("feeds", "a", now_ms=1_000, expires_ms=11_000)
    await lease.give_back("feeds", "a")
    assert not await lease.renew("feeds", "a", expires_ms=12_000)
    assert await lease.take("feeds", "b", now_ms=1_001, expires_ms=11_001)
    await lease.give_back("feeds", "a")
    assert await lease.renew("feeds", "b", expires_ms=12_000)
