"""One UTXO node for all tests of this folder, and its client over either kind of node."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.clock import SystemClock
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.json_rpc import JsonRpc
from tests.chains import LITECOIN, litecoind
from tests.esplora import Esplora, esplora
from tests.integrations.chains.bitcoin.house import NETWORK, House


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def litecoin_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a node with 101 blocks and a wallet."""
    async with litecoind(tmp_path_factory.mktemp("litecoin")) as url:
        yield url


@pytest.fixture
async def house(litecoin_url: str) -> AsyncIterator[House]:
    """The node's own wallet, which pays for the tests."""
    rpc = JsonRpc(litecoin_url)
    yield House(rpc)
    await rpc.close()


@pytest.fixture
async def api(litecoin_url: str) -> AsyncIterator[tuple[str, Esplora]]:
    """An Esplora over the node."""
    async with esplora(litecoin_url) as served:
        yield served


@pytest.fixture(params=["core", "esplora"])
async def client(
    request: pytest.FixtureRequest, litecoin_url: str, api: tuple[str, Esplora]
) -> AsyncIterator[BitcoinClient]:
    """The client over one node: Core's kind, or Esplora's."""
    nodes = nodes_of([litecoin_url], []) if request.param == "core" else nodes_of([], [api[0]])
    client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock())
    yield client
    await client.close()
