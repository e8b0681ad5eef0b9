"""What all nodes of an EVM chain say of one block, where the word of one is not enough: whom a name leads to, whether a contract takes a signature.

The block is the newest that enough nodes have, named by its hash (EIP-1898), so that honest nodes cannot differ. Nodes that have not got it yet have no say;
one that says something else than the others is reason enough to believe none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog

from integrations.chains.errors import ChainError, ChainUnavailable, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock
from integrations.chains.json_rpc import JsonRpc
from services.chain_votes import WITNESSES, count_votes

log = structlog.get_logger(__name__)
T = TypeVar("T")
MOST_APART = 10
"""Blocks. Where the newest block that enough nodes have is older than that beside a newer one, what it says may be long out of date."""


_BELOW_TIP = 3
"""Blocks. At the very tip honest nodes may differ for a moment, or not have the state yet of a block that they have told."""
_ANSWER_SECONDS = 8.0
"""A node that stalls is too few before the whole request is too late."""


async def common_block(client: EvmClient, *, below: int = 0) -> EvmBlock:
    """The newest block that enough nodes have, or one so many below it, of which all say the same that have it. Raises ChainUnavailable, NodesContradict."""
    said = await client.heads_of_all()
    heads = sorted((each.number for each in said.values() if isinstance(each, EvmBlock)), reverse=True)
    needed = max(1, min(WITNESSES, len(said)))
    if len(heads) < needed:
        raise ChainUnavailable(client.key, _reasons(said))
    number = heads[needed - 1]
    if heads[0] - number > MOST_APART:
        raise ChainUnavailable(client.key, {"all": f"their newest blocks are {heads[0] - number} apart"})
    number = max(0, number - below)
    vote = count_votes(client.key, number, await client.blocks_of_all(number))
    if vote.winner is None or not vote.stands(vote.winner.hash):
        if len({each.hash for each in vote.blocks.values()}) > 1:
            raise NodesContradict(f"nodes of {client.key} have different blocks {number}")
        raise ChainUnavailable(client.key, {"all": f"too few have block {number}"})
    return vote.winner


async def agreed(client: EvmClient, ask: Callable[[JsonRpc, str], Awaitable[T]]) -> T:
    """What `ask` finds by every node at the one block whose hash it is given; enough must answer, and all the same.

    Raises ChainUnavailable: too few can tell. Raises NodesContradict: one tells something else.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            try:
                block, told = await _told(client, ask, below=0)
            except ChainError:
                block, told = await _told(client, ask, below=_BELOW_TIP)
    except TimeoutError as error:
        raise ChainUnavailable(client.key, {"all": "late"}) from error
    first, *others = told.values()
    if any(each != first for each in others):
        log.error("chain.nodes_contradict", chain=client.key, block=block.number, nodes=sorted(told))
        raise NodesContradict(f"nodes of {client.key} tell different things of block {block.number}")
    return first


async def _told(
    client: EvmClient, ask: Callable[[JsonRpc, str], Awaitable[T]], *, below: int
) -> tuple[EvmBlock, dict[str, T]]:
    """A block, and what each node says of it that can."""
    block = await common_block(client, below=below)
    said = await client.pool.ask_all(lambda node: ask(node, block.hash))
    told = {name: each for name, each in said.items() if not isinstance(each, ChainError)}
    if len(told) < max(1, min(WITNESSES, len(said))):
        raise ChainUnavailable(client.key, _reasons(said))
    return block, told


def _reasons(said: Mapping[str, object]) -> dict[str, str]:
    return {name: str(each) for name, each in said.items() if isinstance(each, ChainError)}
