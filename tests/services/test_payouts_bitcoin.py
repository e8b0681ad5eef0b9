"""Withdrawals on a real UTXO node: paid once, whatever the chain does."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from coincurve import PrivateKey

from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.ids import random_id
from core.wallet_vocabulary import WithdrawalStatus
from integrations.chains.bitcoin.addresses import ScriptType, parse_address
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.messages import FeeRates, Unspent, Utxo
from integrations.chains.bitcoin.transactions import parse_transaction
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.json_rpc import JsonRpc
from integrations.signers.bitcoin import bitcoin_address
from integrations.signers.keystore import KeystoreSigner
from models import hot_wallet, withdrawal, withdrawal_address
from models.withdrawal import WithdrawalDocument
from models.withdrawal_address import WithdrawalAddressDocument
from services.payouts import Fate, FateKind, Promise, SendRefused, Wait
from services.payouts_bitcoin import BitcoinPayouts
from services.withdrawal_rules import Route, Wish, known_route
from services.withdrawal_steps import WithdrawalSteps
from tests.accounts import CLIENT, Person, World
from tests.chains import LITECOIN
from tests.custody import build_steps
from tests.esplora import Esplora, esplora
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key
from tests.services.test_withdrawal_kills import Killed, Killer, asked_and_confirmed, proven
from tests.trading_house import TradingHouse

D = Decimal
S = WithdrawalStatus
HOT_ACCOUNT = "house:hot:bitcoin"
RATE = 20_000


class Rated(BitcoinClient):
    """A client whose nodes tell these fees: in regtest there is nothing to estimate from."""

    rates = FeeRates(1_000, RATE, RATE, RATE)

    async def fee_rates(self) -> FeeRates:
        return self.rates


@dataclass
class Site:
    """The exchange, the chain, and a hot wallet of its own."""

    house: House
    client: Rated
    api: Esplora
    payouts: BitcoinPayouts
    hot: str
    trading: TradingHouse
    world: World
    to: Key = field(default_factory=Key)
    person: Person = field(init=False)

    async def settle_in(self) -> None:
        self.world.catalogue.chains = {**self.world.catalogue.chains, "bitcoin": LITECOIN}
        self.person = await self.world.signed_up("ann@example.org")
        await self.trading.give(self.person.user_id, "BTC", 10 * 10**8)
        await self.trading.projected()

    async def fund(self, *amounts: int) -> None:
        """Confirmed outputs of the hot wallet."""
        for amount in amounts:
            await self.house.pay(self.hot, amount, mine=0)
        await self.house.mine()

    async def entry(self, key: Key) -> str:
        """An address that may be paid to."""
        known = await withdrawal_address.of_user(self.person.user_id)
        same = next((each for each in known if each.address == key.address.text), None)
        if same is not None:
            return same.id
        entry = WithdrawalAddressDocument(
            id=random_id(),
            user_id=self.person.user_id,
            chain="bitcoin",
            address=key.address.text,
            label="cold",
            created_ms=1,
            active_ms=1,
        )
        assert await withdrawal_address.insert(entry)
        return entry.id

    async def approved(self, key: str, amount: str = "0.01", to: Key | None = None) -> WithdrawalDocument:
        wish = Wish("BTC", "bitcoin", await self.entry(to or self.to), D(amount))
        custody = self.world.custody
        found = await custody.withdrawals.request(self.person.viewer, key, wish, CLIENT, proven)
        await self.trading.projected()
        await custody.withdrawals.confirm(await self.world.token("confirm-withdrawal"))
        return await self.row(found.row.id)

    @property
    def way(self) -> Route:
        return known_route(self.world.catalogue, "BTC", "bitcoin")

    async def row(self, row_id: str) -> WithdrawalDocument:
        row = await withdrawal.by_id(row_id)
        assert row is not None
        return row

    async def promise(self, row: WithdrawalDocument) -> Promise | Wait:
        return await self.payouts.promise(row, self.way, await hot_wallet.read("bitcoin"))

    def steps(self, killer: Killer | None = None) -> WithdrawalSteps:
        """A new life of the worker."""
        watch = killer or Killer(None, after=False)
        custody = self.world.custody
        steps = build_steps(
            custody,
            watch.wrap(self.payouts, "promise", "sign", "send", "fate"),
            gateway=watch.wrap(self.trading.gateway, "ask"),
            accounts=self.world.funds.accounts,
            catalogue=self.world.catalogue,
            clock=self.world.clock,
        )
        steps._changes = watch.wrap(custody.withdrawal_changes, "move", "note", "keep")
        return steps

    async def step(self, row_id: str, times: int = 1, steps: WithdrawalSteps | None = None) -> WithdrawalDocument:
        doer = steps or self.steps()
        for _ in range(times):
            await doer.step(row_id)
            self.world.clock.advance(6)
        return await self.row(row_id)

    async def until_over(self, row_id: str, killer: Killer | None = None) -> bool:
        """Work, with blocks in between. False when the worker was killed on the way."""
        steps = self.steps(killer)
        try:
            for _ in range(40):
                row = await self.step(row_id, steps=steps)
                await self.trading.projected()
                if row.due_ms is None:
                    return True
                await self.house.mine(3)
                self.world.clock.advance(61)
        except Killed:
            return False
        raise AssertionError(f"not over: {row}")

    async def received(self, to: Key | None = None) -> list[int]:
        """What is confirmed at the recipient's."""
        found = await self.client.unspent((to or self.to).address)
        return sorted(each.sats for each in found.outputs if each.height is not None)

    async def books(self) -> tuple[Decimal, Decimal, int, int]:
        """Available and held of the account, and what the hot wallet and the network's fees are in the ledger."""
        await self.trading.projected()
        state = self.trading.writer.exchange.state
        funds = (await self.world.funds.accounts.read(self.person.user_id)).balances["BTC"]
        hot, fees = (
            state.house[name]["BTC"] if name in state.house else 0 for name in (HOT_ACCOUNT, "house:network-fees")
        )
        return funds.available, funds.held, hot, fees


@asynccontextmanager
async def opened(url: str, kind: str) -> AsyncIterator[Site]:
    bus = MemoryBus()
    trading = TradingHouse(bus=bus)
    world = World(gateway=trading.gateway, bus=bus)
    trading.clock = world.clock
    await world.accounts.load()
    key = PrivateKey(secrets.token_bytes(32))
    hot = bitcoin_address(key.public_key.format(), NETWORK.hrp)
    rpc = JsonRpc(url)
    async with esplora(url) as (api_url, api), trading.open():
        nodes = nodes_of([] if kind == "esplora" else [url], [] if kind == "core" else [api_url])
        client = Rated("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock())
        payouts = BitcoinPayouts(client, KeystoreSigner("bitcoin", key), hot, block_seconds=20)
        site = Site(House(rpc), client, api, payouts, hot, trading, world)
        await site.settle_in()
        yield site
        await client.close()
        await rpc.close()


@pytest.fixture(params=["core", "esplora"])
async def site(request: pytest.FixtureRequest, database: Database, litecoin_url: str) -> AsyncIterator[Site]:
    async with opened(litecoin_url, request.param) as site:
        yield site


@pytest.fixture
async def core(database: Database, litecoin_url: str) -> AsyncIterator[Site]:
    async with opened(litecoin_url, "core") as site:
        yield site


async def test_from_the_promise_to_the_settled_ledger(site: Site) -> None:
    await site.fund(3_000_000, 2_000_000)
    row = await site.approved("w1")
    assert await site.until_over(row.id)
    row = await site.row(row.id)
    assert [step.status for step in row.timeline][1:] == [S.APPROVED, S.SIGNING, S.BROADCAST, S.CONFIRMED]
    (attempt,) = row.attempts
    paid = int((row.amount - row.fee) * 10**8)
    assert await site.received() == [paid]
    assert row.hash == attempt.hash
    tx = parse_transaction(attempt.raw)
    assert tx.txid == attempt.hash
    assert RATE <= attempt.fee_units * 1000 / tx.vsize < RATE * 1.1
    owned = await site.client.unspent(parse_address(site.hot, NETWORK))
    assert sum(each.sats for each in owned.outputs) == 5_000_000 - paid - attempt.fee_units
    assert await site.books() == (D("9.99"), D(0), paid + attempt.fee_units, -attempt.fee_units)


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_it_is_paid_once(core: Site, after: bool) -> None:
    at, before = 1, D(10)
    while True:
        await core.fund(1_000_000)
        to = Key()
        killer, wish = Killer(at, after=after), Wish("BTC", "bitcoin", await core.entry(to), D("0.001"))
        row_id = await asked_and_confirmed(core.world, core.person, f"w{at}", wish)
        assert await core.until_over(row_id, killer) or await core.until_over(row_id)
        row = await core.row(row_id)
        assert (row.status, row.settled) == (S.CONFIRMED, True)
        assert {attempt.spends for attempt in row.attempts} == {row.spends}
        assert await core.received(to) == [int((row.amount - row.fee) * 10**8)]
        before -= D("0.001")
        assert (await core.books())[:2] == (before, D(0))
        if not killer.killed:
            break
        at += 1
    assert at > 10


async def test_one_that_is_stuck_is_replaced_by_a_dearer_one_that_spends_the_same(site: Site) -> None:
    await site.fund(5_000_000)
    row = await site.approved("w1")
    await site.step(row.id, 2)
    for _ in range(3):
        site.world.clock.advance(61)
        row = await site.step(row.id)
    assert len(row.attempts) == 4
    assert {attempt.spends for attempt in row.attempts} == {row.spends}
    spent = [{each.outpoint for each in parse_transaction(attempt.raw).inputs} for attempt in row.attempts]
    assert all(each == spent[0] for each in spent)
    fees = [attempt.fee_units for attempt in row.attempts]
    assert fees == sorted(set(fees))
    assert await site.house.call("getrawmempool") == [row.attempts[-1].hash]
    assert row.hash == row.attempts[-1].hash
    assert await site.until_over(row.id)
    assert await site.received() == [int((row.amount - row.fee) * 10**8)]
    assert (await site.books())[3] == -fees[-1]


async def test_an_earlier_attempt_may_be_the_one_that_is_confirmed(core: Site) -> None:
    """The dearer one reaches nobody; a miner has the first."""
    await core.fund(5_000_000)
    row = await core.approved("w1")
    row = await core.step(row.id, 2)
    dearer = await core.payouts.sign(row, core.world.clock.now_ms())
    assert dearer.hash != row.attempts[0].hash
    kept = await core.world.custody.withdrawal_changes.keep(row, attempts=(*row.attempts, dearer))
    assert kept is not None
    assert await core.payouts.fate(kept) == Fate(FateKind.PENDING, row.attempts[0].hash)
    await core.house.mine()
    first = row.attempts[0]
    assert await core.payouts.fate(kept) == Fate(FateKind.INCLUDED, first.hash, 1, first.fee_units)
    await core.payouts.send(dearer)
    assert await core.until_over(row.id)
    assert (await core.row(row.id)).hash == first.hash
    assert (await core.books())[3] == -first.fee_units


async def test_signing_again_makes_the_same_transaction(core: Site) -> None:
    await core.fund(5_000_000)
    row = await core.approved("w1")
    row = await core.step(row.id)
    assert row.status is S.SIGNING
    assert await core.payouts.fate(row) == Fate(FateKind.UNKNOWN)
    first, again = [await core.payouts.sign(row, 1) for _ in range(2)]
    assert (first.hash, first.fee_units) == (again.hash, again.fee_units)


async def test_outputs_are_promised_to_one_withdrawal_only(core: Site) -> None:
    await core.fund(2_000_000, 2_000_000, 2_000_000)
    rows = [await core.approved(f"w{number}") for number in range(4)]
    rows = [await core.step(row.id, 2) for row in rows]
    promised = [each for row in rows for each in (row.spends or "").split(",") if each]
    assert len(promised) == len(set(promised)) == 3
    assert [row.status for row in rows] == [S.BROADCAST] * 3 + [S.HELD]
    assert "change of other withdrawals comes back" in (rows[3].reason or "")
    await core.house.mine()
    core.world.clock.advance(31)
    assert await core.until_over(rows[3].id)
    for row in rows[:3]:
        assert await core.until_over(row.id)
    assert len(await core.received()) == 4


async def test_a_wallet_with_too_little_waits(database: Database, litecoin_url: str) -> None:
    """An Esplora lists what waits as well: it is not spent."""
    async with opened(litecoin_url, "esplora") as site:
        await site.fund(500_000)
        row = await site.approved("w1")
        assert await site.promise(row) == Wait("the hot wallet has too little of it now")
        await site.house.pay(site.hot, 5_000_000, mine=0)
        assert len((await site.client.unspent(parse_address(site.hot, NETWORK))).outputs) == 2
        assert isinstance(await site.promise(row), Wait)
        await site.house.mine()
        assert isinstance(await site.promise(row), Promise)


async def test_after_a_top_up_it_is_paid_by_itself(site: Site) -> None:
    await site.fund(500_000)
    row = await site.approved("w1")
    row = await site.step(row.id)
    assert (row.status, row.reason) == (S.HELD, "the hot wallet has too little of it now")
    site.world.clock.advance(31)
    version = row.version
    row = await site.step(row.id)
    assert (row.status, len(row.timeline), row.version) == (S.HELD, 3, version + 1)
    await site.fund(2_000_000)
    site.world.clock.advance(31)
    assert await site.until_over(row.id)
    row = await site.row(row.id)
    assert [each.status for each in row.timeline][1:] == [S.APPROVED, S.HELD, S.SIGNING, S.BROADCAST, S.CONFIRMED]
    assert await site.received() == [int((row.amount - row.fee) * 10**8)]


async def test_the_last_coins_are_spent_too_though_no_dearer_one_can_follow(core: Site) -> None:
    row = await core.approved("w1")
    paid = int((row.amount - row.fee) * 10**8)
    await core.fund(paid + 2_500)
    row = await core.step(row.id, 2)
    assert row.status is S.BROADCAST
    (attempt,) = row.attempts
    assert attempt.fee_units == 2_500
    assert len(parse_transaction(attempt.raw).outputs) == 1
    assert not core.payouts.is_stuck(row, attempt.signed_ms + 10**9)
    with pytest.raises(ChainError, match="too little for a higher fee"):
        await core.payouts.sign(row, 1)
    assert await core.until_over(row.id)


async def test_the_change_is_given_up_for_the_last_higher_fee(core: Site) -> None:
    row = await core.approved("w1")
    paid = int((row.amount - row.fee) * 10**8)
    await core.fund(paid + 5_000)
    row = await core.step(row.id, 2)
    assert len(parse_transaction(row.attempts[0].raw).outputs) == 2
    while core.payouts.is_stuck(row, row.attempts[-1].signed_ms + 10**9):
        core.world.clock.advance(61)
        row = await core.step(row.id)
    assert len(parse_transaction(row.attempts[-1].raw).outputs) == 1
    assert row.attempts[-1].fee_units == 5_000
    assert await core.until_over(row.id)


async def test_a_reorg_takes_it_back_and_the_same_bytes_are_sent_again(site: Site) -> None:
    await site.fund(5_000_000)
    row = await site.approved("w1")
    row = await site.step(row.id, 2)
    (block,) = await site.house.mine()
    assert (await site.payouts.fate(row)).kind is FateKind.INCLUDED
    await site.house.call("invalidateblock", block)
    assert (await site.payouts.fate(row)).kind is FateKind.PENDING
    await site.house.call("generateblock", await site.house.address(), [])
    assert await site.payouts.fate(row) == Fate(FateKind.PENDING, row.hash)
    assert await site.until_over(row.id)
    row = await site.row(row.id)
    assert len(row.attempts) == 1
    assert await site.received() == [int((row.amount - row.fee) * 10**8)]


async def test_what_is_promised_and_not_sent_yet_is_not_promised_again(core: Site) -> None:
    await core.fund(2_000_000, 2_000_000)
    rows = [await core.approved(f"w{number}") for number in range(3)]
    rows = [await core.step(row.id) for row in rows]
    assert [row.status for row in rows] == [S.SIGNING, S.SIGNING, S.HELD]
    assert rows[0].spends != rows[1].spends


async def test_outputs_of_one_that_may_still_be_reorganised_away_stay_its_own(
    core: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was confirmed; then its block is given up, and no node remembers it: what it spent seems free, and is not."""
    await core.fund(5_000_000)
    before = await core.client.unspent(parse_address(core.hot, NETWORK))
    row = await core.approved("w1")
    row = await core.step(row.id, 2)
    await core.house.mine(3)
    row = await core.step(row.id, 2)
    assert (row.status, row.settled) == (S.CONFIRMED, True)
    other = await core.approved("w2")

    async def unspent(_: object) -> Unspent:
        return before

    async def outputs(_: object) -> dict[str, Utxo]:
        return {"node-1": before.outputs[0]}

    monkeypatch.setattr(core.client, "unspent", unspent)
    monkeypatch.setattr(core.client, "outputs_of_all", outputs)
    assert isinstance(await core.promise(other), Wait)
    core.world.clock.advance(61)
    row = await core.step(row.id)
    assert row.due_ms is None
    assert isinstance(await core.promise(other), Promise)


async def test_what_something_else_spent_is_left_to_an_operator(site: Site) -> None:
    await site.fund(5_000_000)
    row = await site.approved("w1")
    row = await site.step(row.id)
    foreign = await site.payouts.sign(
        row.model_copy(update={"terms": {**(row.terms or {}), "sats": "100000"}}), site.world.clock.now_ms()
    )
    await site.payouts.send(foreign)
    assert await site.payouts.fate(row) == Fate(FateKind.TAKEN)
    await site.house.mine()
    assert await site.payouts.fate(row) == Fate(FateKind.TAKEN)
    row = await site.step(row.id, 3)
    assert row.status is S.HELD
    assert "operator" in (row.reason or "")
    assert len(row.attempts) == 1
    assert await site.received() == [100_000]
    assert (await site.books())[:2] == (D("9.99"), D("0.01"))


async def test_change_is_left_for_higher_fees_though_an_output_would_fit_without(core: Site) -> None:
    row = await core.approved("w1")
    paid = int((row.amount - row.fee) * 10**8)
    await core.fund(paid + 2_300, 5_000_000)
    row = await core.step(row.id, 2)
    assert len(parse_transaction(row.attempts[0].raw).outputs) == 2
    assert core.payouts.is_stuck(row, row.attempts[0].signed_ms + 10**9)
    await core.house.mine()


async def test_where_the_change_cannot_pay_todays_fee_it_pays_as_much_more_as_it_must(core: Site) -> None:
    row = await core.approved("w1")
    paid = int((row.amount - row.fee) * 10**8)
    await core.fund(paid + 20_000)
    row = await core.step(row.id, 2)
    core.client.rates = FeeRates(1_000, 500_000, 500_000, 500_000)
    core.world.clock.advance(61)
    row = await core.step(row.id)
    first, second = [attempt.fee_units for attempt in row.attempts]
    assert first * 1.2 < second < first * 1.3
    assert await core.house.call("getrawmempool") == [row.attempts[1].hash]
    await core.house.mine()


async def test_included_is_what_every_node_says(database: Database, litecoin_url: str) -> None:
    async with opened(litecoin_url, "both") as site:
        await site.fund(5_000_000)
        row = await site.approved("w1")
        row = await site.step(row.id, 2)
        await site.house.mine()
        assert (await site.payouts.fate(row)).kind is FateKind.INCLUDED
        site.api.change = lambda path, reply: (404, b"") if f"/tx/{row.hash}" in path else reply
        assert await site.payouts.fate(row) == Fate(FateKind.PENDING, row.hash)


async def test_one_of_two_nodes_alone_has_nothing_paid_or_taken(database: Database, litecoin_url: str) -> None:
    async with opened(litecoin_url, "both") as site:
        await site.fund(5_000_000)
        row = await site.approved("w1")
        row = await site.step(row.id)
        foreign = await site.payouts.sign(
            row.model_copy(update={"terms": {**(row.terms or {}), "sats": "100000"}}), site.world.clock.now_ms()
        )
        paid = await site.payouts.sign(row, site.world.clock.now_ms())
        await site.payouts.send(foreign)
        await site.house.mine()
        site.api.change = lambda path, reply: (503, b"")
        with pytest.raises(ChainError, match="too few nodes"):
            await site.payouts.fate(row)
        with pytest.raises(ChainError, match="too few nodes"):
            await site.payouts.fate(row.model_copy(update={"attempts": (foreign,)}))
        site.api.change = lambda path, reply: reply
        assert await site.payouts.fate(row) == Fate(FateKind.TAKEN)
        assert await site.payouts.fate(row.model_copy(update={"attempts": (paid,)})) == Fate(FateKind.TAKEN)
        found = await site.payouts.fate(row.model_copy(update={"attempts": (foreign,)}))
        assert (found.kind, found.confirmations) == (FateKind.INCLUDED, 1)


async def test_one_that_is_seen_while_its_inputs_are_asked_for_is_not_taken(
    core: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.fund(5_000_000)
    row = await core.approved("w1")
    row = await core.step(row.id, 2)
    ask, asked = core.client.transactions_of_all, list[str]()

    async def late(txid: str) -> object:
        asked.append(txid)
        return {"node-1": None} if len(asked) == 1 else await ask(txid)

    monkeypatch.setattr(core.client, "transactions_of_all", late)
    assert await core.payouts.fate(row) == Fate(FateKind.PENDING, row.hash)
    await core.house.mine()


async def test_a_fee_that_nodes_do_not_take_is_raised(core: Site) -> None:
    await core.fund(5_000_000)
    core.client.rates = FeeRates(100, 100, 100, 100)
    row = await core.approved("w1")
    row = await core.step(row.id)
    low = await core.payouts.sign(row, 1)
    with pytest.raises(SendRefused) as refused:
        await core.payouts.send(low)
    assert refused.value.underpriced
    core.client.rates = FeeRates(1_000, RATE, RATE, RATE)
    row = await core.step(row.id, 2)
    assert row.status is S.BROADCAST
    assert len(row.attempts) == 2
    assert await core.until_over(row.id)


async def test_absurd_fees_are_not_paid(core: Site) -> None:
    await core.fund(5_000_000)
    row = await core.approved("w1")
    core.client.rates = FeeRates(1_000, 10**7, 10**7, 10**7)
    with pytest.raises(ChainError, match="higher than is ever paid"):
        await core.promise(row)
    assert (await core.step(row.id)).spends is None


async def test_an_address_of_another_network_and_our_own_wait(core: Site) -> None:
    await core.fund(5_000_000)
    row = await core.approved("w1")
    for address, words in (
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "another network"),
        (core.hot, "the hot wallet's own"),
    ):
        found = await core.promise(row.model_copy(update={"address": address}))
        assert isinstance(found, Wait)
        assert words in found.reason


def forged(path: str, reply: tuple[int, bytes]) -> tuple[int, bytes]:
    return (reply[0], reply[1].replace(b'"value":5000000', b'"value":9000000')) if "/utxo" in path else reply


def spent(path: str, reply: tuple[int, bytes]) -> tuple[int, bytes]:
    return (200, b'{"spent":true,"txid":"' + b"11" * 32 + b'","vin":0}') if "/outspend/" in path else reply


@pytest.mark.parametrize("lie", [forged, spent])
async def test_what_nodes_disagree_about_is_not_promised(
    database: Database, litecoin_url: str, lie: Callable[[str, tuple[int, bytes]], tuple[int, bytes]]
) -> None:
    async with opened(litecoin_url, "esplora") as site:
        await site.fund(5_000_000)
        row = await site.approved("w1")
        site.api.change = lie
        with pytest.raises(ChainError, match="disagree"):
            await site.promise(row)
        site.api.change = lambda path, reply: reply
        assert isinstance(await site.promise(row), Promise)


async def test_a_dead_node_puts_it_off(database: Database, litecoin_url: str) -> None:
    async with opened(litecoin_url, "esplora") as site:
        await site.fund(5_000_000)
        row = await site.approved("w1")
        row = await site.step(row.id, 2)
        site.api.change = lambda path, reply: (503, b"")
        with pytest.raises(ChainError):
            await site.payouts.fate(row)
        with pytest.raises(ChainUnavailable):
            await site.payouts.send(row.attempts[-1])
        assert (await site.step(row.id)).status is S.BROADCAST


async def test_the_hot_wallets_address_must_be_of_the_kind_that_is_signed(core: Site) -> None:
    with pytest.raises(ValueError, match="not P2WPKH"):
        BitcoinPayouts(core.client, core.payouts._signer, Key(ScriptType.P2PKH).address.text, block_seconds=1)
