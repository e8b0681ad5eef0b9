"""The HTTP client all providers share: retries, requested waits, the circuit breaker, and what its errors say."""

import logging
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from email.utils import format_datetime

import pytest

from core.clock import ManualClock, to_datetime
from integrations.feeds.base import ProviderUnavailable
from integrations.feeds.http import HttpPolicy, ProviderHttp, RateLimited
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request

POLICY = HttpPolicy(total_seconds=2, attempts=3, first_backoff_seconds=1, most_backoff_seconds=4)
SECRET = "not-to-be-shown"


class Script:
    """Answers in turn; the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def __call__(self, request: Request) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class Asker:
    """A client on a clock that moves only by its own waiting."""

    def __init__(self, venue: HttpVenue, policy: HttpPolicy = POLICY, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.waits: list[float] = []
        self.http = ProviderHttp(
            f"{venue.url}/v3/{SECRET}",
            clock=self.clock,
            headers={"X-Key": SECRET},
            policy=policy,
            randomness=random.Random(1),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)

    async def fails(self) -> ProviderUnavailable:
        with pytest.raises(ProviderUnavailable) as caught:
            await self.http.get("/path", {"a": 1})
        return caught.value


@pytest.fixture
async def venue() -> AsyncIterator[HttpVenue]:
    venue = HttpVenue(Script(Reply({"price": Decimal("0.1000000000000000000001")})))
    async with venue.listening():
        yield venue


async def test_numbers_arrive_exact_and_keys_are_sent(venue: HttpVenue) -> None:
    asker = Asker(venue)
    assert await asker.http.get("/path", {"a": 1}) == {"price": Decimal("0.1000000000000000000001")}
    assert await asker.http.post("", [1]) == {"price": Decimal("0.1000000000000000000001")}
    got, posted = venue.requests
    assert (got.method, got.path, got.query) == ("GET", f"/v3/{SECRET}/path", {"a": "1"})
    assert (posted.method, posted.path, posted.body) == ("POST", f"/v3/{SECRET}", [1])
    assert got.headers["x-key"] == SECRET
    await asker.http.close()
    assert await asker.http.get("/path")
    await asker.http.close()


@pytest.mark.parametrize("bad", [Reply(status=500), Reply(status=503), Reply(b"<html>"), Reply(b"NaN"), Reply(b"\xff")])
async def test_a_passing_failure_is_tried_again_after_a_growing_wait(venue: HttpVenue, bad: Reply) -> None:
    venue.answer = Script(bad, bad, Reply({"ok": 1}))
    asker = Asker(venue)
    assert await asker.http.get("/path") == {"ok": 1}
    assert len(asker.waits) == 2
    assert all(step / 2 <= wait <= step for wait, step in zip(asker.waits, (1, 2), strict=True))


async def test_tries_are_bounded(venue: HttpVenue) -> None:
    venue.answer = Script(Reply(status=502))
    asker = Asker(venue)
    assert str(await asker.fails()) == "the provider answered with status 502"
    assert len(venue.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 301, 204])
async def test_a_refusal_is_not_tried_again(venue: HttpVenue, status: int) -> None:
    venue.answer = Script(Reply({"message": SECRET}, status=status))
    assert str(await Asker(venue).fails()) == f"the provider refused the request with status {status}"
    assert len(venue.requests) == 1


@pytest.mark.parametrize("status", [429, 418])
async def test_a_short_requested_wait_is_waited_out(venue: HttpVenue, status: int) -> None:
    venue.answer = Script(Reply(status=status, headers={"Retry-After": "3"}), Reply({"ok": 1}))
    asker = Asker(venue)
    assert await asker.http.get("/path") == {"ok": 1}
    assert asker.waits == [3]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("x", 60), (None, 60), ("-5", 60), ("99999999999999999999", 3 * 86_400)],
)
async def test_a_long_requested_wait_holds_all_requests(venue: HttpVenue, header: str | None, seconds: int) -> None:
    venue.answer = Script(Reply(status=429, headers={"Retry-After": header} if header else {}), Reply({"ok": 1}))
    asker = Asker(venue)
    limited = await asker.fails()
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_seconds == seconds
    asker.clock.advance(seconds - 10)
    again = await asker.fails()
    assert isinstance(again, RateLimited)
    assert again.retry_after_seconds == pytest.approx(10)
    assert len(venue.requests) == 1
    asker.clock.advance(10)
    assert await asker.http.get("/path") == {"ok": 1}


async def test_a_requested_wait_may_be_a_date(venue: HttpVenue) -> None:
    clock = ManualClock(1_700_000_000_000)
    until = format_datetime(to_datetime(1_700_000_090_000), usegmt=True)
    venue.answer = Script(Reply(status=429, headers={"Retry-After": until}))
    limited = await Asker(venue, clock=clock).fails()
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_seconds == 90


async def test_the_circuit_opens_and_one_probe_closes_it(venue: HttpVenue) -> None:
    venue.answer = Script(Reply(status=500))
    asker = Asker(venue)
    await asker.fails()
    await asker.fails()
    assert len(venue.requests) == 6
    assert str(await asker.fails()) == "not asked, because it failed 6 times in a row"
    asker.clock.advance(30)
    await asker.fails()
    assert len(venue.requests) == 7
    asker.clock.advance(30)
    venue.answer = Script(Reply({"ok": 1}))
    assert await asker.http.get("/path") == {"ok": 1}
    venue.answer = Script(Reply(status=500), Reply({"ok": 2}))
    assert await asker.http.get("/path") == {"ok": 2}


async def test_silence_and_endless_answers_are_cut_off(venue: HttpVenue) -> None:
    venue.answer = Script(Reply(silent=True))
    asker = Asker(venue, replace(POLICY, total_seconds=0.1, attempts=1))
    assert str(await asker.fails()) == "the provider did not answer in time"
    venue.answer = Script(Reply(b" " * 5000))
    asker = Asker(venue, replace(POLICY, max_body_bytes=1000, attempts=1))
    assert str(await asker.fails()) == "the provider's answer is too long"


async def test_errors_and_logs_never_hold_the_address(venue: HttpVenue, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    venue.answer = Script(Reply({"ok": 1}))
    asker = Asker(venue)
    await asker.http.get("/path")
    venue.answer = Script(Reply(SECRET.encode(), status=500))
    failures = [await asker.fails()]
    gone = ProviderHttp(f"http://127.0.0.1:1/{SECRET}", clock=asker.clock, policy=replace(POLICY, attempts=1))
    with pytest.raises(ProviderUnavailable, match="cannot be reached") as caught:
        await gone.get("/path")
    failures.append(caught.value)
    for failure in failures:
        assert SECRET not in str(failure)
        assert failure.__cause__ is None
    assert SECRET not in caplog.text
