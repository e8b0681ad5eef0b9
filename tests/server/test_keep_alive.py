"""How long a connection is kept that is quiet, where answers are given at once."""

import asyncio
from collections.abc import Callable

import orjson
import pytest
import uvicorn
from uvicorn.server import ServerState

from server.connections import HttpProtocol, uvicorn_options
from server.process import KEEP_ALIVE_SECONDS, MOST_FRAME_BYTES
from tests.server.front import Front, Kept, request_of
from tests.server.serving import eventually
from tests.server.test_at_once import SMALL, markets, server

__all__ = ["markets", "server"]


class Transport(asyncio.Transport):
    """Takes everything, and remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        """It is not read from."""

    def resume_reading(self) -> None:
        """It is not read from."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Timer:
    """Something that happens at a time, unless it is cancelled."""

    def __init__(self, at: float, action: Callable[[], object]) -> None:
        self.at = at
        self.run = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A clock that is set by hand, and the timers that run by it."""

    def __init__(self, real: asyncio.AbstractEventLoop) -> None:
        self.now = 1_000.0
        self.create_task = real.create_task
        self._timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        timer = Timer(self.now + seconds, action)
        self._timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[Timer]:
        """Timers that will run."""
        return [timer for timer in self._timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        """Let time pass; timers that are due run."""
        self.now += seconds
        due = [timer for timer in self.waiting if timer.at <= self.now]
        self._timers = [timer for timer in self.waiting if timer.at > self.now]
        for timer in due:
            timer.run()


@pytest.fixture
async def kept_by(server: Front, kept: Kept) -> tuple[HttpProtocol, Transport, Loop]:
    """A connection on a clock of its own, and a server that can answer at once."""
    for _ in range(2):
        await kept.post(SMALL)
    options = uvicorn_options(frame_bytes=MOST_FRAME_BYTES)
    config = uvicorn.Config(
        server.edge, lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_SECONDS, **options
    )
    config.load()
    loop, transport = Loop(asyncio.get_running_loop()), Transport()
    protocol = HttpProtocol(config, ServerState(), {}, loop)  # type: ignore[arg-type]
    protocol.connection_made(transport)
    return protocol, transport, loop


async def test_it_counts_from_the_last_answer(kept_by: tuple[HttpProtocol, Transport, Loop]) -> None:
    protocol, transport, loop = kept_by
    for number in range(1, 6):
        protocol.data_received(request_of(orjson.dumps({"query": SMALL})))
        await eventually(lambda number=number: len(transport.written) >= number)  # type: ignore[misc]
        loop.advance(KEEP_ALIVE_SECONDS - 1)
        assert not transport.closed
    loop.advance(1)
    assert transport.closed


async def test_a_quiet_one_has_one_timer(kept_by: tuple[HttpProtocol, Transport, Loop]) -> None:
    protocol, transport, loop = kept_by
    for _ in range(50):
        protocol.data_received(request_of(orjson.dumps({"query": SMALL})))
    assert len(loop.waiting) == 1
    protocol.connection_lost(None)
    assert not loop.waiting
    assert transport.closed


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(lambda protocol: protocol.eof_received(), id="the peer sends nothing more"),
        pytest.param(lambda protocol: protocol.shutdown(), id="the server ends"),
        pytest.param(lambda protocol: protocol.data_received(b"nonsense\r\n\r\n"), id="no request"),
    ],
)
async def test_what_was_answered_goes_out_before_anything_else_happens(
    kept_by: tuple[HttpProtocol, Transport, Loop], happens: Callable[[HttpProtocol], None]
) -> None:
    protocol, transport, _ = kept_by
    protocol.data_received(request_of(orjson.dumps({"query": SMALL})))
    assert transport.written == []
    happens(protocol)
    assert b"".join(transport.written).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_one_that_the_application_answers_counts_anew(kept_by: tuple[HttpProtocol, Transport, Loop]) -> None:
    protocol, transport, loop = kept_by
    protocol.data_received(request_of(orjson.dumps({"query": SMALL})))
    loop.advance(KEEP_ALIVE_SECONDS - 1)
    protocol.data_received(request_of(orjson.dumps({"query": "{ nothing }"})))
    await eventually(lambda: protocol.timeout_keep_alive_task is not None)
    loop.advance(KEEP_ALIVE_SECONDS - 1)
    assert not transport.closed
    loop.advance(1)
    assert transport.closed
