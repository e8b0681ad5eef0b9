"""A wire to Redis, over a loop that refuses to write to what is closed."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from core.redis_wire import YIELD_EVERY, RedisWire


async def test_what_is_sent_over_a_connection_that_has_ended_goes_nowhere() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Leaves, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transport, _ = await loop.create_connection(asyncio.Protocol, *address)
    wire = RedisWire(transport, lambda _: 1)
    transport.set_protocol(wire)
    wire.send([("PING",)])
    with pytest.raises(RedisConnectionError, match="the server closed the connection"):
        await wire.stay(10.0)
    await asyncio.sleep(0)
    wire.send([("PING",)])
    with pytest.raises(RedisConnectionError):
        await wire.stay(0)
    server.close()


class _Paused(asyncio.Transport):
    """Remembers whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


async def test_others_have_their_turn_however_often_bytes_arrive_in_one() -> None:
    """uvloop reads a connection up to 32 times before anything else happens."""
    transport, taken = _Paused(), list[object]()

    def take(reply: object) -> int:
        taken.append(reply)
        return 1

    wire = RedisWire(transport, take)
    for _ in range(4):
        wire.data_received(b"+PONG\r\n" * 40)
    assert len(taken) == YIELD_EVERY
    assert not transport.reads
    await asyncio.sleep(0)
    assert len(taken) == 2 * YIELD_EVERY
    assert not transport.reads
    await asyncio.sleep(0)
    assert len(taken) == wire.heard == 160
    assert transport.reads


class _Leaves(asyncio.Protocol):
    """Closes at the first bytes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.close()
