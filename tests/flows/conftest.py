"""The server that flow tests talk to."""

from collections.abc import AsyncIterator

import pytest

from tests.flows import stand_in


@pytest.fixture
async def live_server() -> AsyncIterator[str]:
    """Base URL of a running server whose markets move."""
    async with stand_in.serve(stand_in.StandIn()) as base_url:
        yield base_url
