"""The server and the browser of flow tests."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.flows.browser import chromium
from tests.flows.servers import server_for_session


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running server whose markets move, simulated, for all tests of a module."""
    with server_for_session(tmp_path_factory.mktemp("live"), settings={"SIMULATED_AFTER_SECONDS": "0"}) as base_url:
        yield base_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of a module; everybody in them has a profile of their own."""
    async with chromium() as started:
        yield started
