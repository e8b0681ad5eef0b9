"""Sockets whose client stops reading: they cost little, are told why, and are cut off; their neighbours notice nothing."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from server.connections import CUT_OFF_SECONDS, SLOW_READER_REASON, STALLED_SECONDS, uvicorn_options
from tests.server.serving import Served, eventually, served


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("server.connections.STALLED_SECONDS", 0.3)
    monkeypatch.setattr("server.connections.CUT_OFF_SECONDS", 0.3)
    async with served() as running:
        yield running


def test_the_times_in_force_stay_below_30_s() -> None:
    assert STALLED_SECONDS + CUT_OFF_SECONDS < 30
    options = uvicorn_options(frame_bytes=1)
    assert options["ws_ping_interval"] + options["ws_ping_timeout"] < 30


async def test_a_reader_that_reads_late_is_told_why(server: Served) -> None:
    async with server.socket() as client:
        client.raw.transport.pause_reading()
        await client.subscribe("1", "subscription { forever(size: 20000) }")
        await eventually(lambda: server.probe.open_streams == 1)
        await eventually(lambda: server.probe.open_streams == 0)
        client.raw.transport.resume_reading()
        while client.raw.close_code is None:
            try:
                await asyncio.wait_for(client.raw.recv(), 30)
            except Exception:  # noqa: BLE001 - whatever ends reading; the close code is what counts
                break
        assert await client.closed() == (1013, SLOW_READER_REASON)


async def test_a_reader_that_never_reads_is_cut_off_and_costs_little(server: Served) -> None:
    tracemalloc.start()
    try:
        async with server.socket() as client:
            client.raw.transport.pause_reading()
            before = tracemalloc.get_traced_memory()[0]
            await client.subscribe("1", "subscription { forever(size: 20000) }")
            await eventually(lambda: server.probe.open_streams == 1)
            await eventually(lambda: server.probe.open_streams == 0)
            held = tracemalloc.get_traced_memory()[0] - before
            await eventually(lambda: not server.server.server_state.connections)
            assert server.metric("graphql_sockets") == 0
            client.raw.transport.abort()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000


async def test_a_reader_that_never_reads_but_pings_gets_no_growing_buffer(server: Served) -> None:
    async with server.socket() as client, server.socket() as neighbour:
        client.raw.transport.pause_reading()
        await client.subscribe("1", "subscription { forever(size: 20000) }")
        await eventually(lambda: server.probe.open_streams == 1)
        for _ in range(2_000):
            client.raw.protocol.send_ping(b"x" * 125)
        client.raw.transport.write(b"".join(client.raw.protocol.data_to_send()))
        await neighbour.subscribe("1", "subscription { count(to: 200) }")
        received = [await neighbour.receive() for _ in range(201)]
        assert received[-1]["type"] == "complete"
        await eventually(lambda: server.probe.open_streams == 0)
        client.raw.transport.abort()
