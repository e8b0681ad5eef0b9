import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from structlog.testing import capture_logs

from core.bus import MemoryBus
from core.clock import ManualClock, SystemClock
from core.database import Database
from core.vocabulary import FeedStatus
from events.market import FeedChanged
from server import health as health_module
from server.health import Answer, Health, feeds_check
from server.metrics import Metrics
from server.monitoring import monitoring_app


def part(*, healthy: bool, asked: list[str] | None = None) -> Callable[[], Awaitable[Answer]]:
    async def check() -> Answer:
        if asked is not None:
            asked.append("asked")
        return Answer(healthy=healthy, detail="fine" if healthy else "broken cable", latency_ms=1.5)

    return check


def client(health: Health) -> httpx.AsyncClient:
    app = monitoring_app(health, Metrics())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def test_ready_when_every_part_is() -> None:
    async with client(Health({"database": part(healthy=True)}, ManualClock())) as http:
        answer = await http.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "failing": [],
        "parts": {"database": {"healthy": True, "detail": "fine", "latencyMs": 1.5}},
    }


async def test_not_ready_names_the_part_and_stays_alive() -> None:
    async with client(Health({"database": part(healthy=False), "bus": part(healthy=True)}, ManualClock())) as http:
        answer = await http.get("/health/ready")
        alive = await http.get("/health/live")
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["database"]
    assert answer.json()["parts"]["database"]["detail"] == "broken cable"
    assert alive.status_code == 200


async def test_probes_share_an_answer_for_a_second() -> None:
    asked: list[str] = []
    clock = ManualClock()
    health = Health({"database": part(healthy=True, asked=asked)}, clock)
    await asyncio.gather(*(health.ready() for _ in range(50)))
    clock.advance(health_module.KEPT_SECONDS - 0.01)
    await health.ready()
    assert len(asked) == 1
    clock.advance(0.02)
    await health.ready()
    assert len(asked) == 2


async def test_a_part_that_hangs_fails_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(health_module, "CHECK_SECONDS", 0.05)
    readiness = await Health({"database": hang, "bus": part(healthy=True)}, ManualClock()).ready()
    assert readiness.failing == ["database"]
    assert "no answer" in readiness.parts["database"].detail


async def test_a_check_that_raises_fails_without_showing_why() -> None:
    async def broken() -> Answer:
        raise RuntimeError("password=hunter2")

    with capture_logs() as logs:
        readiness = await Health({"database": broken}, ManualClock()).ready()
    assert readiness.failing == ["database"]
    assert "hunter2" not in readiness.parts["database"].detail
    assert [(line["event"], line["part"]) for line in logs] == [("health.check_failed", "database")]


async def test_a_probe_that_goes_away_does_not_end_the_question_for_others() -> None:
    release = asyncio.Event()

    async def slow() -> Answer:
        await release.wait()
        return Answer(healthy=True, detail="fine")

    health = Health({"database": slow}, ManualClock())
    gone, waiting = asyncio.create_task(health.ready()), asyncio.create_task(health.ready())
    await asyncio.sleep(0)
    gone.cancel()
    release.set()
    assert (await waiting).failing == []


async def test_the_real_database_and_bus_are_checks_as_they_stand(database: Database) -> None:
    health = Health({"database": database.check, "bus": MemoryBus().health}, SystemClock())
    assert (await health.ready()).failing == []


def feed(symbol: str, status: FeedStatus) -> FeedChanged:
    return FeedChanged(symbol, status, source=None, series=None, last_update_ms=None, latency_ms=None, sources=())


async def test_feeds_are_healthy_while_one_market_has_a_price() -> None:
    some = [feed("BTC-USD", FeedStatus.DOWN), feed("ETH-USD", FeedStatus.SIMULATED)]
    answer = await feeds_check(lambda: some)()
    assert answer.healthy
    assert answer.detail == "1 of 2 markets have a price; without: BTC-USD"


async def test_feeds_fail_when_no_market_has_a_price() -> None:
    stale = [feed(f"A{number}-USD", FeedStatus.STALE) for number in range(7)]
    answer = await feeds_check(lambda: stale)()
    assert not answer.healthy
    assert answer.detail.startswith("0 of 7 markets have a price; without: A0-USD,")
    assert answer.detail.endswith("and more")
    assert not (await feeds_check(lambda: [])()).healthy
