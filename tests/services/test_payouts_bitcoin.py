"""Withdrawals on a real UTXO node: every transaction that is ever signed for one spends the same outputs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from coincurve import PrivateKey

from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.wallet_vocabulary import ChainNetwork, WithdrawalStatus
from integrations.chains.bitcoin.addresses import parse_address
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.json_rpc import JsonRpc
from integrations.signers.bitcoin import bitcoin_address
from integrations.signers.keystore import KeystoreSigner
from models import withdrawal
from models.withdrawal import WithdrawalDocument
from services.payouts_bitcoin import BitcoinPayouts
from services.withdrawal_rules import Wish
from services.withdrawal_steps import WithdrawalSteps
from tests.accounts import CLIENT, Person, World
from tests.chains import LITECOIN, litecoind
from tests.custody import build_steps
from tests.integrations.chains.bitcoin.house import NETWORK, House
from tests.services.test_withdrawal_kills import Killed, Killer, proven
from tests.trading_house import TradingHouse

D = Decimal
S = WithdrawalStatus
SATS = 10**8


@dataclass
class Site:
    """The exchange, an account on it, and the chain with the hot wallet."""

    node: House
    house: TradingHouse
    world: World
    client: BitcoinClient
    payouts: BitcoinPayouts
    hot: str
    to: str
    person: Person = field(init=False)
    entry: str = field(init=False)

    async def settle_in(self) -> None:
        self.person = await self.world.signed_up("ann@example.org")
        await self.house.give(self.person.user_id, "BTC", 10 * SATS)
        await self.house.projected()
        custody = self.world.custody
        entry = await custody.addresses.add(self.person.viewer, "bitcoin", self.to, "cold", CLIENT)
        self.world.clock.advance(25 * 3600)
        self.entry = entry.id

    async def approved(self, key: str, amount: str = "0.1") -> str:
        wish = Wish("BTC", "bitcoin", self.entry, D(amount))
        found = await self.world.custody.withdrawals.request(self.person.viewer, key, wish, CLIENT, proven)
        await self.house.projected()
        await self.world.custody.withdrawals.confirm(await self.world.token("confirm-withdrawal"))
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
                await self.node.mine(4)
                self.world.clock.advance(61)
        except Killed:
            return False
        raise AssertionError(f"not over: {row}")

    async def received(self) -> int:
        found = await self.client.unspent(parse_address(self.to, NETWORK))
        return sum(each.sats for each in found.outputs)


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus)
    world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL, chains={"bitcoin": LITECOIN})
    house.clock = world.clock
    await world.accounts.load()
    async with litecoind(tmp_path) as url, house.open():
        node = House(JsonRpc(url))
        key = PrivateKey()
        signer = KeystoreSigner("bitcoin", key)
        hot = bitcoin_address(await signer.public_key(), NETWORK.hrp)
        for _ in range(3):
            await node.pay(hot, SATS)
        client = BitcoinClient(
            "bitcoin", nodes_of([url], []), network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock()
        )
        payouts = BitcoinPayouts(client, signer, hot, block_seconds=30, random=Random(7))
        made = Site(node, house, world, client, payouts, hot, await node.address())
        await made.settle_in()
        yield made
        await client.close()
        await node.rpc.close()


async def test_it_arrives_and_the_ledger_knows_what_it_cost(site: Site) -> None:
    row_id = await site.approved("w1")
    assert await site.until_over(row_id)
    row = await site.row(row_id)
    assert (row.status, row.settled) == (S.CONFIRMED, True)
    paid = int((row.amount - row.fee) * SATS)
    assert await site.received() == paid
    await site.house.projected()
    house = site.house.writer.exchange.state.house
    cost = -house["house:network-fees"]["BTC"]
    assert cost == row.attempts[0].fee_units > 0
    left = await site.client.unspent(parse_address(site.hot, NETWORK))
    assert sum(each.sats for each in left.outputs) == 3 * SATS - paid - cost


async def test_killed_at_any_step_the_chain_pays_once(site: Site) -> None:
    at, paid = 1, 0
    for at in range(1, 40):
        row_id = await site.approved(f"w{at}", "0.01")
        was_killed = not await site.until_over(row_id, Killer(at, after=at % 2 == 0))
        if was_killed:
            assert await site.until_over(row_id)
        row = await site.row(row_id)
        assert (row.status, row.settled) == (S.CONFIRMED, True)
        paid += int((row.amount - row.fee) * SATS)
        assert await site.received() == paid
        if not was_killed:
            break
    assert at > 10


async def test_one_that_is_stuck_is_replaced_by_a_dearer_one_of_the_same_outputs(site: Site) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 3)
    site.world.clock.advance(91)
    row = await site.step(row_id)
    assert len(row.attempts) == 2
    first, second = row.attempts
    assert second.fee_units > first.fee_units
    waiting = await site.node.call("getrawmempool")
    assert waiting == [second.hash]
    assert await site.until_over(row_id)
    assert await site.received() == int((row.amount - row.fee) * SATS)


async def test_two_under_way_do_not_spend_the_same(site: Site) -> None:
    ids = [await site.approved(key) for key in ("w1", "w2")]
    for row_id in ids:
        await site.step(row_id, 3)
    first, second = [await site.row(row_id) for row_id in ids]
    assert not set((first.spends or "").split(",")) & set((second.spends or "").split(","))
    for row_id in ids:
        assert await site.until_over(row_id)
    assert await site.received() == 2 * int((first.amount - first.fee) * SATS)


async def test_a_reorg_after_it_was_settled_pays_once_all_the_same(site: Site) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 3)
    block = (await site.node.mine(3))[0]
    row = await site.step(row_id, 2)
    assert (row.status, row.settled) == (S.CONFIRMED, True)
    await site.node.call("invalidateblock", block)
    assert await site.until_over(row_id)
    row = await site.row(row_id)
    assert len(row.attempts) == 1
    assert await site.received() == int((row.amount - row.fee) * SATS)
