"""Deposits on Solana for tests: the exchange, a chain with its nodes, an account with a memo, and a watcher that may die at any step."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair

from core.bus import MemoryBus
from core.clock import Clock
from core.wallet_vocabulary import ChainNetwork
from integrations.chains.http import NodeLimits
from integrations.chains.pool import PoolPolicy
from integrations.chains.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.instructions import Memo, SolTransfer, TokenTransfer, creation_of, encode
from models import deposit
from models.deposit import DepositDocument
from services.deposit_forms import Form, forms_of
from services.deposit_watch_solana import SolanaDepositWatch, WatchedSolana
from tests.accounts import Person, World
from tests.deposits import read_all
from tests.services.test_withdrawal_kills import Killer
from tests.solana_chain import SolanaChain
from tests.solana_node import SolanaNode, solana_node
from tests.trading_house import SCALES, TradingHouse

D = Decimal
SOL = 10**9
HOUSE, HOT, COLD = (Keypair.from_seed(bytes([number]) * 32) for number in (7, 8, 9))
"""The house's keys; the address of the first is the one in `tests/custody.py`."""
RESERVE, HOT_RESERVE = "house:cold:solana", "house:hot:solana"


def key(of: Keypair) -> str:
    return str(of.pubkey())


@dataclass
class SolanaSite:
    """The exchange, the chain, two accounts with memos, and the watcher. `usdc` is a token of SPL Token, `usdt` one of Token-2022."""

    chain: SolanaChain
    nodes: Sequence[SolanaNode]
    client: SolanaClient
    house: TradingHouse
    world: World
    sender: Keypair = field(default_factory=Keypair)
    usdc: Keypair = field(init=False)
    usdt: Keypair = field(init=False)
    person: Person = field(init=False)
    memo: str = field(init=False)
    cold: frozenset[str] = frozenset()
    hot: str | None = None

    async def settle_in(self) -> None:
        self.usdc = self.chain.make_token(TOKEN_PROGRAM)
        self.usdt = self.chain.make_token(TOKEN_2022_PROGRAM)
        self.chain.airdrop(self.sender.pubkey(), 1_000 * SOL)
        for mint, program in ((self.usdc, TOKEN_PROGRAM), (self.usdt, TOKEN_2022_PROGRAM)):
            self.chain.mint_to(self.sender.pubkey(), mint, 10**12, program)
        self.chain.finalize()
        await self.run()
        self.person, self.memo = await self.newcomer("ann@example.org")

    async def newcomer(self, email: str) -> tuple[Person, str]:
        person = await self.world.signed_up(email)
        place, _ = await self.world.custody.deposit_addresses.create(person.viewer, "solana")
        assert place.memo is not None
        return person, place.memo

    def pay(self, *instructions: Instruction, memo: str | None = None, by: Keypair | None = None) -> str:
        """A transaction of these, with a memo; its signature."""
        noted = [] if memo is None else [encode(Memo(memo))]
        return self.chain.run([*instructions, *noted], by or self.sender)

    def sol(self, lamports: int, to: Keypair = HOUSE, by: Keypair | None = None) -> Instruction:
        return encode(SolTransfer(key(by or self.sender), key(to), lamports))

    def tokens(self, mint: Keypair, units: int, to: Keypair = HOUSE, by: Keypair | None = None) -> list[Instruction]:
        """Tokens to an owner, whose account is opened where it is missing."""
        program = TOKEN_PROGRAM if mint is self.usdc else TOKEN_2022_PROGRAM
        giver = key(by or self.sender)
        opened = creation_of(giver, key(to), key(mint), program)
        source = creation_of(giver, giver, key(mint), program).account
        moved = TokenTransfer(program, source, key(mint), opened.account, giver, units, 6)
        return [encode(opened), encode(moved)]

    def watch(self, client: SolanaClient | None = None, killer: Killer | None = None) -> SolanaDepositWatch:
        """A new life of the watcher."""
        custody, world = self.world.custody, self.world
        chain, assets = world.catalogue.chains["solana"], world.catalogue.assets
        forms = dict(forms_of(assets.values(), "solana"))
        for code, mint in (("USDC", self.usdc), ("USDT", self.usdt)):
            network = forms[None].network.model_copy(update={"contract": key(mint), "decimals": 6, "min_deposit": D(1)})
            forms[key(mint)] = Form(assets[code], network)

        async def hot() -> str | None:
            return self.hot

        watched = WatchedSolana(chain, client or self.client, forms, [key(HOUSE)], hot, self.cold)
        gateway = self.house.gateway
        made = SolanaDepositWatch(watched, custody.deposits, custody.transfer_log, gateway, world.clock)
        if killer is not None:
            steps: Any = made
            custody.deposits._gateway = steps._gateway = killer.wrap(gateway, "ask")
            steps._deposits = killer.wrap(custody.deposits, "count", "credit", "close")
            steps._blocks = killer.wrap(made._blocks, "take_in")
        return made

    async def run(self, client: SolanaClient | None = None, killer: Killer | None = None) -> bool:
        """Read all there is. False when it was killed."""
        return await read_all(self.watch(client, killer), self.world, self.house)

    async def rows(self, person: Person | None = None) -> list[DepositDocument]:
        owner = (person or self.person).user_id
        return await deposit.between(owner, 1, await deposit.last_number(owner) + 1)

    async def funds(self, asset: str = "SOL", person: Person | None = None) -> Decimal:
        """What is available."""
        await self.house.projected()
        owner = (person or self.person).user_id
        found = (await self.world.funds.accounts.read(owner)).balances.get(asset)
        return D(0) if found is None else found.available

    def reserve(self, asset: str = "SOL", account: str = RESERVE) -> int:
        """What the wallets of a reserve have, as the ledger says."""
        house = self.house.writer.exchange.state.house
        return -house[account].get(asset, 0) if account in house else 0

    async def problem(self) -> str | None:
        return await self.world.custody.deposit_reads.problem("solana")


def client_of(chain: SolanaChain, nodes: Sequence[SolanaNode], clock: Clock) -> SolanaClient:
    urls = [(f"node-{number}", node.url) for number, node in enumerate(nodes, start=1)]
    return SolanaClient(
        "solana",
        urls,
        genesis=chain.genesis,
        clock=clock,
        limits=NodeLimits(total_seconds=10),
        policy=PoolPolicy(breaker_failures=50),
    )


@asynccontextmanager
async def opened(nodes: int = 1) -> AsyncIterator[SolanaSite]:
    """A chain with so many nodes."""
    async with AsyncExitStack() as stack:
        chain = SolanaChain()
        served = [await stack.enter_async_context(solana_node(chain)) for _ in range(nodes)]
        bus = MemoryBus()
        house = TradingHouse(bus=bus, scales={**SCALES, "SOL": 9, "USDC": 6, "USDT": 6})
        world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL)
        house.clock = world.clock
        await world.accounts.load()
        await stack.enter_async_context(house.open())
        client = client_of(chain, served, world.clock)
        stack.push_async_callback(client.close)
        site = SolanaSite(chain, served, client, house, world)
        await site.settle_in()
        yield site
