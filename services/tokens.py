"""Coins and tokens of chains: those that the catalogue vouches for, and what others say of themselves."""

from collections.abc import Sequence

from core.clock import Clock
from events.token import TokenState
from integrations.chains.evm.tokens import token_words
from integrations.chains.json_rpc import JsonRpc
from services.agreement import agreed
from services.brief_memory import BriefMemory
from services.catalogue import Catalogue
from services.chains import Chains
from services.spam import LONGEST_NAME, LONGEST_SYMBOL, is_spam, printable

_HOUR_SECONDS = 3600.0
_MOST_KNOWN = 10_000


class Tokens:
    """One per process."""

    def __init__(self, catalogue: Catalogue, chains: Chains, clock: Clock) -> None:
        self._catalogue = catalogue
        self._chains = chains
        self._told: BriefMemory[tuple[str, str], TokenState] = BriefMemory(clock, most=_MOST_KNOWN)
        self._agreed: BriefMemory[tuple[str, str], TokenState] = BriefMemory(clock, most=_MOST_KNOWN)

    async def close(self) -> None:
        await self._told.close()
        await self._agreed.close()

    def coin(self, chain: str) -> TokenState:
        """The chain's own coin."""
        return self._catalogue.tokens[chain][None]

    def listed(self, chain: str) -> Sequence[TokenState]:
        """The chain's own coin first, then the tokens that this server vouches for."""
        return tuple(self._catalogue.tokens[chain].values())

    def known(self, chain: str, contract: str | None) -> TokenState | None:
        """The token of this contract (EIP-55), or the coin, if this server vouches for it."""
        return self._catalogue.tokens[chain].get(contract)

    def unvouched(self, chain: str, contract: str, symbol: str, name: str, decimals: int | None) -> TokenState:
        """A token by its own words, and whether they are bait. Without decimals it is no token that could be counted: spam."""
        known = [token.symbol for token in self._catalogue.tokens[chain].values()]
        return TokenState(
            chain=chain,
            contract=contract,
            symbol=printable(symbol, LONGEST_SYMBOL) or "?",
            name=printable(name, LONGEST_NAME) or "?",
            decimals=decimals or 0,
            spam=decimals is None or is_spam(symbol, name, known),
        )

    async def describe(self, chain: str, contract: str) -> TokenState:
        """The token of a contract on an EVM chain, asked for its words when nobody vouches for it. Raises ChainError."""
        known = self.known(chain, contract)
        if known is not None:
            return known
        return await self._told.get((chain, contract), lambda: self._ask(chain, contract), seconds=_HOUR_SECONDS)

    async def agreed(self, chain: str, contract: str) -> TokenState:
        """The same, as all nodes tell it alike: for whoever turns an amount into the token's units. Raises ChainError."""
        known = self.known(chain, contract)
        if known is not None:
            return known
        return await self._agreed.get((chain, contract), lambda: self._ask_all(chain, contract), seconds=_HOUR_SECONDS)

    async def _ask(self, chain: str, contract: str) -> TokenState:
        return await self._chains.evm(chain).pool.use(lambda node: self._words(chain, contract, node, "latest"))

    async def _ask_all(self, chain: str, contract: str) -> TokenState:
        return await agreed(self._chains.evm(chain), lambda node, block: self._words(chain, contract, node, block))

    async def _words(self, chain: str, contract: str, node: JsonRpc, at: str) -> TokenState:
        words = await token_words(node, contract, multicall=self._catalogue.chains[chain].evm.multicall, at=at)
        return self.unvouched(chain, contract, words.symbol, words.name, words.decimals)
