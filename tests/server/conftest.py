"""What tests of the front share."""

from collections.abc import AsyncIterator

import pytest

from tests.server.front import Front, Kept


@pytest.fixture
async def kept(server: Front) -> AsyncIterator[Kept]:
    """A connection to the front that a test calls `server`."""
    connection = await server.connect()
    yield connection
    connection.close()
