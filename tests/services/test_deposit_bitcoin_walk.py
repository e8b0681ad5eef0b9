"""Whatever happens in whatever order on a UTXO chain, and wherever the watcher dies: in the end the books are what the wallets hold, and people have what was paid to them."""

from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from integrations.chains.bitcoin.addresses import BitcoinAddress
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.errors import NodeRefused
from models import house_transfer
from tests.bitcoin_deposits import BTC, BitcoinSite, opened
from tests.deposits import FINAL
from tests.integrations.chains.bitcoin.house import Key
from tests.services.test_withdrawal_kills import Killer

HOT = "house:hot:bitcoin"
FEES = "house:network-fees"
GONE = {DepositStatus.ORPHANED, DepositStatus.REVERSED}
"""What was paid with coins of a miner that a reorganisation took away is not paid."""
STEPS = 40
DEEPEST = FINAL - 1
"""Of a reorganisation: what is deeper is booked for good."""


@dataclass
class Walk:
    """What was done, by a seed."""

    site: BitcoinSite
    random: Random
    keys: list[Key] = field(default_factory=list)
    """Of deposit addresses, the hot wallet and the cold one."""
    peak: int = 0
    """The highest that the chain ever was."""

    async def pay(self) -> None:
        """Somebody from outside pays, dust at times."""
        sats = self.random.choice([3_000, BTC // 100, BTC, 3 * BTC])
        with suppress(NodeRefused):  # its wallet has nothing ripe at the moment
            await self.site.nodes.pay(self.keys[self.random.randrange(2)].address.text, sats, mine=0)

    async def move(self) -> None:
        """The house moves what one or two of its wallets have, waiting or not, with change."""
        coins = [(key, coin) for key in self.keys for coin in await self.coins(key)]
        if not coins:
            return
        taken = self.random.sample(coins, min(len(coins), self.random.randint(1, 2)))
        total = sum(coin.sats for _, coin in taken)
        to, back = self.random.sample(self.keys, 2)
        change = self.random.choice([0, total // 3])
        fee = self.random.randint(2_000, 9_000)
        outputs = [(to.address.text, total - change - fee), *([(back.address.text, change)] if change else [])]
        if min(sats for _, sats in outputs) < 1_000:
            return
        with suppress(NodeRefused):  # such as too long a chain of what waits
            await self.site.spend_coins(taken, outputs)

    async def coins(self, key: Key) -> list[Coin]:
        found = await self.site.client.unspent(key.address)
        return [Coin(each.outpoint, each.sats, each.script) for each in found.outputs]

    async def reorganise(self) -> None:
        """Some blocks go; what they held waits again, or is in others."""
        height = await self.site.nodes.call("getblockcount")
        self.peak = max(self.peak, height)
        depth = min(self.random.randint(1, DEEPEST), height - self.peak + DEEPEST)
        if depth < 1:
            return
        await self.site.invalidate(depth)
        if self.random.random() < 0.5:
            await self.site.without(self.random.randint(0, depth))
        await self.site.nodes.mine(self.random.randint(0, depth + 1))

    async def watch(self) -> None:
        """The watcher works, and may die at any of its steps."""
        killer = Killer(self.random.randint(1, 12), after=self.random.random() < 0.5)
        await self.site.run(killer=killer if self.random.random() < 0.6 else None)

    async def step(self) -> None:
        weights = {self.pay: 3, self.move: 4, self.mine: 5, self.reorganise: 2, self.watch: 6}
        (chosen,) = self.random.choices(list(weights), list(weights.values()))
        await chosen()

    async def mine(self) -> None:
        await self.site.nodes.mine(self.random.randint(1, 3))

    async def held(self, address: BitcoinAddress) -> int:
        """What the chain says."""
        return sum(each.sats for each in (await self.site.client.unspent(address)).outputs)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 4))])
async def test_in_the_end_the_books_are_what_the_wallets_hold(database: Database, litecoin_url: str, seed: int) -> None:
    async with opened(litecoin_url, "core") as site:
        bob, _ = await site.newcomer("bob@example.org")
        keys = [site.deposit_key(0), site.deposit_key(1), site.hot_key, site.cold_key]
        walk = Walk(site, Random(seed), keys)
        await site.nodes.mine(STEPS)
        await site.run()
        for _ in range(STEPS):
            await walk.step()
        await site.nodes.mine(FINAL + DEEPEST + STEPS)
        await site.run()
        assert await house_transfer.open_of("bitcoin") == []
        everything = [*await site.rows(), *await site.rows_of(bob)]
        rows = [row for row in everything if row.status not in GONE]
        assert {row.status for row in rows} <= {DepositStatus.CREDITED, DepositStatus.BELOW_MINIMUM}
        dust = sum(int(row.amount * BTC) for row in rows if row.status is DepositStatus.BELOW_MINIMUM)
        deposits, other, hot, cold = [await walk.held(key.address) for key in keys]
        assert site.reserve(account=HOT) == hot
        assert site.reserve() == deposits + other + cold - dust
        for person in (site.person, bob):
            credited = sum(int(row.amount * BTC) for row in await site.rows_of(person) if row.ledger == "CREDITED")
            funds = (await site.world.funds.accounts.read(person.user_id)).balances.get("BTC")
            assert (Decimal(0) if funds is None else funds.available) * BTC == credited
        in_all = sum(int(row.amount * BTC) for row in rows)
        assert in_all == deposits + other + hot + cold + site.reserve(account=FEES)
