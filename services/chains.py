"""The chains of a process: who speaks to each, whether its nodes are well, and what its fees are.

A chain without configured nodes is still a chain: it is listed, and whatever is asked of it is refused with PROVIDER_UNAVAILABLE.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Protocol

from core.clock import Clock
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from events.chain import ChainProviderState, ChainState, FeeOffer, FeeOffers
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.fees import GasOffer
from integrations.chains.pool import Head, ProviderState
from integrations.chains.solana.client import SolanaClient
from models.chain import ChainEntry
from services.brief_memory import BriefMemory
from services.chain_failures import refused

GWEI_DIGITS = 9
_SOON_SECONDS, _LATE_SECONDS = 1.0, 15.0
"""Fees are asked for anew with every block, but not more often or later than this."""
_LATE_BLOCKS = 10
_LATE_FROM_SECONDS = 60.0
"""A chain whose newest block is older than both is behind: it has stopped, or all its nodes have."""


class NodePool(Protocol):
    """What clients of all families have: nodes that stand in for each other (`integrations/chains/pool.py`)."""

    @property
    def configured(self) -> bool: ...

    def head(self) -> Head | None: ...

    def states(self) -> list[ProviderState]: ...

    async def probe(self) -> None: ...

    async def run(self) -> None: ...


class ChainClient(Protocol):
    """A client of a chain, whatever its family."""

    @property
    def pool(self) -> NodePool: ...

    async def close(self) -> None: ...


FeeReader = Callable[[], Awaitable[FeeOffers]]


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """How a process reaches a chain; `fees` None: it cannot tell them."""

    client: ChainClient
    fees: FeeReader | None = None


class Chains:
    """One per process. `entries`: all chains of the catalogue; `accesses`: how to reach those that can be reached, by their keys."""

    def __init__(self, entries: Mapping[str, ChainEntry], accesses: Mapping[str, ChainAccess], clock: Clock) -> None:
        self.entries = entries
        self._accesses = accesses
        self._clock = clock
        self._fees: BriefMemory[str, FeeOffers] = BriefMemory(clock, most=len(entries) + 1)

    def evm(self, key: str, *, field: Sequence[str] = ("chain",)) -> EvmClient:
        """The client of an EVM chain, also of one without nodes. Raises WalletRefused, which names the input `field`."""
        client = self._client(key, field)
        if not isinstance(client, EvmClient):
            text = "this is possible on EVM chains only, such as ethereum"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        return client

    def solana(self, key: str = "solana", *, field: Sequence[str] = ("chain",)) -> SolanaClient:
        """The client of a Solana chain. Raises WalletRefused, which names the input `field`."""
        client = self._client(key, field)
        if not isinstance(client, SolanaClient):
            text = "this is possible on Solana only"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        return client

    def bitcoin(self, key: str = "bitcoin", *, field: Sequence[str] = ("chain",)) -> BitcoinClient:
        """The client of a chain of Bitcoin's kind. Raises WalletRefused, which names the input `field`."""
        client = self._client(key, field)
        if not isinstance(client, BitcoinClient):
            text = "this is possible on Bitcoin only"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        return client

    def evm_clients(self) -> dict[str, EvmClient]:
        """All EVM chains that have nodes, by their keys."""
        return {
            key: access.client
            for key, access in self._accesses.items()
            if isinstance(access.client, EvmClient) and access.client.pool.configured
        }

    def configured(self, key: str) -> bool:
        """Whether any node of the chain is named."""
        access = self._accesses.get(key)
        return access is not None and access.client.pool.configured

    def state(self, key: str) -> ChainState:
        """How the chain and its nodes are, as they were when last probed."""
        access = self._accesses.get(key)
        if access is None or not access.client.pool.configured:
            return ChainState(healthy=False, head=None, lag_seconds=None, providers=(), error="no node is configured")
        head = access.client.pool.head()
        providers = [_told(each) for each in access.client.pool.states()]
        lag = None
        if head is not None and head.time_ms is not None:
            lag = max(0, self._clock.now_ms() - head.time_ms) // 1000
        error = self._error(self.entries[key], providers, lag)
        return ChainState(error is None, None if head is None else head.number, lag, tuple(providers), error)

    def states(self) -> dict[str, ChainState]:
        """Of every chain that has nodes, by its key."""
        return {key: self.state(key) for key in self.entries if self.configured(key)}

    async def fees(self, key: str) -> FeeOffers | None:
        """What to offer now, kept for about a block; None where the chain has no nodes here or no such thing. Raises WalletRefused."""
        access = self._accesses.get(key)
        if access is None or access.fees is None or not access.client.pool.configured:
            return None
        seconds = min(max(self.entries[key].block_seconds, _SOON_SECONDS), _LATE_SECONDS)
        try:
            return await self._fees.get(key, access.fees, seconds=seconds)
        except ChainError as error:
            raise refused(error) from error

    async def run(self) -> None:
        """Probe the nodes of every chain again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for access in self._accesses.values():
                if access.client.pool.configured:
                    group.create_task(access.client.pool.run())
            group.create_task(_for_ever())

    async def close(self) -> None:
        await self._fees.close()
        for access in self._accesses.values():
            await access.client.close()

    def _client(self, key: str, field: Sequence[str]) -> ChainClient:
        if key not in self.entries:
            text = "there is no such chain here; `chains` lists those that there are"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_CHAIN, field=field)
        access = self._accesses.get(key)
        if access is None:
            raise refused(ChainUnavailable(key, {}), field=field)
        return access.client

    def _error(self, entry: ChainEntry, providers: Sequence[ChainProviderState], lag: int | None) -> str | None:
        if all(each.head is None for each in providers):
            return "no node has answered yet" if all(each.error is None for each in providers) else "no node answers"
        if not any(each.healthy for each in providers):
            return "no node answers as it should"
        if lag is not None and lag > max(_LATE_FROM_SECONDS, _LATE_BLOCKS * entry.block_seconds):
            return f"its newest block is {lag} s old"
        return None


def evm_access(entry: ChainEntry, client: EvmClient, clock: Clock) -> ChainAccess:
    """An EVM chain, with its fees in gwei."""

    def offer(found: GasOffer) -> FeeOffer:
        return FeeOffer(
            seconds=ceil(entry.block_seconds * found.blocks),
            most=_gwei(found.most),
            priority=None if found.priority is None else _gwei(found.priority),
        )

    async def fees() -> FeeOffers:
        time_ms = clock.now_ms()
        found = await client.gas_offers()
        base_fee = None if found.base_fee is None else _gwei(found.base_fee)
        return FeeOffers(offer(found.slow), offer(found.standard), offer(found.fast), time_ms, base_fee)

    return ChainAccess(client, fees)


def solana_access(entry: ChainEntry, client: SolanaClient, clock: Clock) -> ChainAccess:
    """A Solana chain, with its priority fees in micro-lamports for a compute unit, as paid lately whatever was written to."""

    def offer(rate: int, blocks: int) -> FeeOffer:
        return FeeOffer(seconds=ceil(entry.block_seconds * blocks), rate=Decimal(rate))

    async def fees() -> FeeOffers:
        time_ms = clock.now_ms()
        found = await client.priority_fees([])
        return FeeOffers(offer(found.slow, 20), offer(found.standard, 8), offer(found.fast, 3), time_ms)

    return ChainAccess(client, fees)


def bitcoin_access(entry: ChainEntry, client: BitcoinClient, clock: Clock) -> ChainAccess:
    """A chain of Bitcoin's kind, with its fee rates in satoshis for a virtual byte."""

    def offer(rate: int, blocks: int) -> FeeOffer:
        return FeeOffer(seconds=ceil(entry.block_seconds * blocks), rate=Decimal(rate).scaleb(-3))

    async def fees() -> FeeOffers:
        time_ms = clock.now_ms()
        found = await client.fee_rates()
        speeds = (found.slow or found.floor, found.standard or found.floor, found.fast or found.floor)
        slow, standard, fast = (offer(rate, blocks) for rate, blocks in zip(speeds, (6, 3, 1), strict=True))
        return FeeOffers(slow, standard, fast, time_ms)

    return ChainAccess(client, fees)


def _told(state: ProviderState) -> ChainProviderState:
    return ChainProviderState(state.name, state.healthy, state.head, state.latency_ms, state.error)


def _gwei(wei: int) -> Decimal:
    return Decimal(wei).scaleb(-GWEI_DIGITS)


async def _for_ever() -> None:
    await asyncio.Event().wait()
