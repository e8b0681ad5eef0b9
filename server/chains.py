"""The chains of a process: clients of their nodes, made from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from core.clock import Clock
from core.settings import Settings
from core.vocabulary import ChainFamily
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import Head, ProviderPool
from integrations.chains.registry import nodes_of
from integrations.chains.solana.client import SolanaClient
from models.chain import ChainEntry
from services.catalogue import Catalogue
from services.chains import ChainAccess, Chains, evm_access, solana_access


def open_chains(settings: Settings, catalogue: Catalogue, clock: Clock, stack: AsyncExitStack) -> Chains:
    """Nothing is asked of a node yet; `Chains.run` and the first question do."""
    accesses = {
        key: build(settings, entry, clock)
        for key, entry in catalogue.chains.items()
        if (build := _FAMILIES.get(entry.family)) is not None
    }
    chains = Chains(catalogue.chains, accesses, clock)
    stack.push_async_callback(chains.close)
    return chains


def _evm(settings: Settings, entry: ChainEntry, clock: Clock) -> ChainAccess:
    chain_id = entry.chain_id
    if chain_id is None:
        raise ValueError(f"chain {entry.key} has no chain id")

    async def head(node: JsonRpc) -> Head:
        return await probe(node, chain_id)

    nodes = [(name, JsonRpc(url)) for name, url in nodes_of(settings, entry.key)]
    pool = ProviderPool(entry.key, nodes, head, clock=clock)
    return evm_access(entry, EvmClient(entry.key, chain_id, pool), clock)


def _solana(settings: Settings, entry: ChainEntry, clock: Clock) -> ChainAccess:
    nodes = [(name, url) for name, url in nodes_of(settings, entry.key)]
    return solana_access(entry, SolanaClient(entry.key, nodes, genesis=entry.genesis, clock=clock), clock)


_FAMILIES: dict[ChainFamily, Callable[[Settings, ChainEntry, Clock], ChainAccess]] = {
    ChainFamily.EVM: _evm,
    ChainFamily.SOLANA: _solana,
}
