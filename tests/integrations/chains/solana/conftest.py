"""A Solana chain with one node, and a client of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from solders.keypair import Keypair

from core.clock import ManualClock
from integrations.chains.http import NodeLimits
from integrations.chains.pool import PoolPolicy
from integrations.chains.solana.client import SolanaClient
from tests.solana_chain import SolanaChain
from tests.solana_node import SolanaNode, solana_node

SOL = 10**9
Connect = Callable[..., SolanaClient]


@pytest.fixture
def chain() -> SolanaChain:
    return SolanaChain()


@pytest.fixture
async def node(chain: SolanaChain) -> AsyncIterator[SolanaNode]:
    async with solana_node(chain) as served:
        yield served


@pytest.fixture
async def second(chain: SolanaChain) -> AsyncIterator[SolanaNode]:
    """Another node of the same chain."""
    async with solana_node(chain) as served:
        yield served


@pytest.fixture
async def connect(chain: SolanaChain) -> AsyncIterator[Connect]:
    """Makes a client of these nodes (or URLs), named first, second…; all are closed at the end."""
    async with AsyncExitStack() as opened:

        def connected(*nodes: SolanaNode | str, genesis: str | None = None) -> SolanaClient:
            urls = [each if isinstance(each, str) else each.url for each in nodes]
            made = SolanaClient(
                "solana",
                list(zip(("first", "second", "third"), urls, strict=False)),
                genesis=genesis or chain.genesis,
                clock=ManualClock(),
                limits=NodeLimits(total_seconds=10),
                policy=PoolPolicy(breaker_failures=50),
            )
            opened.push_async_callback(made.close)
            return made

        yield connected


@pytest.fixture
def client(connect: Connect, node: SolanaNode) -> SolanaClient:
    return connect(node)


@pytest.fixture
def sender(chain: SolanaChain) -> Keypair:
    """Who holds 10 SOL."""
    made = Keypair()
    chain.airdrop(made.pubkey(), 10 * SOL)
    chain.advance()
    return made
