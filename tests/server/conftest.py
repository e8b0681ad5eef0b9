"""These tests run on the loop that processes run on: how a transport buffers and lets go differs between loops."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One loop for all tests of this folder."""
    return {"uvloop": uvloop.new_event_loop}
