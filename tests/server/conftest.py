"""These tests run on the loop that processes run on: how a transport buffers and lets go differs between loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.server.front import Front, Kept


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One loop for all tests of this folder."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def kept(server: Front) -> AsyncIterator[Kept]:
    """A connection to the front that a test calls `server`."""
    connection = await server.connect()
    yield connection
    connection.close()
