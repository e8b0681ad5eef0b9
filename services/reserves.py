"""What the house's wallets really hold, by their chains: every configured node is asked, and only what they agree on is told.

Hot are the wallets whose keys this server signs with. Cold are those whose keys are offline: cold wallets, and deposit addresses that were not swept yet. A chain
that cannot be read is not known; it is never taken for empty.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog

from core.clock import Clock
from core.money import CONTEXT
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from events.reserve import ReserveState
from events.wallet import ChainTrouble
from integrations.chains.bitcoin.addresses import parse_address
from integrations.chains.errors import ChainError, ChainUnavailable, NodesContradict
from integrations.chains.evm.messages import EvmBlock
from integrations.chains.evm.reserves import evm_reserves
from integrations.chains.reserves import ChainReserves, Owned
from models import deposit_address, hot_wallet
from models.asset import AssetEntry, AssetNetworkEntry
from models.chain import ChainEntry
from services.brief_memory import BriefMemory
from services.catalogue import Catalogue
from services.chain_addresses import bitcoin_network
from services.chain_failures import failure_of
from services.chain_votes import WITNESSES, count_votes
from services.chains import Chains

log = structlog.get_logger(__name__)
_KEPT_SECONDS = 30.0
_WALLETS_SECONDS = 5.0
_MOST_CHAINS = 100
_ANSWER_SECONDS = 20.0
_TRIES = 3
"""Between two nodes' answers something may have moved: so often they are asked before they are said to contradict each other."""
_AT_ONCE = 500
"""Addresses that are read in one query."""
_TEXTS: Mapping[str, str] = {
    "late": "the chain is still being read; ask again in a few minutes",
    "silent": "the token's contract does not tell a balance",
    "no wallet": "the ledger has a reserve on this chain, and no wallet of it is configured here",
}


@dataclass(frozen=True, slots=True)
class HouseAddresses:
    """The house's addresses on a chain, each once. `deposits`: those that people were given."""

    hot: Sequence[str]
    cold: Sequence[str]
    deposits: Sequence[str]

    @property
    def all(self) -> list[str]:
        """All of them."""
        return [*self.hot, *self.cold, *self.deposits]


Sums = Mapping[str | None, int | None]
"""By contract (None: the chain's own coin), smallest units; None where a contract does not tell."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was found, summed up over each kind of wallet; None where there are none. What is missing from sums is 0."""

    hot: Sums | None
    unswept: Sums | None
    cold: Sums | None
    block: int
    time_ms: int | None


_Reader = Callable[[ChainEntry, Sequence[str]], Awaitable[ChainReserves]]


class Reserves:
    """One per process. By chain: `cold` are addresses of cold wallets, `shared` those that all people deposit to."""

    def __init__(
        self,
        chains: Chains,
        catalogue: Catalogue,
        cold: Mapping[str, Iterable[str]],
        clock: Clock,
        *,
        shared: Mapping[str, Sequence[str]] | None = None,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._chains = chains
        self._catalogue = catalogue
        self._cold = cold
        self._shared = shared or {}
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._wallets: BriefMemory[str, bool] = BriefMemory(clock, most=_MOST_CHAINS)
        self._found: BriefMemory[str, _Reading] = BriefMemory(clock, most=_MOST_CHAINS)
        self._readers: Mapping[ChainFamily, _Reader] = {
            ChainFamily.EVM: self._read_evm,
            ChainFamily.BITCOIN: self._read_bitcoin,
            ChainFamily.SOLANA: self._read_solana,
        }

    async def close(self) -> None:
        """Give up what is still being read."""
        await self._wallets.close()
        await self._found.close()

    async def of_asset(self, asset: str, booked: Container[str] = ()) -> list[ReserveState]:
        """What there is of an asset on each chain where the house has wallets, or where the ledger has `booked` a reserve of it."""
        known = self._catalogue.assets.get(asset)
        forms = {} if known is None else {form.chain: form for form in known.networks}
        chains = [chain for chain in self._catalogue.chains.values() if chain.key in forms or chain.key in booked]
        states = await asyncio.gather(*(self._of_chain(chain, asset, forms.get(chain.key)) for chain in chains))
        return [state for state in states if state.has_wallets or state.chain in booked]

    async def addresses(self, chain: ChainEntry) -> HouseAddresses:
        """The house's addresses on a chain as they are now."""
        hot = (await hot_wallet.read(chain.key)).address
        given = list(self._shared.get(chain.key, ()))
        low = 0
        while found := await deposit_address.from_index(chain.family, low, low + _AT_ONCE):
            given += [row.address for row in found]
            low = found[-1].index + 1
        hot_ones = [] if hot is None else [hot]
        cold = sorted({*self._cold.get(chain.key, ())} - {*hot_ones})
        taken = {*hot_ones, *cold}
        return HouseAddresses(hot_ones, cold, [each for each in dict.fromkeys(given) if each not in taken])

    async def _has_wallets(self, chain: ChainEntry) -> bool:
        """Without reading all of them."""
        if self._cold.get(chain.key) or self._shared.get(chain.key):
            return True
        return bool(await deposit_address.from_index(chain.family, 0, 1)) or (
            (await hot_wallet.read(chain.key)).address is not None
        )

    async def _of_chain(self, chain: ChainEntry, asset: str, form: AssetNetworkEntry | None) -> ReserveState:
        is_ours = await self._wallets.get(chain.key, lambda: self._has_wallets(chain), seconds=_WALLETS_SECONDS)
        if form is None or not is_ours:
            trouble = ChainTrouble(chain.key, WalletErrorCode.NOT_ENABLED, _TEXTS["no wallet"])
            return ReserveState(chain.key, asset, has_wallets=False, trouble=trouble)
        try:
            if not self._chains.configured(chain.key):
                raise ChainUnavailable(chain.key, {})
            async with asyncio.timeout(self._answer_seconds):
                found = await self._found.get(chain.key, lambda: self._read(chain), seconds=_KEPT_SECONDS)
        except TimeoutError:
            return _not_known(chain, asset, WalletErrorCode.PROVIDER_UNAVAILABLE, "late")
        except ChainError as error:
            told = failure_of(error)
            return ReserveState(chain.key, asset, trouble=ChainTrouble(chain.key, told.code, told.text, told.values))
        return self._state(chain, asset, form, found)

    def _state(self, chain: ChainEntry, asset: str, form: AssetNetworkEntry, found: _Reading) -> ReserveState:
        units = [
            None if sums is None else sums.get(form.contract, 0) for sums in (found.hot, found.unswept, found.cold)
        ]
        if any(sums and sums.get(form.contract, 0) is None for sums in (found.hot, found.unswept, found.cold)):
            return _not_known(chain, asset, WalletErrorCode.SIMULATION_REVERTED, "silent")
        hot, unswept, cold = (None if each is None else CONTEXT.scaleb(Decimal(each), -form.decimals) for each in units)
        age_ms = None if found.time_ms is None else max(0, self._clock.now_ms() - found.time_ms)
        return ReserveState(
            chain.key,
            asset,
            hot=hot,
            unswept=unswept,
            cold=cold,
            block=found.block,
            time_ms=found.time_ms,
            age_seconds=None if age_ms is None else age_ms // 1000,
        )

    async def _read(self, chain: ChainEntry) -> _Reading:
        """What all nodes say that the house owns there. Raises ChainError."""
        wallets = await self.addresses(chain)
        reader, problem = self._readers[chain.family], None
        for _ in range(_TRIES):
            try:
                found = await reader(chain, wallets.all)
                hot, unswept, cold = (
                    _summed(found.owned, each) for each in (wallets.hot, wallets.deposits, wallets.cold)
                )
                return _Reading(hot, unswept, cold, found.block, found.time_ms)
            except NodesContradict as error:
                problem = error
        log.warning("reserves.contradiction", chain=chain.key, problem=str(problem))
        raise problem or NodesContradict(f"nodes of {chain.key} contradict each other")

    async def _read_evm(self, chain: ChainEntry, addresses: Sequence[str]) -> ChainReserves:
        """As of the newest block that every node has."""
        client = self._chains.evm(chain.key)
        heads = [head.number for head in (await client.heads_of_all()).values() if isinstance(head, EvmBlock)]
        number = min(heads, default=0)
        vote = count_votes(chain.key, number, await client.blocks_of_all(number))
        block = vote.winner
        if block is None or vote.against(block.hash):
            raise NodesContradict(f"nodes of {chain.key} have different blocks {number}")
        contracts = [form.contract for form in _forms(self._catalogue.assets.values(), chain.key)]
        tokens = sorted(each for each in contracts if each is not None)
        multicall = chain.evm.multicall
        told = await client.pool.ask_all(lambda node: evm_reserves(node, block, addresses, tokens, multicall=multicall))
        return _agreed(chain.key, told)

    async def _read_bitcoin(self, chain: ChainEntry, addresses: Sequence[str]) -> ChainReserves:
        network = bitcoin_network(chain)
        parsed = [parse_address(each, network) for each in addresses]
        return _agreed(chain.key, await self._chains.bitcoin(chain.key).confirmed_of_all(parsed))

    async def _read_solana(self, chain: ChainEntry, addresses: Sequence[str]) -> ChainReserves:
        return _agreed(chain.key, await self._chains.solana(chain.key).reserves_of_all(addresses))


def _agreed(chain: str, told: Mapping[str, ChainReserves | ChainError]) -> ChainReserves:
    """What all nodes that answer tell alike, if they are enough; as of the lowest of their blocks. Raises NodesContradict, ChainUnavailable."""
    answers = [each for each in told.values() if not isinstance(each, ChainError)]
    if any(each.owned != answers[0].owned for each in answers):
        raise NodesContradict(f"nodes of {chain} tell different balances of the house's wallets")
    if len(answers) < max(1, min(WITNESSES, len(told))):
        raise ChainUnavailable(chain, {name: str(each) for name, each in told.items() if isinstance(each, ChainError)})
    return min(answers, key=lambda each: each.block)


def _summed(owned: Owned, addresses: Sequence[str]) -> Sums | None:
    """None: there are no such wallets."""
    if not addresses:
        return None
    sums: dict[str | None, int | None] = {}
    for address in addresses:
        for contract, units in owned[address].items():
            before = sums.get(contract, 0)
            sums[contract] = None if units is None or before is None else before + units
    return sums


def _forms(assets: Iterable[AssetEntry], chain: str) -> list[AssetNetworkEntry]:
    return [form for asset in assets for form in asset.networks if form.chain == chain]


def _not_known(chain: ChainEntry, asset: str, code: WalletErrorCode, why: str) -> ReserveState:
    return ReserveState(chain.key, asset, trouble=ChainTrouble(chain.key, code, _TEXTS[why]))
