"""The chains of a process: clients of their nodes, made from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from core.clock import Clock
from core.settings import Settings
from core.settings_values import urls_of
from core.vocabulary import ChainFamily
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.client import nodes_of as bitcoin_nodes
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import Head, ProviderPool
from integrations.chains.registry import nodes_of
from integrations.chains.solana.client import SolanaClient
from models.chain import ChainEntry
from services.catalogue import Catalogue
from services.chain_addresses import bitcoin_network
from services.chains import ChainAccess, Chains, bitcoin_access, evm_access, solana_access


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


def _bitcoin(settings: Settings, entry: ChainEntry, clock: Clock) -> ChainAccess:
    rpc, api = (() if urls is None else urls_of(urls) for urls in (settings.bitcoin_rpc_url, settings.bitcoin_api_url))
    client = BitcoinClient(
        entry.key, bitcoin_nodes(rpc, api), network=bitcoin_network(entry), genesis=entry.genesis, clock=clock
    )
    return bitcoin_access(entry, client, clock)


_FAMILIES: dict[ChainFamily, Callable[[Settings, ChainEntry, Clock], ChainAccess]] = {
    ChainFamily.BITCOIN: _bitcoin,
    ChainFamily.EVM: _evm,
    ChainFamily.SOLANA: _solana,
}
