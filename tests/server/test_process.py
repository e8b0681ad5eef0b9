"""How a process serves."""

import asyncio
import gc
import os
import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from server import process
from server.errors import CannotRun


@pytest.fixture
def _collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_collector")
async def test_the_collector_leaves_alone_what_exists_at_the_start() -> None:
    seen: list[int] = []

    async def home(request: Request) -> PlainTextResponse:
        seen.append(gc.get_freeze_count())
        return PlainTextResponse("here")

    with process.listen("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(process.serve(Starlette(routes=[Route("/", home)]), listener))
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"http://{process.address_of(listener)}/")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    assert answer.text == "here"
    assert seen[0] > len(gc.get_objects()) / 2


def test_a_port_that_is_taken_is_refused_by_its_settings_name() -> None:
    with process.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            CannotRun, match=f"cannot listen on 127.0.0.1:{port}: .*; set HOST or WORKER_PORT to another"
        ):
            process.listen("127.0.0.1", port, setting="WORKER_PORT")


def test_a_socket_that_is_handed_over_must_listen() -> None:
    with socket.socket() as silent, socket.create_server(("127.0.0.1", 0)) as listening:
        with pytest.raises(CannotRun, match="is a socket that does not listen"):
            process.handed_over(silent.fileno())
        with process.handed_over(os.dup(listening.fileno())) as taken:
            assert taken.getsockname() == listening.getsockname()
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb"), pytest.raises(CannotRun, match="is no listening socket"):
        process.handed_over(reading)
