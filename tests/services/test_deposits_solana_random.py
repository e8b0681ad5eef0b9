"""Deposits on Solana under chance: whatever is paid, whatever nodes hide, however often the worker dies, ledger and chain agree in the end."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from solders.keypair import Keypair

from core.database import Database
from integrations.chains.errors import ChainError
from integrations.chains.solana.addresses import associated_token_address
from models import unclaimed_deposit
from tests.deposits_solana import COLD, HOT, HOT_RESERVE, HOUSE, SOL, D, SolanaSite, key, opened
from tests.services.test_withdrawal_kills import Killer
from tests.solana_answers import key_of, token_of

STEPS = 40
LEAST = SOL // 100
"""The smallest deposit of SOL."""


class Chance:
    """What is done, and what must come of it."""

    def __init__(self, site: SolanaSite, seed: int, memos: list[str]) -> None:
        self.site = site
        self.random = random.Random(seed)
        self.memos = memos
        self.expected = {memo: {"SOL": 0, "USDC": 0} for memo in memos}
        self.nobodys = {"SOL": 0, "USDC": 0}
        self.small = 0

    def pay(self) -> None:
        """By one memo, none, a wrong one or two; coins, tokens or both."""
        memo = self.random.choice([*self.memos, *self.memos, None, "0123456789"])
        lamports = self.random.choice([0, LEAST - 1, LEAST, SOL, 2 * SOL])
        units = self.random.choice([0, 10**6, 3 * 10**6])
        coins = [self.site.sol(lamports)] if lamports else []
        tokens = self.site.tokens(self.site.usdc, units) if units else []
        if not coins and not tokens:
            return
        self.site.pay(*coins, *tokens, memo=memo)
        owner = self.nobodys if memo is None else self.expected.get(memo, self.nobodys)
        owner["USDC"] += units
        if lamports >= LEAST or owner is self.nobodys:
            owner["SOL"] += lamports
        else:
            self.small += lamports

    def move(self) -> None:
        """Of the house's own doing."""
        giver, taker = self.random.sample([HOUSE, HOT, COLD], 2)
        self.site.pay(self.site.sol(SOL, taker, by=giver), by=giver)

    def disturb(self) -> None:
        """One of the two nodes hides, lags, or is silent; the other is right."""
        node, other = self.random.sample(list(self.site.nodes), 2)
        other.twist, other.behind = _right, 0
        node.behind = self.random.choice([0, 0, 5, 60])
        node.twist = self.random.choice([_right, _hides, _silent])

    async def read(self) -> None:
        killer = self.random.choice([None, Killer(self.random.randint(1, 12), after=self.random.random() < 0.5)])
        try:
            await self.site.run(killer=killer)
        except ChainError:
            self.site.chain.advance(self.random.randint(0, 3))

    async def go(self) -> None:
        doings: list[Callable[[], None]] = [self.pay, self.pay, self.pay, self.move, self.disturb]
        for _ in range(STEPS):
            self.random.choice(doings)()
            self.site.chain.advance(self.random.choice([0, 1, 10, 200]))
            if self.random.random() < 0.5:
                await self.read()
        for node in self.site.nodes:
            node.twist, node.behind = _right, 0
        self.site.chain.finalize()
        await self.site.run()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3))])
async def test_ledger_and_chain_agree(database: Database, seed: int) -> None:
    async with opened(nodes=2) as site:
        for wallet in (HOUSE, HOT, COLD):
            site.chain.airdrop(wallet.pubkey(), 100 * SOL)
        site.chain.finalize()
        await site.run()
        before = {row.id for row in await unclaimed_deposit.seen_between(0, 2**53, dust=False)}
        site.chain.advance(200)
        site.hot, site.cold = key(HOT), frozenset({key(COLD)})
        bob, other = await site.newcomer("bob@example.org")
        chance = Chance(site, seed, [site.memo, other])
        await chance.go()
        told = f"seed {seed}"
        for person, memo in ((site.person, site.memo), (bob, other)):
            for asset, digits in (("SOL", 9), ("USDC", 6)):
                wanted = D(chance.expected[memo][asset]).scaleb(-digits)
                assert await site.funds(asset, person) == wanted, told
        left = [row for dust in (False, True) for row in await unclaimed_deposit.seen_between(0, 2**53, dust=dust)]
        found = {
            asset: sum(row.amount for row in left if row.asset == asset and row.id not in before)
            for asset in ("SOL", "USDC")
        }
        assert found == {"SOL": D(chance.nobodys["SOL"]) / SOL, "USDC": D(chance.nobodys["USDC"]) / 10**6}, told
        offline = sum(_lamports(site, wallet) for wallet in (HOUSE, COLD)) - 200 * SOL
        assert offline == site.reserve() + chance.nobodys["SOL"] + chance.small, told
        assert _lamports(site, HOT) - 100 * SOL == site.reserve(account=HOT_RESERVE), told
        assert _tokens(site) == site.reserve("USDC") + chance.nobodys["USDC"], told
        assert await site.problem() is None, told


def _lamports(site: SolanaSite, wallet: Keypair) -> int:
    account = site.chain.svm.get_account(wallet.pubkey())
    return 0 if account is None else account.lamports


def _tokens(site: SolanaSite) -> int:
    account = site.chain.svm.get_account(key_of(associated_token_address(key(HOUSE), key(site.usdc))))
    held = None if account is None else token_of(account)
    return 0 if held is None else held.amount


def _right(method: str, params: list[Any], result: Any) -> Any:
    return result


def _hides(method: str, params: list[Any], result: Any) -> Any:
    return [] if method == "getSignaturesForAddress" else result


def _silent(method: str, params: list[Any], result: Any) -> Any:
    return "nothing"
