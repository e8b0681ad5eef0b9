"""Withdrawals on a real Ethereum node: paid once, whatever the chain does."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from coincurve import PrivateKey

from core.bus import MemoryBus
from core.database import Database
from core.wallet_vocabulary import ChainNetwork, WithdrawalStatus
from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.evm.client import EvmClient
from integrations.chains.json_rpc import JsonRpc
from integrations.signers.keystore import KeystoreSigner
from models import withdrawal
from models.withdrawal import WithdrawalDocument
from services.payouts_evm import EvmPayouts, GasFees
from services.withdrawal_rules import Wish
from services.withdrawal_steps import WithdrawalSteps
from tests.accounts import CLIENT, Person, World
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS, anvil
from tests.custody import build_steps
from tests.evm import calldata, client_of, mine, rpc, send, token, token_balance
from tests.evm_nodes import TwistedNode, client_of_nodes
from tests.services.test_withdrawal_kills import Killed, Killer, asked_and_confirmed, proven
from tests.trading_house import SCALES, TradingHouse

D = Decimal
S = WithdrawalStatus
GWEI = 10**9
HOT = ANVIL_ADDRESSES[1]
TO = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
RECEIPT, NONCE, HEAD = "eth_getTransactionReceipt", "eth_getTransactionCount", "eth_getBlockByNumber"
Twist = Callable[[str, Sequence[object], Any], Any]


@dataclass
class Site:
    """The exchange, an account on it, and the chain with the hot wallet."""

    url: str
    chain: EvmClient
    house: TradingHouse
    world: World
    payouts: EvmPayouts
    fees: list[GasFees]
    token: str
    person: Person = field(init=False)
    entry: str = field(init=False)

    async def settle_in(self) -> None:
        """Funds here, and an address that may be paid to."""
        self.person = await self.world.signed_up("ann@example.org")
        for asset, units in (("ETH", 10 * 10**18), ("USDC", 10_000 * 10**6)):
            await self.house.give(self.person.user_id, asset, units)
        await self.house.projected()
        entry = await self.world.custody.addresses.add(self.person.viewer, "ethereum", TO, "cold", CLIENT)
        self.world.clock.advance(25 * 3600)
        self.entry = entry.id

    async def approved(self, key: str, asset: str = "ETH", amount: str = "1") -> str:
        wish = Wish(asset, "ethereum", self.entry, D(amount))
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

    def nodes(self, *twists: Twist | None) -> None:
        """Pays out through so many nodes of the chain from now on, each of which may say something else than it knows."""
        self.payouts._client = client_of_nodes(*(TwistedNode(JsonRpc(self.url), twist=twist) for twist in twists))

    async def mined(self, blocks: int = 40) -> str:
        """A withdrawal that the chain has paid, and of which nobody has asked since."""
        row_id = await self.approved("w1")
        await self.step(row_id, 3)
        await mine(self.chain, blocks)
        self.world.clock.advance(31)
        return row_id

    async def held(self) -> int:
        """Wei that the ledger holds for withdrawals of the account."""
        await self.house.projected()
        return self.house.writer.exchange.state.accounts[self.person.user_id].balances["ETH"].held

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
                await mine(self.chain, 40)
                self.world.clock.advance(61)
        except Killed:
            return False
        raise AssertionError(f"not over: {row}")


@asynccontextmanager
async def opened(*options: str) -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus, scales={**SCALES, "USDC": 6})
    world = World(gateway=house.gateway, bus=bus, network=ChainNetwork.LOCAL)
    house.clock = world.clock
    await world.accounts.load()
    async with anvil(*options) as url, house.open():
        chain = client_of(url)
        usdc = await token(chain, "USDC")
        fees = [GasFees(20 * GWEI, GWEI)]
        signer = KeystoreSigner("evm", PrivateKey.from_hex(ANVIL_KEYS[1][2:]))

        async def now() -> GasFees:
            return fees[0]

        payouts = EvmPayouts(chain, signer, HOT, now, block_seconds=1)
        site = Site(url, chain, house, world, payouts, fees, usdc)
        await site.settle_in()
        yield site
        await chain.close()


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with opened() as made:
        yield made


async def test_coins_and_tokens_arrive_and_the_ledger_knows_what_they_cost(site: Site) -> None:
    await send(site.chain, site.token, calldata("transfer(address,uint256)", HOT, 5_000 * 10**6))
    before = await site.chain.balance(HOT)
    for key, asset, amount in (("w1", "ETH", "1"), ("w2", "USDC", "100")):
        row_id = await site.approved(key, asset, amount)
        assert await site.until_over(row_id)
        assert (await site.row(row_id)).status is S.CONFIRMED
    rows = [await withdrawal.by_client_id(site.person.user_id, key) for key in ("w1", "w2")]
    eth_fee, usdc_fee = (row.fee for row in rows if row is not None)
    assert await site.chain.balance(TO) == int((D(1) - eth_fee) * 10**18)
    assert await token_balance(site.chain, site.token, TO) == int((D(100) - usdc_fee) * 10**6)
    spent = before - await site.chain.balance(HOT)
    await site.house.projected()
    house = site.house.writer.exchange.state.house
    assert house["house:hot:ethereum"]["ETH"] == spent
    assert house["house:hot:ethereum"]["USDC"] == int((D(100) - usdc_fee) * 10**6)
    assert house["house:network-fees"]["ETH"] == int((D(1) - eth_fee) * 10**18) - spent
    text = "{ viewer { transactions { nodes { kind asset { code } chainHash reference { ... on Withdrawal { clientWithdrawalId } } } } } }"
    nodes = (await site.world.data(text, site.person))["viewer"]["transactions"]["nodes"]
    assert [
        (each["kind"], each["asset"]["code"], each["chainHash"], each["reference"])
        for each in reversed(nodes)
        if each["kind"] != "TEST_FUNDS"
    ] == [
        (kind, row.asset, row.hash, {"clientWithdrawalId": row.client_id})
        for row in rows
        if row is not None
        for kind in ("WITHDRAWAL", "FEE")
    ]


@pytest.mark.soak
@pytest.mark.parametrize("after", [True, False])
async def test_killed_at_any_step_the_chain_pays_once(site: Site, after: bool) -> None:
    at, paid = 1, 0
    while True:
        killer, wish = Killer(at, after=after), Wish("ETH", "ethereum", site.entry, D("0.1"))
        row_id = await asked_and_confirmed(site.world, site.person, f"w{at}", wish, killer)
        assert await site.until_over(row_id, killer) or await site.until_over(row_id)
        row = await site.row(row_id)
        assert (row.status, row.settled) == (S.CONFIRMED, True)
        paid += int((row.amount - row.fee) * 10**18)
        assert await site.chain.balance(TO) == paid
        assert await site.chain.nonce(HOT) == at
        if not killer.killed:
            break
        at += 1
    assert at > 15
    await site.house.projected()
    assert site.house.writer.exchange.state.accounts[site.person.user_id].balances["ETH"].held == 0


async def test_one_that_is_stuck_is_replaced_under_its_nonce(database: Database) -> None:
    async with opened() as site:
        await rpc(site.chain, "evm_setAutomine", False)
        row_id = await site.approved("w1")
        await site.step(row_id, 3)
        site.world.clock.advance(61)
        row = await site.step(row_id)
        assert [attempt.spends for attempt in row.attempts] == ["0", "0"]
        assert int(row.attempts[1].terms["most"]) > int(row.attempts[0].terms["most"])
        await mine(site.chain, 1)
        assert await site.chain.receipt(row.attempts[1].hash) is not None
        assert await site.until_over(row_id)
        assert (await site.row(row_id)).hash == row.attempts[1].hash
        assert await site.chain.nonce(HOT) == 1


async def test_one_that_was_dropped_is_sent_again_as_it_was(database: Database) -> None:
    async with opened() as site:
        await rpc(site.chain, "evm_setAutomine", False)
        row_id = await site.approved("w1")
        row = await site.step(row_id, 3)
        await rpc(site.chain, "anvil_dropTransaction", row.attempts[0].hash)
        row = await site.step(row_id)
        assert len(row.attempts) == 1
        await mine(site.chain, 1)
        assert await site.chain.receipt(row.attempts[0].hash) is not None


async def test_a_reorg_after_it_was_settled_pays_once_all_the_same(site: Site) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 3)
    await mine(site.chain, 31)
    row = await site.step(row_id, 2)
    assert (row.status, row.settled) == (S.CONFIRMED, True)
    await rpc(site.chain, "anvil_reorg", 32, [])
    assert await site.chain.receipt(row.attempts[0].hash) is None
    assert await site.until_over(row_id)
    assert await site.chain.nonce(HOT) == 1
    row = await site.row(row_id)
    assert await site.chain.balance(TO) == int((row.amount - row.fee) * 10**18)


async def test_a_transaction_of_somebody_with_the_same_key_stops_it(site: Site) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 1)
    await send(site.chain, TO, value=1, sender=HOT)
    row = await site.step(row_id, 4)
    assert row.status is S.HELD
    assert "operator" in (row.reason or "")
    assert await site.chain.balance(TO) == 1


@pytest.mark.parametrize(("asset", "amount"), [("USDC", "100"), ("ETH", "1")])
async def test_what_the_hot_wallet_has_not_waits_until_it_is_topped_up(site: Site, asset: str, amount: str) -> None:
    row_id = await site.approved("w1", asset, amount)
    await rpc(site.chain, "anvil_setBalance", HOT, hex(10**17))
    row = await site.step(row_id)
    assert (row.status, row.reason) == (S.HELD, "the hot wallet has too little of it now")
    await send(site.chain, site.token, calldata("transfer(address,uint256)", HOT, 100 * 10**6))
    await send(site.chain, HOT, value=10**18)
    site.world.clock.advance(31)
    assert await site.until_over(row_id)


async def test_a_node_that_says_it_is_paid_alone_is_not_believed(site: Site) -> None:
    row_id = await site.approved("w1")
    await site.step(row_id, 3)
    await mine(site.chain, 40)
    async with anvil() as other_url:
        other = client_of(other_url)
        await mine(other, 60)
        await other.close()
        site.payouts._client = client_of(site.url, other_url)
        row = await site.step(row_id, 2)
        await site.payouts._client.close()
    assert row.status is S.BROADCAST
    assert not row.settled


async def test_a_fee_beyond_reason_is_not_signed(site: Site) -> None:
    row_id = await site.approved("w1", amount="0.1")
    site.fees[0] = GasFees(3_000 * GWEI, GWEI)
    row = await site.step(row_id, 2)
    assert row.attempts == ()
    site.fees[0] = GasFees(20 * GWEI, GWEI)
    site.world.clock.advance(31)
    assert await site.until_over(row_id)


def silent(gone: str) -> Twist:
    """A node that gives no answer to this question."""

    def twist(method: str, params: Sequence[object], answer: Any) -> Any:
        if method == gone:
            raise ProviderFailed(Failure.TIMED_OUT, "takes too long")
        return answer

    return twist


def says(**fields: object) -> Twist:
    """A node whose receipts have these fields."""
    return lambda method, _, answer: {**answer, **fields} if method == RECEIPT and answer is not None else answer


def both(first: Twist, second: Twist) -> Twist:
    return lambda method, params, answer: second(method, params, first(method, params, answer))


def knows_no_receipts(method: str, params: Sequence[object], answer: Any) -> Any:
    return None if method == RECEIPT else answer


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize(
    "lie",
    [says(status="0x0"), says(blockHash="0x" + "ab" * 32), says(effectiveGasPrice=hex(2**200)), says(l1Fee="0x1")],
    ids=["status", "block", "fee", "data fee"],
)
async def test_what_one_node_says_otherwise_of_a_paid_one_gives_nothing_back(
    site: Site, place: int, lie: Twist
) -> None:
    row_id = await site.mined()
    twists: list[Twist | None] = [None, None, None]
    twists[place] = lie
    site.nodes(*twists)
    row = await site.step(row_id)
    assert (row.status, row.settled) == (S.BROADCAST, False)
    assert "different ends" in (row.reason or "")
    assert await site.held() == int(row.amount * 10**18)
    site.nodes(None, None, None)
    site.world.clock.advance(31)
    assert await site.until_over(row_id)
    row = await site.row(row_id)
    assert (row.status, row.reason, await site.held()) == (S.CONFIRMED, None, 0)


@pytest.mark.parametrize("lie", [says(), says(status="0x0")], ids=["paid", "failed"])
@pytest.mark.parametrize("gone", [RECEIPT, HEAD])
async def test_what_one_of_three_nodes_says_while_the_others_are_silent_decides_nothing(
    site: Site, lie: Twist, gone: str
) -> None:
    row_id = await site.mined()
    quiet = both(lie, silent(gone))
    site.nodes(lie, quiet, quiet)
    row = await site.step(row_id)
    assert (row.status, row.settled) == (S.BROADCAST, False)
    assert "too few nodes" in (row.reason or "")


@pytest.mark.parametrize("gone", [NONCE, RECEIPT])
async def test_that_something_else_took_its_nonce_is_not_one_nodes_word(site: Site, gone: str) -> None:
    """It was paid; one node has forgotten that, and the others do not answer."""
    row_id = await site.mined()
    quiet = both(knows_no_receipts, silent(gone))
    site.nodes(knows_no_receipts, quiet, quiet)
    row = await site.step(row_id)
    assert row.status is S.BROADCAST
    assert "too few nodes" in (row.reason or "")


@pytest.mark.parametrize("lie", [says(effectiveGasPrice=hex(2**200)), says(l1Fee=hex(10**18))], ids=["gas", "data"])
async def test_a_fee_that_it_cannot_have_cost_is_not_booked_whoever_says_so(site: Site, lie: Twist) -> None:
    row_id = await site.mined()
    site.nodes(lie)
    row = await site.step(row_id)
    assert (row.status, row.settled) == (S.BROADCAST, False)
    assert "cannot have cost" in (row.reason or "")
    site.nodes(None)
    site.world.clock.advance(31)
    assert await site.until_over(row_id)
    await site.house.projected()
    state = site.house.writer.exchange.state
    assert 0 < -state.house["house:network-fees"]["ETH"] <= row.attempts[0].fee_units
