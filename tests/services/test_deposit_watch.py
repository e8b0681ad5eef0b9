"""Deposits on a real Ethereum node: seen, counted, credited once, given back when their block goes; whatever nodes say and wherever the process dies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from core.bus import MemoryBus
from core.database import Database
from core.wallet_vocabulary import ChainNetwork, DepositStatus
from events.commands import MoveFunds
from events.transfer import DepositState
from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.evm.client import EvmClient
from models import deposit, transfer_event
from models.deposit import DepositDocument
from services.deposit_sightings import Form, forms_of
from services.deposit_watch import DepositWatch, Watched
from services.transfer_log import read_payload
from tests.accounts import Person, World
from tests.chains import ANVIL_ADDRESSES, anvil
from tests.evm import calldata, client_of, mine, rpc, send, token
from tests.services.test_withdrawal_kills import Killed, Killer
from tests.trading_house import SCALES, TradingHouse

D = Decimal
S = DepositStatus
ETH = 10**18
COLD = "house:cold:ethereum"
REQUIRED, FINAL = 4, 6
"""Confirmations that credit a deposit here, and after which nothing is taken back."""


@dataclass
class Site:
    """The exchange, the chain, an account with an address, and the watcher."""

    url: str
    chain: EvmClient
    usdc: str
    house: TradingHouse
    world: World
    person: Person = field(init=False)
    address: str = field(init=False)

    async def settle_in(self) -> None:
        await self.run()
        self.person, self.address = await self.newcomer("ann@example.org")

    async def newcomer(self, email: str) -> tuple[Person, str]:
        person = await self.world.signed_up(email)
        row, _ = await self.world.custody.deposit_addresses.create(person.viewer, "ethereum")
        return person, row.address

    def watch(self, client: EvmClient | None = None, killer: Killer | None = None) -> DepositWatch:
        """A new life of the watcher."""
        custody, world = self.world.custody, self.world
        forms = {
            contract: Form(form.asset, form.network.model_copy(update={"confirmations_required": REQUIRED}))
            for contract, form in forms_of(world.catalogue.assets.values(), "ethereum").items()
        }
        chain = world.catalogue.chains["ethereum"].model_copy(update={"final_after": FINAL})
        watched = Watched(chain, client or self.chain, forms)
        made = DepositWatch(watched, custody.deposits, custody.transfer_log, world.clock)
        if killer is not None:
            steps: Any = made
            custody.deposits._gateway = killer.wrap(self.house.gateway, "ask")
            steps._deposits = killer.wrap(custody.deposits, "count", "credit", "lose", "close")
            steps._write = killer.watched(made._write)
        return made

    async def run(self, client: EvmClient | None = None, killer: Killer | None = None) -> bool:
        """Read all blocks there are. False when it was killed."""
        watch = self.watch(client, killer)
        try:
            while await watch.step():
                pass
        except Killed:
            return False
        finally:
            self.world.custody.deposits._gateway = self.house.gateway
        await self.house.projected()
        return True

    async def rows(self) -> list[DepositDocument]:
        high = await deposit.last_number(self.person.user_id) + 1
        return await deposit.between(self.person.user_id, 1, high)

    async def row(self) -> DepositDocument:
        (row,) = await self.rows()
        return row

    async def funds(self, asset: str = "ETH") -> tuple[Decimal, Decimal]:
        """What is available, and owed."""
        await self.house.projected()
        found = (await self.world.funds.accounts.read(self.person.user_id)).balances.get(asset)
        return (D(0), D(0)) if found is None else (found.available, found.debt)

    def reserve(self, asset: str = "ETH") -> int:
        house = self.house.writer.exchange.state.house
        return -house[COLD][asset] if COLD in house else 0

    async def told(self) -> list[tuple[DepositStatus, int]]:
        """What the owner's log says of deposits: status and confirmations."""
        newest = await transfer_event.newest(self.person.user_id)
        found = [read_payload(row.payload) for row in await transfer_event.between(self.person.user_id, 1, newest + 1)]
        return [(state.status, state.confirmations) for state in found if isinstance(state, DepositState)]


@asynccontextmanager
async def opened() -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus, scales={**SCALES, "USDC": 6})
    world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL)
    house.clock = world.clock
    await world.accounts.load()
    async with anvil() as url, house.open():
        chain = client_of(url)
        site = Site(url, chain, await token(chain, "USDC"), house, world)
        await site.settle_in()
        yield site
        await chain.close()


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with opened() as made:
        yield made


async def test_seen_counted_and_credited(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await site.run()
    row = await site.row()
    assert (row.status, row.amount, row.confirmations) == (S.SEEN, D(2), 1)
    assert await site.funds() == (D(0), D(0))
    await mine(site.chain, 2)
    await site.run()
    assert (await site.row()).status is S.CONFIRMING
    await mine(site.chain, 1)
    await site.run()
    row = await site.row()
    assert (row.status, row.confirmations, row.open) == (S.CREDITED, 4, True)
    assert await site.funds() == (D(2), D(0))
    assert site.reserve() == 2 * ETH
    await mine(site.chain, 4)
    await site.run()
    assert not (await site.row()).open
    counted = [(S.CONFIRMING, confirmations) for confirmations in (2, 3, 4)]
    assert await site.told() == [(S.SEEN, 1), *counted, (S.CREDITED, 4)]


async def test_tokens_dust_and_what_is_not_ours(site: Site) -> None:
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", site.address, 25 * 10**6))
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", site.address, 10**6))
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", ANVIL_ADDRESSES[1], 10**6))
    await send(site.chain, site.address, value=10**14)
    worthless = await token(site.chain, "FAKE")
    await send(site.chain, worthless, calldata("transfer(address,uint256)", site.address, 10**9))
    await mine(site.chain, 8)
    await site.run()
    found = sorted((row.asset, row.amount, row.status) for row in await site.rows())
    assert found == [
        ("ETH", D("0.0001"), S.BELOW_MINIMUM),
        ("USDC", D(1), S.BELOW_MINIMUM),
        ("USDC", D(25), S.CREDITED),
    ]
    assert await site.funds("USDC") == (D(25), D(0))
    assert await site.funds() == (D(0), D(0))


async def test_an_address_is_found_however_new_and_is_nobody_elses(site: Site) -> None:
    bob, address = await site.newcomer("bob@example.org")
    assert address != site.address
    again, _ = await site.world.custody.deposit_addresses.create(bob.viewer, "ethereum")
    assert again.address == address
    await send(site.chain, address, value=ETH)
    await mine(site.chain, 3)
    await site.run()
    await site.house.projected()
    assert (await site.world.funds.accounts.read(bob.user_id)).balances["ETH"].available == 1
    assert await site.rows() == []


async def test_a_reorg_before_it_was_credited_leaves_nothing(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 2)
    await site.run()
    await rpc(site.chain, "anvil_reorg", 3, [])
    await site.run()
    row = await site.row()
    assert (row.status, row.confirmations, row.block) == (S.ORPHANED, 0, None)
    await mine(site.chain, 8)
    await site.run()
    assert (await site.row()).status is S.ORPHANED
    assert await site.funds() == (D(0), D(0))


async def test_a_reorg_after_it_was_credited_takes_it_back_and_leaves_a_debt(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 3)
    await site.run()
    assert await site.funds() == (D(2), D(0))
    await site.world.custody.deposits._gateway.ask(_spend(site.person.user_id, ETH))
    await rpc(site.chain, "anvil_reorg", 4, [])
    await mine(site.chain, 2)
    await site.run()
    assert (await site.row()).status is S.REVERSED
    assert await site.funds() == (D(0), D(1))
    assert site.reserve() == 0
    await send(site.chain, site.address, value=3 * ETH)
    await mine(site.chain, 3)
    await site.run()
    assert await site.funds() == (D(2), D(0))


async def test_the_same_transaction_in_another_block_is_credited_again_once(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 3)
    await site.run()
    first = await site.row()
    height = await site.chain.block()
    assert height is not None
    raw = await rpc(site.chain, "eth_getRawTransactionByHash", first.hash)
    await rpc(site.chain, "anvil_reorg", 4, [[raw, 1]])
    await mine(site.chain, 8)
    await site.run()
    row = await site.row()
    assert row.hash == first.hash
    assert row.block_hash != first.block_hash
    assert row.status is S.CREDITED
    assert await site.funds() == (D(2), D(0))
    assert site.reserve() == 2 * ETH


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_step_it_is_credited_once(site: Site, after: bool) -> None:
    at = 1
    while True:
        await send(site.chain, site.address, value=ETH)
        await mine(site.chain, 4)
        was_killed = not await site.run(killer=Killer(at, after=after))
        await site.run()
        assert await site.funds() == (D(at), D(0))
        assert site.reserve() == at * ETH
        if not was_killed:
            break
        at += 1
    assert at > 10


async def test_nodes_that_contradict_credit_nothing_until_they_agree(site: Site) -> None:
    async with anvil() as other_url:
        other = client_of(other_url)
        await mine(other, 100)
        both = client_of(site.url, other_url)
        await send(site.chain, site.address, value=2 * ETH)
        await mine(site.chain, 8)
        with pytest.raises(NodesContradict):
            await _until_raises(lambda: site.run(both))
        assert await site.funds() == (D(0), D(0))
        await both.close()
        await other.close()
    await site.run()
    assert await site.funds() == (D(2), D(0))


async def _until_raises(run: Callable[[], Awaitable[bool]]) -> None:
    """Blocks that both nodes have are taken in; at the first they do not share, the watcher cannot follow the one that is asked first."""
    for _ in range(3):
        await run()
    raise NodesContradict("nothing was credited while they differ")


async def test_a_node_that_was_set_back_takes_nothing_back(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 8)
    await site.run()
    assert await site.funds() == (D(2), D(0))
    async with anvil() as other_url:
        short = client_of(other_url)
        await site.run(short)
        assert await site.funds() == (D(2), D(0))
        assert (await site.row()).status is S.CREDITED
        await short.close()


async def test_a_chain_that_is_down_is_said_and_changes_nothing(site: Site) -> None:
    dead = client_of("http://127.0.0.1:1")
    with pytest.raises(ChainError):
        await site.run(dead)
    await dead.close()


def _spend(account: str, units: int) -> MoveFunds:
    return MoveFunds(account, "house:test-funds", "ETH", -units, "spent", "spent")
