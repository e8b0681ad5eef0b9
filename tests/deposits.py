"""Deposits for tests: the exchange, a real Ethereum node, an account with an address, and a watcher of the chain that may die at any step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from core.bus import MemoryBus
from core.wallet_vocabulary import ChainNetwork, DepositStatus
from events.transfer import DepositState
from integrations.chains.evm.client import EvmClient
from models import deposit, transfer_event
from models.deposit import DepositDocument
from services.deposit_sightings import Form, forms_of
from services.deposit_watch import DepositWatch, Watched
from services.transfer_log import read_payload
from tests.accounts import Person, World
from tests.chains import anvil
from tests.evm import client_of, token
from tests.services.test_withdrawal_kills import Killed, Killer
from tests.trading_house import SCALES, TradingHouse

D = Decimal
ETH = 10**18
COLD, HOT = "house:cold:ethereum", "house:hot:ethereum"
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
        gateway = self.house.gateway
        made = DepositWatch(watched, custody.deposits, custody.transfer_log, gateway, world.clock)
        if killer is not None:
            steps: Any = made
            custody.deposits._gateway = killer.wrap(gateway, "ask")
            steps._follow._gateway = killer.wrap(gateway, "ask")
            steps._follow._deposits = killer.wrap(custody.deposits, "count", "credit", "reverse", "close")
            steps._blocks = killer.wrap(made._blocks, "take_in", "give_up")
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
