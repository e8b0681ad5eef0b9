"""Withdrawals on Solana's real runtime: signed again only when nothing can land any more, and two that are alike are two."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solders.keypair import Keypair

from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.wallet_vocabulary import ChainNetwork, WithdrawalStatus
from integrations.chains.solana.client import SolanaClient
from integrations.signers.keystore import KeystoreSigner
from integrations.signers.solana import solana_address
from models import withdrawal
from models.withdrawal import WithdrawalDocument
from services.payouts_solana import SolanaPayouts
from services.withdrawal_rules import Wish
from services.withdrawal_steps import WithdrawalSteps
from tests.accounts import CLIENT, Person, World
from tests.custody import build_steps
from tests.services.test_withdrawal_kills import Killed, Killer, proven
from tests.solana_chain import SolanaChain
from tests.solana_node import SolanaNode, solana_node
from tests.trading_house import SCALES, TradingHouse

D = Decimal
S = WithdrawalStatus
SOL = 10**9


@dataclass
class Site:
    """The exchange, an account on it, and the chain with the hot wallet."""

    chain: SolanaChain
    node: SolanaNode
    house: TradingHouse
    world: World
    payouts: SolanaPayouts
    hot: str
    to: Keypair = field(default_factory=Keypair)
    person: Person = field(init=False)
    entry: str = field(init=False)

    async def settle_in(self) -> None:
        self.person = await self.world.signed_up("ann@example.org")
        await self.house.give(self.person.user_id, "SOL", 100 * SOL)
        await self.house.projected()
        custody = self.world.custody
        entry = await custody.addresses.add(self.person.viewer, "solana", str(self.to.pubkey()), "cold", CLIENT)
        self.world.clock.advance(25 * 3600)
        self.entry = entry.id

    async def approved(self, key: str, amount: str = "1") -> str:
        wish = Wish("SOL", "solana", self.entry, D(amount))
        found = await self.world.custody.withdrawals.request(self.person.viewer, key, wish, CLIENT, proven)
        await self.house.projected()
        boss = SimpleNamespace(user_id="boss")
        await self.world.custody.withdrawals.confirm(await self.world.token("confirm-withdrawal"))
        if (await self.row(found.row.id)).status is S.IN_REVIEW:
            review: Any = self.world.custody.withdrawals.review
            await review(boss, found.row.id, approve=True, reason="known", client=CLIENT)
        return found.row.id

    def steps(self, killer: Killer | None = None) -> WithdrawalSteps:
        watch = killer or Killer(None, after=False)
        custody = self.world.custody
        steps = build_steps(
            custody,
            watch.wrap(self.payouts, "promise", "sign", "send", "fate"),
            gateway=watch.wrap(self.house.gateway, "ask"),
            accounts=self.world.funds.accounts,
            catalogue=self.world.catalogue,
            clock=self.world.clock,
        )
        steps._changes = watch.wrap(custody.withdrawal_changes, "move", "note", "keep")
        return steps

    async def row(self, row_id: str) -> WithdrawalDocument:
        row = await withdrawal.by_id(row_id)
        assert row is not None
        return row

    async def step(self, row_id: str, times: int = 1, steps: WithdrawalSteps | None = None) -> WithdrawalDocument:
        doer = steps or self.steps()
        for _ in range(times):
            await doer.step(row_id)
            self.world.clock.advance(6)
        return await self.row(row_id)

    async def until_over(self, row_id: str, killer: Killer | None = None) -> bool:
        steps = self.steps(killer)
        try:
            for _ in range(40):
                row = await self.step(row_id, steps=steps)
                await self.house.projected()
                if row.due_ms is None:
                    return True
                self.chain.finalize()
                self.world.clock.advance(61)
        except Killed:
            return False
        raise AssertionError(f"not over: {row}")

    def received(self) -> int:
        account = self.chain.account(self.to.pubkey(), self.chain.tip.slot)
        return 0 if account is None else account.lamports


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus, scales={**SCALES, "SOL": 9})
    world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL)
    house.clock = world.clock
    await world.accounts.load()
    chain = SolanaChain()
    async with solana_node(chain) as node, house.open():
        signer = KeystoreSigner("solana", Ed25519PrivateKey.generate())
        hot = solana_address(await signer.public_key())
        chain.airdrop(Keypair().pubkey().from_string(hot), 50 * SOL)
        chain.finalize()
        client = SolanaClient("solana", [("node-1", node.url)], genesis=chain.genesis, clock=SystemClock())
        made = Site(chain, node, house, world, SolanaPayouts(client, signer, hot, final_after=32), hot)
        await made.settle_in()
        yield made
        await client.close()


async def test_it_arrives_and_the_ledger_knows_what_it_cost(site: Site) -> None:
    row_id = await site.approved("w1")
    assert await site.until_over(row_id)
    row = await site.row(row_id)
    assert (row.status, row.settled) == (S.CONFIRMED, True)
    paid = int((row.amount - row.fee) * SOL)
    assert site.received() == paid
    await site.house.projected()
    house = site.house.writer.exchange.state.house
    cost = -house["house:network-fees"]["SOL"]
    assert cost == row.attempts[0].fee_units > 0
    assert house["house:hot:solana"]["SOL"] == paid + cost


async def test_two_that_are_alike_are_two(site: Site) -> None:
    ids = [await site.approved(key) for key in ("w1", "w2")]
    for row_id in ids:
        await site.step(row_id, 2)
    first, second = [await site.row(row_id) for row_id in ids]
    assert first.attempts[0].hash != second.attempts[0].hash
    for row_id in ids:
        assert await site.until_over(row_id)
    assert site.received() == 2 * int((first.amount - first.fee) * SOL)


async def test_one_that_was_lost_is_signed_again_only_when_it_has_expired(site: Site) -> None:
    row_id = await site.approved("w1")
    site.chain.hold()
    row = await site.step(row_id, 8)
    assert (row.status, len(row.attempts)) == (S.BROADCAST, 1)
    site.chain.expire_blockhashes()
    site.chain.finalize()
    row = await site.step(row_id, 2)
    assert len(row.attempts) == 2
    site.chain.release()
    assert await site.until_over(row_id)
    row = await site.row(row_id)
    assert site.received() == int((row.amount - row.fee) * SOL)
    assert row.hash == row.attempts[-1].hash


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_the_chain_pays_once(site: Site, after: bool) -> None:
    at, paid = 1, 0
    while True:
        row_id = await site.approved(f"w{at}")
        was_killed = not await site.until_over(row_id, Killer(at, after=after))
        if was_killed:
            site.chain.expire_blockhashes()
            assert await site.until_over(row_id)
        row = await site.row(row_id)
        assert (row.status, row.settled) == (S.CONFIRMED, True)
        paid += int((row.amount - row.fee) * SOL)
        assert site.received() == paid
        if not was_killed:
            break
        at += 1
    assert at > 10


async def test_what_the_hot_wallet_has_not_waits_with_a_reason(site: Site) -> None:
    row_id = await site.approved("w1", "60")
    row = await site.step(row_id)
    assert (row.status, row.reason) == (S.HELD, "the hot wallet has too little of it now")
    site.chain.airdrop(Keypair().pubkey().from_string(site.hot), 20 * SOL)
    site.chain.finalize()
    site.world.clock.advance(31)
    assert await site.until_over(row_id)
    assert site.received() == int((D(60) - row.fee) * SOL)


@pytest.mark.parametrize("more", [-(10**6), 10**9])
async def test_what_it_cannot_have_cost_is_not_booked(site: Site, more: int) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 3)
    site.chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction" and result is not None:
            result["meta"]["postBalances"][0] -= more
        return result

    site.node.twist = twist
    row = await site.step(row_id, 2)
    assert (row.status, row.settled) == (S.BROADCAST, False)
    assert "cannot have cost" in (row.reason or "")
    site.node.twist = lambda method, params, result: result
    site.world.clock.advance(31)
    assert await site.until_over(row_id)
