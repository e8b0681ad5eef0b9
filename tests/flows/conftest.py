"""The server that clients of the flow tests talk to."""

from collections.abc import Iterator

import pytest

from tests.flows.servers import server_for_session


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running server whose markets move, simulated, for all tests of a module."""
    with server_for_session(tmp_path_factory.mktemp("live"), settings={"SIMULATED_AFTER_SECONDS": "0"}) as base_url:
        yield base_url
