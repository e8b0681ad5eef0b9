"""Several processes of the API behind one port: sockets are spread over them, and one that is killed takes only its own with it."""

import asyncio
import contextlib
import re
import signal
import socket

import httpx
import psutil

from tests import components
from tests.faults.crowd import Member, crowd, until_told
from tests.faults.test_killed_parts import Cluster, cluster
from tests.flows.exchanges import SYMBOL
from tests.flows.servers import Server, readiness, server, until
from tests.flows.watching import has_status, until_feed
from tests.processes import gone

__all__ = ["cluster"]
SOCKETS = 40
_OPEN = re.compile(r"^graphql_sockets (\d+)\.0$", re.MULTILINE)


async def open_sockets(port: int) -> int:
    """Those of the process whose own port this is; waits until it answers."""
    async with asyncio.timeout(components.START_SECONDS), httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                found = _OPEN.search(answer.text)
                assert found is not None
                return int(found[1])


def listening_on(parent: Server, port: int) -> psutil.Process:
    """The process of the API that has this port to itself."""
    for child in psutil.Process(parent.process.pid).children():
        if any(each.laddr.port == port for each in child.net_connections("tcp") if each.status == "LISTEN"):
            return child
    raise AssertionError(f"nobody listens on {port}: {parent.log()}")


async def closed_count(members: list[Member]) -> int:
    return sum(member.closed for member in members)


async def test_processes_share_a_port_and_one_that_is_killed_is_started_again(cluster: Cluster) -> None:
    await cluster.start_mongo()
    await cluster.start_redis()
    await cluster.start_worker("worker")
    own = two_free_ports()
    settings = {**cluster.settings, "API_PROCESSES": "2", "WORKER_PORT": str(own[0])}
    async with server(cluster.folder / "apis", "api", settings=settings) as apis:
        await until_feed(apis, SYMBOL, has_status("LIVE"))
        async with crowd(apis.base_url, SOCKETS, SYMBOL) as members:
            spread = [await open_sockets(port) for port in own]
            assert sum(spread) == SOCKETS
            assert min(spread) > 0
            listening_on(apis, own[1]).kill()
            await until(lambda: closed_count(members), lambda count: count == spread[1])
            kept = [member for member in members if not member.closed]
            async with crowd(apis.base_url, SOCKETS, SYMBOL) as again:
                assert await open_sockets(own[1]) > 0
                assert sum([await open_sockets(port) for port in own]) == SOCKETS + spread[0]
                await until_told([*kept, *again], max(member.sequences[-1] for member in again))
            for member in kept:
                assert not member.closed
                assert member.sequences == list(range(member.sequences[0], member.sequences[-1] + 1))
        assert await readiness(apis) == []
        children = psutil.Process(apis.process.pid).children()
        assert len(children) == 2
        apis.process.send_signal(signal.SIGTERM)
        assert await apis.process.wait() == 0
        await gone(children)


def two_free_ports() -> tuple[int, int]:
    """Two in a row."""
    while True:
        first = components.free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", first + 1))
            return first, first + 1
