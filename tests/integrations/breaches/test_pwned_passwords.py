"""Asking for stolen passwords: what goes out, what is understood, and that nobody waits for a service that fails."""

import hashlib
import logging
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from integrations.breaches.pwned_passwords import REST_SECONDS, PwnedPasswords
from tests.components import free_port
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request

PASSWORD = "correct horse battery staple"
DIGEST = hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest().upper()
PREFIX, ENDING = DIGEST[:5], DIGEST[5:]
OTHER, PADDING = f"{'0' * 34}A:7", f"{'F' * 35}:0"


def listing(*lines: str) -> Reply:
    return Reply("\r\n".join(lines).encode())


class Service:
    """A server that always gives the reply set last, and a client of it on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.reply = listing(OTHER, f"{ENDING}:42", PADDING)
        self.venue = HttpVenue(self._answer)
        self.clock = ManualClock()

    def _answer(self, request: Request) -> Reply:
        return self.reply

    def client(self, timeout_seconds: float = 30.0) -> PwnedPasswords:
        return PwnedPasswords(self.venue.url, clock=self.clock, timeout_seconds=timeout_seconds)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    async with service.venue.listening():
        yield service


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([OTHER, f"{ENDING}:42", PADDING], 42),
        ([f"{ENDING}:1"], 1),
        ([OTHER, PADDING], 0),
        ([OTHER, f"{ENDING}:0"], 0),
    ],
)
async def test_a_password_is_found_by_the_end_of_its_hash(service: Service, lines: list[str], count: int) -> None:
    service.reply = listing(*lines)
    client = service.client()
    assert await client.count(PASSWORD) == count
    await client.close()


async def test_five_digits_and_nothing_else_of_the_password_go_out(service: Service) -> None:
    client = service.client()
    assert await client.count(PASSWORD) == 42
    await client.close()
    [request] = service.venue.requests
    assert (request.method, request.path, request.query, request.body) == ("GET", f"/range/{PREFIX}", {}, None)
    assert request.headers["add-padding"] == "true"
    assert request.headers["user-agent"] == "CryptoVault"
    sent = str(request).upper()
    assert DIGEST[:6] not in sent
    assert ENDING not in sent
    assert PASSWORD.upper() not in sent


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=503), "status 503"),
        (Reply(status=429), "status 429"),
        (Reply(status=301, headers={"Location": "/elsewhere"}), "status 301"),
        (Reply(b"<html>busy</html>"), "the answer is no list of hashes"),
        (listing(f"{ENDING}:42", "and more"), "the answer is no list of hashes"),
        (listing(f"{ENDING}:-1"), "the answer is no list of hashes"),
        (listing(f"{ENDING}:{'9' * 5000}"), "the answer is no list of hashes"),
        (Reply(b"\xff\xfe"), "the answer is no list of hashes"),
        (Reply(b""), "the answer is empty"),
        (Reply(b"0" * (2**20 + 1)), "the answer is too long"),
        (Reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}), "DecodingError"),
    ],
)
async def test_a_wrong_answer_tells_nothing_and_is_left_alone(service: Service, reply: Reply, reason: str) -> None:
    service.reply = reply
    client = service.client()
    with capture_logs() as logs:
        assert await client.count(PASSWORD) is None
        assert await client.count(PASSWORD) is None
    await client.close()
    assert len(service.venue.requests) == 1
    assert [(line["event"], line["available"], line["reason"]) for line in logs] == [
        ("breaches.availability", False, reason)
    ]


async def test_silence_is_waited_for_no_longer_than_allowed(service: Service) -> None:
    service.reply = Reply(silent=True)
    client = service.client(timeout_seconds=0.05)
    assert await client.count(PASSWORD) is None
    service.reply = listing(f"{ENDING}:42")
    assert await client.count(PASSWORD) is None
    assert len(service.venue.requests) <= 1
    await client.close()


async def test_each_change_of_state_is_one_line(service: Service) -> None:
    client = service.client()
    good, bad = service.reply, Reply(status=500)
    with capture_logs() as logs:
        for reply in (good, bad, bad, good, good, bad):
            service.reply = reply
            await client.count(PASSWORD)
            service.clock.advance(REST_SECONDS)
    await client.close()
    assert [line["available"] for line in logs] == [False, True, False]
    assert len(service.venue.requests) == 6


async def test_after_a_rest_it_is_asked_again(service: Service) -> None:
    client = service.client()
    service.reply = Reply(status=500)
    assert await client.count(PASSWORD) is None
    service.reply = listing(f"{ENDING}:3")
    service.clock.advance(REST_SECONDS - 1)
    assert await client.count(PASSWORD) is None
    service.clock.advance(1)
    assert await client.count(PASSWORD) == 3
    await client.close()


async def test_nobody_listening_is_a_failure_like_any_other() -> None:
    client = PwnedPasswords(f"http://127.0.0.1:{free_port()}", clock=ManualClock())
    assert await client.count(PASSWORD) is None
    await client.close()


async def test_without_an_address_nothing_is_asked() -> None:
    client = PwnedPasswords(None, clock=ManualClock())
    with capture_logs() as logs:
        assert await client.count(PASSWORD) is None
    await client.close()
    assert logs == []


async def test_our_own_lines_hold_no_part_of_the_hash(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="integrations")
    service.reply = Reply(status=500)
    client = service.client()
    with capture_logs() as logs:
        await client.count(PASSWORD)
    await client.close()
    assert PREFIX not in str(logs)
