"""A wire to Redis on the event loop of production, which refuses to write to what is closed."""

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from core.redis_wire import RedisWire


def test_what_is_sent_over_a_connection_that_has_ended_goes_nowhere() -> None:
    uvloop.run(_send_after_the_end())


async def _send_after_the_end() -> None:
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


class _Leaves(asyncio.Protocol):
    """Closes at the first bytes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.close()
