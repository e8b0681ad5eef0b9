"""What an account's linked wallets hold together, by chain and asset, for its portfolio. Tokens that are no assets here, and spam, do not count."""

import asyncio
from decimal import Decimal

from core.clock import Clock
from core.wallet_vocabulary import WalletErrorCode
from events.wallet import ChainTrouble, OnChainFunds, TokenHolding
from models import wallet
from services.brief_memory import BriefMemory
from services.tokens import Tokens
from services.wallet_balances import WalletBalances

_MOST_KEPT = 5_000


class WalletFunds:
    """One per process."""

    def __init__(self, balances: WalletBalances, tokens: Tokens, clock: Clock) -> None:
        self._balances = balances
        self._tokens = tokens
        self._asked: BriefMemory[str, OnChainFunds] = BriefMemory(clock, most=_MOST_KEPT)

    async def close(self) -> None:
        await self._asked.close()

    async def read(self, account: str) -> OnChainFunds:
        """What is known, and what is not; asked for once however many want it at a time."""
        return await self._asked.get(account, lambda: self._read(account), seconds=0)

    async def _read(self, account: str) -> OnChainFunds:
        own = await wallet.of_user(account)
        found = await asyncio.gather(*(self._balances.read(each.family, each.address) for each in own))
        failures = {(each.chain, each.code, each.text): each for held in found for each in held.failures}
        amounts: dict[str, dict[str, Decimal]] = {}
        for held in found:
            for item in held.items:
                _add(amounts, item)
        unknown = {
            chain: frozenset().union(*(self._missing(each) for each in failures.values() if each.chain == chain))
            for chain in {each.chain for each in failures.values()}
        }
        return OnChainFunds(amounts, unknown, list(failures.values()))

    def _missing(self, trouble: ChainTrouble) -> frozenset[str]:
        """Assets of which it is not known how much there is, now that this has gone wrong."""
        listed = self._tokens.listed(trouble.chain)
        if trouble.code is WalletErrorCode.SIMULATION_REVERTED:  # single tokens that tell nothing; the coin is known
            listed = [each for each in listed if each.contract is not None]
        return frozenset(each.asset for each in listed if each.asset is not None)


def _add(amounts: dict[str, dict[str, Decimal]], item: TokenHolding) -> None:
    token = item.token
    if token.asset is not None and not token.spam and item.units:
        of_chain = amounts.setdefault(token.chain, {})
        of_chain[token.asset] = of_chain.get(token.asset, Decimal(0)) + Decimal(item.units).scaleb(-token.decimals)
