"""What wallets hold: on every chain of their family at once, each as of one block, with what could not be found out told beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from events.wallet import ChainTrouble, TokenHolding, WalletHoldings
from integrations.chains.bitcoin.addresses import NotAnAddress, parse_address
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.evm.holdings import EvmHoldings, holdings
from integrations.chains.json_rpc import JsonRpc
from models.chain import ChainEntry
from services.brief_memory import BriefMemory
from services.chain_addresses import bitcoin_network
from services.chain_failures import failure_of
from services.chains import Chains
from services.tokens import Tokens

MOST_KEPT = 5_000
_KEPT_SECONDS = 5.0
_LAST_KNOWN_SECONDS = 300.0
"""How long balances are still shown, as of their time, beside the failure to read newer ones."""
_ANSWER_SECONDS = 8.0
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class ChainHoldings:
    """Of one chain. `silent`: symbols of the tokens that do not tell their balance."""

    items: Sequence[TokenHolding]
    silent: Sequence[str] = ()


HoldingsReader = Callable[[ChainEntry, str], Awaitable[ChainHoldings]]
"""Reads what an address holds on a chain; the chain's own coin is always among it. Raises ChainError."""


class WalletBalances:
    """One per process. `answer_seconds`: how long one chain may take."""

    def __init__(
        self, chains: Chains, tokens: Tokens, clock: Clock, *, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._chains = chains
        self._tokens = tokens
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._found: BriefMemory[tuple[str, str], ChainHoldings] = BriefMemory(clock, most=MOST_KEPT)
        self._readers: Mapping[ChainFamily, HoldingsReader] = {
            ChainFamily.BITCOIN: self._read_bitcoin,
            ChainFamily.EVM: self._read_evm,
            ChainFamily.SOLANA: self._read_solana,
        }

    async def close(self) -> None:
        await self._found.close()

    async def read(self, family: ChainFamily, address: str, chains: Sequence[str] | None = None) -> WalletHoldings:
        """What this address holds on these chains, or on all of its family that have nodes here.

        Tokens of which there is nothing are left out, chains' own coins are not. Raises WalletRefused for a chain that is unknown or of another family.
        """
        wanted = self._wanted(family, chains)
        found = await asyncio.gather(*(self._of_chain(entry, address) for entry in wanted))
        items = [item for held, _ in found for item in held.items]
        failures = [trouble for _, trouble in found if trouble is not None]
        return WalletHoldings(address, items, failures)

    def chain_of(self, family: ChainFamily, key: str | None) -> ChainEntry | None:
        """The chain that is meant for a wallet; without a key the first of its family, if there is one. Raises WalletRefused as `read` does."""
        if key is not None:
            return wanted_chain(self._chains.entries, family, key, field=["chain"])
        return next((entry for entry in self._chains.entries.values() if entry.family is family), None)

    def _wanted(self, family: ChainFamily, chains: Sequence[str] | None) -> list[ChainEntry]:
        own = [entry for entry in self._chains.entries.values() if entry.family is family]
        if chains is None:
            reached = [entry for entry in own if self._chains.configured(entry.key)]
            return reached or own
        entries = self._chains.entries
        found = [wanted_chain(entries, family, key, field=["chains", str(place)]) for place, key in enumerate(chains)]
        return list({entry.key: entry for entry in found}.values())

    async def _of_chain(self, entry: ChainEntry, address: str) -> tuple[ChainHoldings, ChainTrouble | None]:
        reader, key = self._readers.get(entry.family), (entry.key, address)
        try:
            if reader is None or not self._chains.configured(entry.key):
                raise ChainUnavailable(entry.key, {})
            async with asyncio.timeout(self._answer_seconds):
                seconds = max(_KEPT_SECONDS, min(entry.block_seconds, 2 * _KEPT_SECONDS))
                found = await self._found.get(key, lambda: reader(entry, address), seconds=seconds)
        except (ChainError, TimeoutError) as error:
            told = failure_of(error if isinstance(error, ChainError) else ChainUnavailable(entry.key, {"all": "late"}))
            last = self._found.last(key, seconds=_LAST_KNOWN_SECONDS)
            return last or ChainHoldings(()), ChainTrouble(entry.key, told.code, told.text, told.values)
        return found, self._silence(entry, found.silent)

    def _silence(self, entry: ChainEntry, silent: Sequence[str]) -> ChainTrouble | None:
        if not silent:
            return None
        text = _SILENT_TEXTS["tokens"]
        named = ", ".join(silent[:MOST_NAMED]) + (", …" if len(silent) > MOST_NAMED else "")
        return ChainTrouble(entry.key, WalletErrorCode.SIMULATION_REVERTED, text, {"tokens": named})

    async def _read_evm(self, entry: ChainEntry, address: str) -> ChainHoldings:
        listed = {token.contract: token for token in self._tokens.listed(entry.key)}
        contracts = [contract for contract in listed if contract is not None]

        async def ask(node: JsonRpc) -> EvmHoldings:
            return await holdings(node, address, contracts, multicall=entry.evm.multicall)

        found = await self._chains.evm(entry.key).pool.use(ask)
        block, time_ms = found.block.number, found.block.time_ms
        items = [TokenHolding(self._tokens.coin(entry.key), found.native, block, time_ms)]
        items += [TokenHolding(listed[each], units, block, time_ms) for each, units in found.tokens.items() if units]
        silent = [listed[contract].symbol for contract, units in found.tokens.items() if units is None]
        return ChainHoldings(items, silent)

    async def _read_bitcoin(self, entry: ChainEntry, address: str) -> ChainHoldings:
        """Outputs in blocks alone: what waits for its first confirmation may never come."""
        try:
            owner = parse_address(address, bitcoin_network(entry))
        except NotAnAddress:
            text = "this wallet has no address on this chain"
            raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_WRONG_NETWORK, field=["chains"]) from None
        now_ms = self._clock.now_ms()
        found = await self._chains.bitcoin(entry.key).unspent(owner)
        satoshis = sum(output.sats for output in found.outputs if output.height is not None)
        return ChainHoldings([TokenHolding(self._tokens.coin(entry.key), satoshis, found.height, now_ms)])

    async def _read_solana(self, entry: ChainEntry, address: str) -> ChainHoldings:
        found = await self._chains.solana(entry.key).holdings(address)
        now_ms = self._clock.now_ms()
        units: dict[str, int] = {}
        decimals = {each.mint: each.decimals for each in found.tokens}
        for each in found.tokens:
            units[each.mint] = units.get(each.mint, 0) + each.amount
        items = [TokenHolding(self._tokens.coin(entry.key), found.lamports, found.slot, now_ms)]
        for mint, amount in units.items():
            token = self._tokens.known(entry.key, mint)
            if token is None:
                token = self._tokens.unvouched(entry.key, mint, mint[:4], mint, decimals[mint])
            if amount:
                items.append(TokenHolding(token, amount, found.slot, now_ms))
        return ChainHoldings(items)


def wanted_chain(
    entries: Mapping[str, ChainEntry], family: ChainFamily, key: str, *, field: Sequence[str]
) -> ChainEntry:
    """The chain that somebody asks for of a wallet. Raises WalletRefused, which names the input `field`, for one it cannot be on."""
    entry = entries.get(key)
    if entry is None:
        text = "there is no such chain here; `chains` lists those that there are"
        raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_CHAIN, field=field)
    if entry.family is not family:
        text = "this wallet has no address on this chain"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_WRONG_NETWORK, field=field)
    return entry


_SILENT_TEXTS: Mapping[str, str] = {"tokens": "these tokens do not tell their balance: {tokens}"}
