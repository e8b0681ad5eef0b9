"""The bus while its server dies, hangs, comes back, or is cut off from one side. Every server here is a real one."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core import redis_bus as redis_bus_module
from core.bus import BusGap, BusItem, BusMessage, Subscription
from core.clock import SystemClock
from core.redis_bus import RedisBus
from core.redis_wire import YIELD_EVERY
from events import codec
from tests import components
from tests.core.test_bus import KEY, bus_seal, event, eventually, numbers, redis_bus, take
from tests.integrations.mail.certificates import self_signed

WAIT_SECONDS = 30.0


class Server:
    """A Redis server that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = components.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._stack = AsyncExitStack()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process, _ = await self._stack.enter_async_context(components.redis(self._folder, self.port))

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        await self._stack.aclose()


class Wire:
    """A TCP relay to the server that can be cut: what goes through it is lost, new connections are refused."""

    def __init__(self, target_port: int) -> None:
        self.port = components.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._near: set[asyncio.StreamWriter] = set()
        self.loses_answers = False
        self.piece_bytes = 65_536

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._near.clear()

    def say(self, answer: bytes) -> None:
        """What the server did not say."""
        for writer in self._near:
            writer.write(answer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {writer, far_writer}
        self._near.add(writer)
        await asyncio.gather(
            self._pump(reader, far_writer), self._pump(far_reader, writer, answers=True), return_exceptions=True
        )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while data := await source.read(65536):
            if not (answers and self.loses_answers):
                for start in range(0, len(data), self.piece_bytes):
                    sink.write(data[start : start + self.piece_bytes])
                    await sink.drain()
        sink.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[Wire]:
    wire = Wire(server.port)
    await wire.join()
    yield wire
    await wire.cut()


@asynccontextmanager
async def running(bus: RedisBus) -> AsyncIterator[RedisBus]:
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def joined(bus: RedisBus, *topics: str, capacity: int = 100_000) -> Subscription:
    subscription = bus.subscribe(*topics, capacity=capacity)
    assert all(isinstance(item, BusGap) for item in await take(subscription, len(topics)))
    return subscription


async def read_until(subscription: Subscription, last: int) -> list[BusItem]:
    """Everything up to the message that carries this number."""
    items: list[BusItem] = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for item in subscription:
            items.append(item)
            if isinstance(item, BusMessage) and numbers([item]) == [last]:
                return items
    raise AssertionError("the subscription ended")


def messages(items: list[BusItem]) -> list[int]:
    return numbers([item for item in items if isinstance(item, BusMessage)])


def unexplained_holes(items: list[BusItem], last_seen: int) -> list[tuple[int, int]]:
    """Where numbers jump, repeat or go back without a gap before."""
    holes = []
    gap = False
    for item in items:
        if isinstance(item, BusGap):
            gap = True
            continue
        (number,) = numbers([item])
        if number <= last_seen or (number != last_seen + 1 and not gap):
            holes.append((last_seen, number))
        last_seen, gap = number, False
    return holes


async def publish_on(bus: RedisBus, stop: asyncio.Event, first: int) -> int:
    """Publish ever rising numbers until told to stop; returns the last."""
    number = first
    while not stop.is_set():
        bus.publish("a", event(number))
        number += 1
        await asyncio.sleep(0.001)
    return number - 1


async def test_a_killed_server_costs_a_gap_and_nothing_else(server: Server) -> None:
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        near, far = publisher.subscribe("a", capacity=100_000), await joined(reader, "a")
        stop = asyncio.Event()
        publishing = asyncio.create_task(publish_on(publisher, stop, 0))
        first = await read_until(far, 50)
        assert messages(first) == list(range(51))
        await server.kill()
        assert not (await reader.health()).healthy
        await read_until(near, 200)
        await server.start()
        async with asyncio.timeout(WAIT_SECONDS):
            between = []
            async for item in far:
                between.append(item)
                if isinstance(item, BusGap):
                    break
        stop.set()
        last = await publishing
        publisher.publish("a", event(last + 1))
        after = between + await read_until(far, last + 1)
        assert unexplained_holes(after, 50) == []
        assert reader.reconnects == 1
        assert publisher.lost == 0
        assert messages(await read_until(near, last + 1))[-1] == last + 1
        assert (await reader.health()).healthy


async def test_the_publishing_process_reads_on_without_the_server(server: Server) -> None:
    async with running(redis_bus(server.url)) as bus:
        subscription = await joined(bus, "a")
        await server.kill()
        for number in range(100):
            bus.publish("a", event(number))
        assert numbers(await take(subscription, 100)) == list(range(100))
        await server.start()
        assert [type(item) for item in await take(subscription, 1)] == [BusGap]
        bus.publish("a", event(100))
        assert numbers(await take(subscription, 1)) == [100]


async def test_every_topic_is_told_of_a_reconnect(server: Server) -> None:
    async with running(redis_bus(server.url)) as reader, Redis.from_url(server.url) as operator:
        both, one = await joined(reader, "a", "b"), await joined(reader, "c")
        assert await operator.client_kill_filter(_type="pubsub") == 1
        assert sorted(item.topic for item in await take(both, 2)) == ["a", "b"]
        assert [item.topic for item in await take(one, 1)] == ["c"]
        assert len(both) == len(one) == 0


async def test_a_publisher_cut_off_for_a_while_loses_nothing(server: Server, wire: Wire) -> None:
    async with running(redis_bus(wire.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        publisher.publish("a", event(0))
        await take(far, 1)
        for cuts in range(3):
            await wire.cut()
            for number in range(1000):
                publisher.publish("a", event(1 + cuts * 1000 + number))
            await wire.join()
        assert numbers(await read_until(far, 3000)) == list(range(1, 3001))


async def test_what_is_sent_again_arrives_once(server: Server, wire: Wire) -> None:
    async with running(redis_bus(wire.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        publisher.publish("a", event(0))
        await take(far, 1)
        wire.loses_answers = True
        for number in range(1, 4):
            publisher.publish("a", event(number))
        assert numbers(await take(far, 3)) == [1, 2, 3]
        await wire.cut()
        wire.loses_answers = False
        await wire.join()
        publisher.publish("a", event(4))
        assert numbers(await take(far, 1)) == [4]
        assert len(far) == 0


async def test_what_a_publisher_gave_up_becomes_a_gap_even_if_nothing_follows(server: Server, wire: Wire) -> None:
    publisher = redis_bus(wire.url, outbox_capacity=3)
    async with running(publisher), running(redis_bus(server.url)) as reader:
        quiet, busy, other = await joined(reader, "a"), await joined(reader, "b"), await joined(reader, "c")
        for topic in ("a", "b", "c"):
            publisher.publish(topic, event(0))
        assert numbers(await take(quiet, 1) + await take(busy, 1) + await take(other, 1)) == [0, 0, 0]
        await wire.cut()
        publisher.publish("a", event(1))
        publisher.publish("b", event(1))
        await eventually_unhealthy(publisher)
        for number in range(2, 20):
            publisher.publish("b", event(number))
        assert publisher.lost > 0
        await wire.join()
        assert numbers([item for item in await take(quiet, 1) if isinstance(item, BusMessage)]) in ([], [1])
        items = await read_until(busy, 19)
        assert unexplained_holes(items, 0) == []
        assert any(isinstance(item, BusGap) for item in items)
        assert len(other) == 0


async def eventually_unhealthy(bus: RedisBus) -> None:
    async def unhealthy() -> bool:
        return not (await bus.health()).healthy

    await eventually(unhealthy)


async def test_a_server_that_hangs_is_left_and_found_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bus_module, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(redis_bus_module, "TIMEOUT_SECONDS", 0.2)
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        publisher.publish("a", event(0))

        async def left() -> bool:
            return reader.reconnects == 1

        await eventually(left)
        assert not (await reader.health()).healthy
        server.process.send_signal(signal.SIGCONT)
        (gap,) = await take(far, 1)
        assert isinstance(gap, BusGap)
        publisher.publish("a", event(1))
        assert unexplained_holes([gap, *await read_until(far, 1)], -1) == []


async def test_a_bus_speaks_tls(tmp_path: Path) -> None:
    _, certificate = self_signed(tmp_path, "127.0.0.1")
    port, binary = components.free_port(), shutil.which("redis-server")
    if binary is None:
        components.missing("redis-server")
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--save", "", "--dir", str(tmp_path)),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key.pem"))),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await components.wait_for_port(port, process)
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        async with running(redis_bus(url)) as publisher, running(redis_bus(url)) as reader:
            far = await joined(reader, "a")
            for number in range(2000):
                publisher.publish("a", event(number))
            assert numbers(await take(far, 2000)) == list(range(2000))
            assert publisher.reconnects == reader.reconnects == 0
    finally:
        await components.stop(process)


async def test_a_server_that_takes_nothing_is_tried_again_until_it_does(server: Server) -> None:
    async with Redis.from_url(server.url) as operator:
        rights = ("on", ">secret", "~*", "&*", "+@all", "-publish")
        await operator.execute_command("ACL", "SETUSER", "quiet", *rights)
        url = server.url.replace("//", "//quiet:secret@")
        async with running(redis_bus(url)) as publisher, running(redis_bus(server.url)) as reader:
            far = await joined(reader, "a")
            with capture_logs() as logs:
                publisher.publish("a", event(0))
                await eventually_unhealthy(publisher)
            assert {line["event"] for line in logs} == {"bus.sender_retry"}
            assert "NoPermission" in logs[0]["reason"] or "NOPERM" in logs[0]["reason"]
            publisher.publish("a", event(1))
            await operator.execute_command("ACL", "SETUSER", "quiet", "+publish")
            assert numbers(await take(far, 2)) == [0, 1]


async def test_an_answer_that_is_none_ends_the_connection(server: Server, wire: Wire) -> None:
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(wire.url)) as reader:
        far = await joined(reader, "a")
        wire.say(b"!this is no RESP\r\n")
        assert [type(item) for item in await take(far, 1)] == [BusGap]
        assert reader.reconnects == 1
        publisher.publish("a", event(1))
        assert numbers(await take(far, 1)) == [1]


async def test_a_message_in_pieces_is_one(server: Server, wire: Wire) -> None:
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(wire.url)) as reader:
        far = await joined(reader, "a")
        wire.piece_bytes = 7
        for number in range(20):
            publisher.publish("a", event(number))
        assert numbers(await take(far, 20)) == list(range(20))
        assert reader.reconnects == 0


async def test_an_idle_connection_is_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bus_module, "SILENCE_SECONDS", 0.05)
    async with running(redis_bus(server.url)) as reader, Redis.from_url(server.url) as operator:
        subscription = await joined(reader, "a")

        async def asked_for_life() -> bool:
            calls = (await operator.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)
            return int(calls) >= 5

        await eventually(asked_for_life)
        assert reader.reconnects == 0
        assert len(subscription) == 0


async def test_a_bus_started_before_its_server_joins_when_it_comes(tmp_path: Path) -> None:
    server = Server(tmp_path)
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = reader.subscribe("a")
        publisher.publish("a", event(0))
        health = await reader.health()
        assert not health.healthy
        assert "127.0.0.1" not in health.detail
        await server.start()
        assert [type(item) for item in await take(far, 1)] == [BusGap]
        publisher.publish("a", event(1))
        assert messages(await read_until(far, 1))[-1] == 1
        await server.stop()


async def test_unsubscribing_frees_everything(server: Server) -> None:
    tasks = len(asyncio.all_tasks())
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        async with Redis.from_url(server.url) as operator:
            subscriptions = [await joined(reader, f"topic-{number}") for number in range(20)]
            subscriptions += [reader.subscribe("topic-0") for _ in range(20)]
            for number in range(20):
                publisher.publish(f"topic-{number}", event(number))
            for number in range(20):
                await take(subscriptions[number], 1)
            assert len(await operator.pubsub_channels()) == 20
            for subscription in subscriptions[1:20]:
                subscription.close()
            await eventually(lambda: channels_are(operator, 1))
            for subscription in (subscriptions[0], *subscriptions[20:]):
                subscription.close()
            await eventually(lambda: channels_are(operator, 0))
        assert reader._readers.topics() == []
        assert len(reader._inbox) == 0
    assert len(asyncio.all_tasks()) == tasks


async def channels_are(operator: "Redis", count: int) -> bool:
    return len(await operator.pubsub_channels()) == count


async def only_channel(stranger: Any) -> bytes:
    """The channel that is listened to."""
    channel: bytes
    (channel,) = await stranger.pubsub_channels()
    return channel


def sealed(channel: bytes, message: bytes, *, age_ms: int = 0, key: bytes = KEY) -> bytes:
    """A message as a process with this key sends it."""
    body = b"%d %b" % (SystemClock().now_ms() - age_ms, message)
    return bus_seal(key).of(channel, body) + body


async def test_what_no_process_of_ours_published_is_passed_over(server: Server) -> None:
    seal = bus_seal()
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        reader._seal = seal
        far = await joined(reader, "a")
        async with Redis.from_url(server.url) as stranger:
            channel = await only_channel(stranger)
            message = b"M p 1 - %b" % codec.encode(event(666))
            right = sealed(channel, message)
            forged = (
                message,
                b"",
                b"\xff" * 40 + message,
                sealed(channel, message, key=bytes(32)),
                sealed(channel + b"b", message),
                right.replace(b"M p 1", b"M p 2"),
                right.replace(b"M p 1", b"L p 1"),
                right[:-1],
            )
            for data in forged:
                await stranger.publish(channel, data)
        publisher.publish("a", event(1))
        assert numbers(await take(far, 1)) == [1]
        assert seal.refused == len(forged)
        assert reader.undecodable == 0


async def test_a_message_that_was_kept_is_no_news_to_who_starts_later(server: Server) -> None:
    async with running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        async with Redis.from_url(server.url) as stranger:
            channel = await only_channel(stranger)
            message = b"M p 1 - %b" % codec.encode(event(1))
            young, old = (sealed(channel, message, age_ms=age_ms) for age_ms in (25_000, 31_000))
            await stranger.publish(channel, sealed(channel, message.replace(b"M p", b"M q"), age_ms=-31_000))
            await stranger.publish(channel, old)
            assert [type(item) for item in await take(far, 2)] == [BusGap, BusGap]
            await stranger.publish(channel, sealed(channel, message.replace(b"M p 1", b"M p 2"), age_ms=25_000))
            assert numbers(await take(far, 1)) == [1]
            for data in (young, old, young):
                await stranger.publish(channel, data)
            await stranger.publish(channel, sealed(channel, b"M p 3 - %b" % codec.encode(event(3))))
        assert numbers(await take(far, 1)) == [3], "what was seen is neither taken nor told again"


async def test_a_burst_travels_as_few_messages_and_arrives_as_many(server: Server) -> None:
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a", "b")
        async with Redis.from_url(server.url) as stranger, stranger.pubsub() as listening:
            await listening.psubscribe("*")
            await listening.get_message(timeout=WAIT_SECONDS)
            for number in range(200):
                publisher.publish("a", event(number))
            publisher.publish("b", event(200))
            publisher.publish("a", event(201))
            assert numbers(await take(far, 202)) == list(range(202))
            heard = [await listening.get_message(timeout=WAIT_SECONDS) for _ in range(6)]
        assert [str(each and each["channel"]).rpartition(":")[2] for each in heard] == ["a'"] * 4 + ["b'", "a'"]


async def test_of_messages_that_travelled_together_each_is_judged(server: Server) -> None:
    async with running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")

        def together(first: int, last: int, *, age_ms: int = 0) -> bytes:
            bodies = [codec.encode(event(number)) for number in range(first, last + 1)]
            lengths = b",".join(b"%d" % len(each) for each in bodies)
            return sealed(channel, b"S p %d - %b %b" % (first, lengths, b"".join(bodies)), age_ms=age_ms)

        async with Redis.from_url(server.url) as stranger:
            channel = await only_channel(stranger)
            for data in (together(1, 3), together(2, 5), together(4, 5)):
                await stranger.publish(channel, data)
            assert numbers(await take(far, 5)) == [1, 2, 3, 4, 5], "what was seen is not taken again"
            await stranger.publish(channel, together(7, 8))
            gap, *rest = await take(far, 3)
            assert isinstance(gap, BusGap)
            assert numbers(rest) == [7, 8]
            await stranger.publish(channel, together(8, 11, age_ms=31_000))
            assert [type(item) for item in await take(far, 1)] == [BusGap], "one gap for all that come too late"
            await stranger.publish(channel, together(7, 11, age_ms=31_000))
            await stranger.publish(channel, together(11, 12))
            assert numbers(await take(far, 1)) == [12]
        assert reader.undecodable == 0


async def test_what_cannot_be_read_is_counted_and_harms_nobody(server: Server) -> None:
    async with running(redis_bus(server.url)) as publisher, running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        async with Redis.from_url(server.url) as stranger:
            channel = await only_channel(stranger)
            garbage = (
                b"",
                b"\xff\xfe",
                b"M p 1",
                b"M p 1 - {}",
                b'M q 1 - {"t":"TickAccepted","v":99}',
                b"M r x - y",
                b"{}" * 9999,
            )
            for data in garbage:
                await stranger.publish(channel, bus_seal().of(channel, data) + data)
                await stranger.publish(channel, sealed(channel, data))
        publisher.publish("a", event(1))
        assert numbers(await take(far, 1)) == [1]
        assert reader.undecodable == 2 * len(garbage)
        assert reader.reconnects == 0


async def test_a_flood_does_not_starve_who_reads_it(server: Server) -> None:
    async with running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a", capacity=YIELD_EVERY + 1)
        with SyncRedis.from_url(server.url) as other_process, other_process.pipeline(transaction=False) as flood:
            (channel,) = other_process.pubsub_channels()
            for number in range(2000):
                flood.publish(channel, sealed(channel, b"M p %d - %b" % (number + 1, codec.encode(event(number)))))
            flood.execute()
        assert numbers(await read_until(far, 1999)) == list(range(2000))


async def test_closing_sends_what_waits(server: Server) -> None:
    async with running(redis_bus(server.url)) as reader:
        far = await joined(reader, "a")
        async with running(redis_bus(server.url)) as publisher:
            for number in range(2000):
                publisher.publish("a", event(number))
        assert numbers(await read_until(far, 1999)) == list(range(2000))


async def test_closing_without_a_server_does_not_wait_for_it(server: Server) -> None:
    async with running(redis_bus(server.url)) as bus:
        await joined(bus, "a")
        await server.kill()
        bus.publish("a", event(0))
        await eventually_unhealthy(bus)
        async with asyncio.timeout(redis_bus_module.TIMEOUT_SECONDS + 1):
            await bus.close()


async def test_an_event_that_cannot_be_encoded_is_the_callers_error(server: Server) -> None:
    async with running(redis_bus(server.url)) as bus:
        subscription = await joined(bus, "a")
        with pytest.raises(KeyError):
            bus.publish("a", object())
        bus.publish("a", event(1))
        assert numbers(await take(subscription, 1)) == [1]


async def test_a_message_is_decoded_once_for_all_who_read_it_here(server: Server) -> None:
    decoded: list[bytes] = []

    def decode(body: bytes) -> object:
        decoded.append(body)
        return codec.decode(body)

    publisher, reader = redis_bus(server.url), redis_bus(server.url, decode=decode)
    await publisher.start()
    await reader.start()
    subscriptions = [reader.subscribe("prices") for _ in range(3)]
    for subscription in subscriptions:
        await take(subscription, 1)
    publisher.publish("prices", event(1))
    assert [numbers(await take(subscription, 1)) for subscription in subscriptions] == [[1]] * 3
    assert len(decoded) == 1
    await publisher.close()
    await reader.close()
