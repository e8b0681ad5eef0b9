"""Deposits for tests: the exchange, a chain, an account with an address, and a watcher of the chain that may die at any step."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from core.bus import MemoryBus
from core.wallet_vocabulary import ChainNetwork, DepositStatus
from events.transfer import DepositState
from integrations.chains.evm.client import EvmClient
from models import deposit, transfer_event
from models.deposit import DepositDocument
from services.deposit_chain import DepositChain
from services.deposit_evm import EvmDeposits
from services.deposit_forms import Form, forms_of
from services.deposit_watch import DepositWatch, Watched
from services.transfer_log import read_payload
from tests.accounts import Person, World
from tests.chains import anvil
from tests.evm import client_of, token
from tests.evm_nodes import ScriptedNode, client_of_nodes
from tests.services.test_withdrawal_kills import Killed, Killer
from tests.trading_house import SCALES, TradingHouse
from workers.deposits import ChainWatch

D = Decimal
ETH = 10**18
USDC = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
"""Where the catalogue has it on local chains."""
HOT = "house:hot:ethereum"
REQUIRED, FINAL = 4, 6
"""Confirmations that credit a deposit here, and after which nothing is taken back."""


async def read_all(watch: ChainWatch, world: World, house: TradingHouse) -> bool:
    """Let a watch read all there is. False when it was killed."""
    try:
        while await watch.step():
            pass
    except Killed:
        return False
    finally:
        world.custody.deposits._gateway = house.gateway
    await house.projected()
    return True


@dataclass(kw_only=True)
class Reading(ABC):
    """The exchange, a chain, an account with an address on it, and the watcher."""

    house: TradingHouse
    world: World
    key: ClassVar[str]
    coin: ClassVar[str]
    person: Person = field(init=False)
    address: str = field(init=False)
    hot: str | None = None
    cold: frozenset[str] = frozenset()

    @abstractmethod
    def reader(self, client: Any, forms: Mapping[str | None, Form]) -> DepositChain:
        """The chain's, over this client; None: over that of the site."""

    async def settle_in(self) -> None:
        await self.run()
        self.person, self.address = await self.newcomer("ann@example.org")

    async def newcomer(self, email: str) -> tuple[Person, str]:
        person = await self.world.signed_up(email)
        row, _ = await self.world.custody.deposit_addresses.create(person.viewer, self.key)
        return person, row.address

    def watch(self, client: Any = None, killer: Killer | None = None) -> DepositWatch:
        """A new life of the watcher."""
        custody, world = self.world.custody, self.world
        forms = {
            contract: Form(form.asset, form.network.model_copy(update={"confirmations_required": REQUIRED}))
            for contract, form in forms_of(world.catalogue.assets.values(), self.key).items()
        }
        chain = world.catalogue.chains[self.key].model_copy(update={"final_after": FINAL})

        async def hot() -> str | None:
            return self.hot

        watched = Watched(chain, self.reader(client, forms), forms, hot, self.cold)
        gateway = self.house.gateway
        made = DepositWatch(watched, custody.deposits, custody.transfer_log, gateway, world.clock)
        if killer is not None:
            steps: Any = made
            custody.deposits._gateway = killer.wrap(gateway, "ask")
            steps._follow._gateway = killer.wrap(gateway, "ask")
            steps._follow._deposits = killer.wrap(custody.deposits, "count_all", "credit", "reverse", "close")
            steps._blocks = killer.wrap(made._blocks, "take_in", "give_up")
        return made

    async def run(self, client: Any = None, killer: Killer | None = None) -> bool:
        """Read all blocks there are. False when it was killed."""
        return await read_all(self.watch(client, killer), self.world, self.house)

    async def rows(self) -> list[DepositDocument]:
        return await self.rows_of(self.person)

    async def rows_of(self, person: Person) -> list[DepositDocument]:
        high = await deposit.last_number(person.user_id) + 1
        return await deposit.between(person.user_id, 1, high)

    async def row(self) -> DepositDocument:
        (row,) = await self.rows()
        return row

    async def funds(self, asset: str | None = None) -> tuple[Decimal, Decimal]:
        """What is available, and owed."""
        await self.house.projected()
        found = (await self.world.funds.accounts.read(self.person.user_id)).balances.get(asset or self.coin)
        return (D(0), D(0)) if found is None else (found.available, found.debt)

    def reserve(self, asset: str | None = None, account: str | None = None) -> int:
        """What the wallets of a reserve have, as the ledger says."""
        house, name = self.house.writer.exchange.state.house, account or f"house:cold:{self.key}"
        return -house[name][asset or self.coin] if name in house else 0

    async def problem(self) -> str | None:
        """What is wrong with the chain, as anybody is told."""
        query = "query($key: String!) { chain(key: $key) { status { healthy error } } }"
        status = (await self.world.data(query, key=self.key))["chain"]["status"]
        assert not status["healthy"]
        return await self.world.custody.deposit_reads.problem(self.key)

    async def told(self) -> list[tuple[DepositStatus, int]]:
        """What the owner's log says of deposits: status and confirmations."""
        newest = await transfer_event.newest(self.person.user_id)
        found = [read_payload(row.payload) for row in await transfer_event.between(self.person.user_id, 1, newest + 1)]
        return [(state.status, state.confirmations) for state in found if isinstance(state, DepositState)]


@dataclass(kw_only=True)
class Site(Reading):
    """On Ethereum."""

    url: str
    chain: EvmClient
    usdc: str
    key: ClassVar[str] = "ethereum"
    coin: ClassVar[str] = "ETH"

    def reader(self, client: EvmClient | None, forms: Mapping[str | None, Form]) -> DepositChain:
        return EvmDeposits(client or self.chain, forms)


@asynccontextmanager
async def _at(client: EvmClient, url: str, usdc: str) -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus, scales={**SCALES, "USDC": 6})
    world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL)
    house.clock = world.clock
    await world.accounts.load()
    async with house.open():
        site = Site(url=url, chain=client, usdc=usdc, house=house, world=world)
        await site.settle_in()
        yield site


@asynccontextmanager
async def opened() -> AsyncIterator[Site]:
    """On a chain of Anvil's."""
    async with anvil() as url:
        client = client_of(url)
        async with _at(client, url, await token(client, "USDC")) as site:
            yield site
        await client.close()


@asynccontextmanager
async def scripted(*nodes: ScriptedNode) -> AsyncIterator[Site]:
    """On a chain of nodes that say what they are told to."""
    async with _at(client_of_nodes(*nodes), "", USDC) as site:
        yield site
