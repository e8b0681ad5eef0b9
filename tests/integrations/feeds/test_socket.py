"""The socket loop all streaming providers share, with a conversation of its own."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from core.clock import ManualClock, SystemClock
from core.vocabulary import PriceSource
from events.feed import FeedBookLost, FeedConnected, FeedDisconnected, FeedMessage, FeedRejected
from integrations.feeds.base import Emit, Feed, FeedMarket
from integrations.feeds.coinbase import CoinbaseFeed
from integrations.feeds.fields import JsonObject, text
from integrations.feeds.kraken import KrakenFeed
from integrations.feeds.socket import ConnectionSpoiled, Conversation, Deliver, Made, Send, SocketLoop, SocketPolicy
from tests.integrations.feeds.recorder import Recorder, running
from tests.integrations.feeds.venues.sockets import SocketVenue

SOURCE = PriceSource.KRAKEN


class Echo(Conversation):
    """Loses a book of the text it is told; "spoil" spoils, "answer" answers, "work" makes the assistant speak."""

    def __init__(self) -> None:
        self.work = asyncio.Event()

    def open(self) -> Sequence[JsonObject]:
        return [{"hello": 1}, {"hello": 2}]

    def receive(self, message: JsonObject) -> Made:
        word = text(message, "say")
        if word == "spoil":
            raise ConnectionSpoiled("spoiled")
        if word == "work":
            self.work.set()
        return [Send({"back": 1})] if word == "answer" else [FeedBookLost(SOURCE, "A-B", word)]

    def lose(self, reason: str) -> Sequence[FeedMessage]:
        return [FeedBookLost(SOURCE, "A-B", f"lost: {reason}")]

    async def assist(self, deliver: Deliver) -> None:
        while True:
            await self.work.wait()
            self.work.clear()
            await deliver(lambda: [FeedBookLost(SOURCE, "A-B", f"work {part}") for part in range(3)])


class EchoFeed:
    source = SOURCE

    def __init__(self, url: str, policy: SocketPolicy) -> None:
        self._loop = SocketLoop(SOURCE, url, policy=policy, clock=SystemClock(), randomness=random.Random(3))

    async def run(self, emit: Emit) -> None:
        await self._loop.run(Echo, emit)


@pytest.fixture
async def venue() -> AsyncIterator[SocketVenue]:
    venue = SocketVenue()
    async with venue.listening():
        yield venue


def words(seen: Recorder) -> list[str]:
    return [lost.reason for lost in seen.of(FeedBookLost)]


async def test_it_opens_answers_and_keeps_the_order(venue: SocketVenue, quick: SocketPolicy) -> None:
    async with running(EchoFeed(venue.url, quick)) as seen:
        line = await venue.line()
        await line.until(lambda: len(line.received) == 2)
        assert not seen.messages, "a venue that has said nothing is not connected"
        await line.send({"say": "one"})
        await line.send({"say": "answer"})
        await line.until(lambda: len(line.received) == 3)
        await line.send({"say": "work"})
        await seen.wait(FeedBookLost, 5)
    assert line.received == [{"hello": 1}, {"hello": 2}, {"back": 1}]
    assert seen.messages[0] == FeedConnected(SOURCE)
    assert words(seen) == ["one", "work", "work 0", "work 1", "work 2"]


async def test_the_work_beside_begins_once_the_provider_has_answered(venue: SocketVenue, quick: SocketPolicy) -> None:
    began = asyncio.Event()

    class Eager(Echo):
        async def assist(self, deliver: Deliver) -> None:
            began.set()

    loop = SocketLoop(SOURCE, venue.url, policy=quick, clock=SystemClock(), randomness=random.Random(1))
    task = asyncio.create_task(loop.run(Eager, Recorder()))
    line = await venue.line()
    await line.until(lambda: len(line.received) == 2)
    assert not began.is_set()
    await line.send({"say": "subscribed"})
    async with asyncio.timeout(10):
        await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_two_makers_never_mix_their_messages(venue: SocketVenue, quick: SocketPolicy) -> None:
    class Dawdling(Recorder):
        async def __call__(self, message: FeedMessage) -> None:
            await asyncio.sleep(0)
            await super().__call__(message)

    async with running(EchoFeed(venue.url, quick), Dawdling()) as seen:
        line = await venue.line()
        for _ in range(20):
            await line.send({"say": "work"})
            await line.send({"say": "x"})
        await seen.until(lambda: words(seen).count("x") == 20 and words(seen)[-1] in ("x", "work 2"))
    found = words(seen)
    for place, word in enumerate(found):
        if word == "work 0":
            assert found[place : place + 3] == ["work 0", "work 1", "work 2"]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "{",
        "\x00",
        "null",
        "[]",
        "5",
        '"x"',
        "NaN",
        '{"say": Infinity}',
        '{"say": 1}',
        "{}",
        "[" * 100_000,
        "1" * 9000,
        b"\xff\xfe",
        '{"say": 1e99999999999999999999}',
    ],
    ids=lambda garbage: str(garbage)[:20],
)
async def test_garbage_is_rejected_and_the_connection_goes_on(
    venue: SocketVenue, quick: SocketPolicy, garbage: str | bytes
) -> None:
    async with running(EchoFeed(venue.url, quick)) as seen:
        line = await venue.line()
        await line.send(garbage)
        await line.send({"say": "still here"})
        await seen.wait(FeedBookLost)
    assert len(seen.of(FeedRejected)) == 1
    assert words(seen)[0] == "still here"
    assert not seen.of(FeedDisconnected)


async def test_too_much_garbage_in_a_row_is_a_reconnect(venue: SocketVenue, quick: SocketPolicy) -> None:
    async with running(EchoFeed(venue.url, replace(quick, max_garbage_in_a_row=3))) as seen:
        line = await venue.line()
        for message in ("x", "x", {"say": "good"}, "x", "x", "x"):
            await line.send(message)
        gone = await seen.wait(FeedDisconnected)
        await venue.line(2)
    assert gone.reason == "3 unusable messages in a row"
    assert len(seen.of(FeedRejected)) == 5


async def test_silence_is_a_reconnect(venue: SocketVenue, quick: SocketPolicy) -> None:
    async with running(EchoFeed(venue.url, replace(quick, stall_seconds=0.1))) as seen:
        await (await venue.line()).send({"say": "one"})
        gone = await seen.wait(FeedDisconnected)
        await (await venue.line(2)).send({"say": "two"})
        await seen.wait(FeedConnected, 2)
    assert gone.reason == "no message for 0.1 s"
    assert words(seen)[:2] == ["one", "lost: no message for 0.1 s"]


async def test_the_planned_lifetime_ends_a_busy_connection(venue: SocketVenue, quick: SocketPolicy) -> None:
    async with running(EchoFeed(venue.url, replace(quick, lifetime_seconds=0.15))) as seen:
        line = await venue.line()

        async def talk() -> None:
            while not line.ended.is_set():
                await line.send({"say": "busy"})
                await asyncio.sleep(0.01)

        talking = asyncio.create_task(talk())
        gone = await seen.wait(FeedDisconnected)
        await venue.line(2)
        await asyncio.gather(talking, return_exceptions=True)
    assert gone.reason == "planned reconnect"
    assert "busy" in words(seen)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("close", "the provider closed the connection with code 1012"),
        ("abort", "the connection broke"),
        ("spoil", "spoiled"),
        ("huge", "connection given up with code 1009"),
    ],
)
async def test_an_end_in_mid_stream_is_named_and_survived(
    venue: SocketVenue, quick: SocketPolicy, end: str, reason: str
) -> None:
    async with running(EchoFeed(venue.url, replace(quick, max_message_bytes=1000))) as seen:
        line = await venue.line()
        await line.send({"say": "one"})
        await seen.wait(FeedBookLost)
        if end == "close":
            await line.close(1012)
        elif end == "abort":
            line.abort()
        else:
            await line.send({"say": "spoil" if end == "spoil" else "x" * 2000})
        gone = await seen.wait(FeedDisconnected)
        await (await venue.line(2)).send({"say": "two"})
        await seen.wait(FeedConnected, 2)
    assert gone.reason == reason
    assert words(seen)[:2] == ["one", f"lost: {reason}"]


async def test_a_refused_handshake_names_the_status(quick: SocketPolicy) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(EchoFeed(f"ws://127.0.0.1:{port}/?key=secret", quick)) as seen:
        gone = await seen.wait(FeedDisconnected, 2)
    server.close()
    assert gone.reason == "the provider refused the connection with status 429"


async def test_a_venue_that_never_finishes_the_handshake_is_given_up(quick: SocketPolicy) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(EchoFeed(f"ws://127.0.0.1:{port}", replace(quick, open_seconds=0.1))) as seen:
        gone = await seen.wait(FeedDisconnected)
    server.close()
    assert gone.reason == "the provider cannot be reached"


async def test_the_wait_grows_until_a_connection_lasts(venue: SocketVenue) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    clock = ManualClock()
    policy = SocketPolicy(first_backoff_seconds=1, most_backoff_seconds=4, send_gap_seconds=0)
    loop = SocketLoop(SOURCE, venue.url, policy=policy, clock=clock, randomness=random.Random(1), sleep=sleep)
    seen = Recorder()
    running_loop = asyncio.create_task(loop.run(Echo, seen))
    for count in range(1, 6):
        line = await venue.line(count)
        await line.until(lambda line=line: len(line.received) == 2)  # type: ignore[misc]
        if count == 5:
            clock.advance(policy.lasting_seconds)
        line.abort()
        await seen.wait(FeedDisconnected, count)
    await venue.line(6)
    running_loop.cancel()
    await asyncio.gather(running_loop, return_exceptions=True)
    steps = [1, 2, 4, 4, 1]
    assert all(step / 2 <= wait <= step for wait, step in zip(waits, steps, strict=True))


async def test_one_stuck_provider_never_holds_up_another(venue: SocketVenue, quick: SocketPolicy) -> None:
    """Kraken's venue accepts and says nothing, and its reader is stuck in its first message; Coinbase goes on."""
    stuck = SocketVenue()
    gate = asyncio.Event()
    seen = Recorder()

    async def stuck_emit(message: FeedMessage) -> None:
        await gate.wait()

    async with stuck.listening():
        market = FeedMarket("BTC-USD", "BTC/USD")
        kraken: Feed = KrakenFeed([market], clock=SystemClock(), ws_url=stuck.url, socket_policy=quick)
        coinbase: Feed = CoinbaseFeed(
            [FeedMarket("BTC-USD", "BTC-USD")], clock=SystemClock(), ws_url=venue.url, socket_policy=quick
        )
        async with asyncio.TaskGroup() as tasks:
            feeds = [tasks.create_task(kraken.run(stuck_emit)), tasks.create_task(coinbase.run(seen))]
            await (await stuck.line()).send({"channel": "heartbeat"})
            line = await venue.line()
            for number in range(50):
                beat = {"channel": "heartbeats", "sequence_num": number, "events": []}
                await line.send(beat)
            await line.send({"channel": "heartbeats", "sequence_num": 99, "events": []})
            await seen.wait(FeedDisconnected)
            for feed in feeds:
                feed.cancel()
    assert seen.of(FeedConnected)
    assert len(stuck.lines) == 1
