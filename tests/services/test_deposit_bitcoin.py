"""Deposits on a real UTXO node: every output counted, credited once, given back when its block goes; and what the house sends itself is nobody's deposit."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from events.commands import MoveFunds
from integrations.chains.bitcoin.addresses import ScriptType
from models import house_transfer, withdrawal
from models.withdrawal import AttemptEntry
from services.withdrawal_rules import Wish
from tests.accounts import CLIENT
from tests.bitcoin_deposits import BTC, BitcoinSite, opened
from tests.deposits import FINAL, REQUIRED
from tests.integrations.chains.bitcoin.house import Key
from tests.services.test_withdrawal_kills import Killer, proven

D = Decimal
S = DepositStatus
HOT = "house:hot:bitcoin"
FEES = "house:network-fees"


@pytest.fixture(params=["core", "esplora", "both"])
async def any_site(request: pytest.FixtureRequest, database: Database, litecoin_url: str) -> AsyncIterator[BitcoinSite]:
    async with opened(litecoin_url, request.param) as made:
        yield made


@pytest.fixture
async def site(database: Database, litecoin_url: str) -> AsyncIterator[BitcoinSite]:
    async with opened(litecoin_url, "core") as made:
        yield made


async def test_seen_counted_and_credited(any_site: BitcoinSite) -> None:
    site = any_site
    txid = await site.nodes.pay(site.address, 2 * BTC, mine=0)
    await site.run()
    assert await site.rows() == [], "what waits is not shown"
    await site.nodes.mine()
    await site.run()
    row = await site.row()
    assert (row.status, row.amount, row.confirmations, row.hash) == (S.SEEN, D(2), 1, txid)
    assert await site.funds() == (D(0), D(0))
    await site.nodes.mine(REQUIRED - 1)
    await site.run()
    assert ((await site.row()).status, (await site.row()).open) == (S.CREDITED, True)
    assert await site.funds() == (D(2), D(0))
    assert site.reserve() == 2 * BTC
    await site.nodes.mine(FINAL - REQUIRED)
    await site.run()
    assert not (await site.row()).open
    counted = [(S.CONFIRMING, confirmations) for confirmations in range(2, REQUIRED + 1)]
    assert await site.told() == [(S.SEEN, 1), *counted, (S.CREDITED, REQUIRED)]


async def test_every_output_counts_and_dust_is_on_record(site: BitcoinSite) -> None:
    bob, to_bob = await site.newcomer("bob@example.org")
    payer = Key()
    source = await site.nodes.pay(payer.address.text, 5 * BTC)
    outputs = [(site.address, BTC), (site.address, BTC), (site.address, 3_000), (to_bob, 2 * BTC)]
    await site.spend({payer: source}, [*outputs, (await site.nodes.address(), 90_000_000)], mine=REQUIRED)
    await site.run()
    found = sorted((row.amount, row.status) for row in await site.rows())
    assert found == [(D("0.00003"), S.BELOW_MINIMUM), (D(1), S.CREDITED), (D(1), S.CREDITED)]
    assert await site.funds() == (D(2), D(0))
    assert (await site.world.funds.accounts.read(bob.user_id)).balances["BTC"].available == 2


async def test_what_a_miner_made_waits_until_it_may_be_spent(site: BitcoinSite) -> None:
    await site.nodes.mine(1, to=site.address)
    await site.nodes.mine(98)
    await site.run()
    row = await site.row()
    assert (row.status, row.required) == (S.CONFIRMING, 100)
    assert await site.funds() == (D(0), D(0))
    await site.nodes.mine()
    await site.run()
    assert (await site.row()).status is S.CREDITED
    assert await site.funds() == (row.amount, D(0))


async def test_a_double_spend_in_another_block_leaves_nothing(site: BitcoinSite) -> None:
    payer, thief = Key(), Key()
    source = await site.nodes.pay(payer.address.text, 2 * BTC)
    await site.spend({payer: source}, [(site.address, BTC), (thief.address.text, BTC - 1_000)], mine=2)
    await site.run()
    assert (await site.row()).status is S.CONFIRMING
    await site.invalidate(2)
    await site.spend({payer: source}, [(thief.address.text, 2 * BTC - 90_000)], mine=FINAL)
    await site.run()
    row = await site.row()
    assert (row.status, row.confirmations, row.block, row.open) == (S.ORPHANED, 0, None, False)
    assert await site.funds() == (D(0), D(0))


async def test_what_waits_and_is_replaced_is_never_seen(site: BitcoinSite) -> None:
    payer = Key()
    source = await site.nodes.pay(payer.address.text, 2 * BTC)
    await site.spend({payer: source}, [(site.address, 2 * BTC - 1_000)], mine=0)
    await site.run()
    await site.spend({payer: source}, [(await site.nodes.address(), 2 * BTC - 90_000)], mine=FINAL)
    await site.run()
    assert await site.rows() == []


async def test_given_up_after_it_was_credited_it_is_owed_and_credited_again_in_another_block(
    any_site: BitcoinSite,
) -> None:
    site = any_site
    await site.nodes.pay(site.address, 2 * BTC, mine=REQUIRED)
    await site.run()
    assert await site.funds() == (D(2), D(0))
    await site.house.gateway.ask(MoveFunds(site.person.user_id, "house:test-funds", "BTC", -BTC, "spent", "spent"))
    first = await site.row()
    await site.invalidate(REQUIRED)
    await site.without(REQUIRED + 1)
    await site.run()
    assert (await site.row()).status is S.REVERSED
    assert await site.funds() == (D(0), D(1))
    assert site.reserve() == 0
    await site.nodes.mine(REQUIRED)
    await site.run()
    row = await site.row()
    assert (row.status, row.hash, row.block_hash == first.block_hash) == (S.CREDITED, first.hash, False)
    assert await site.funds() == (D(1), D(0))
    assert site.reserve() == 2 * BTC


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_it_is_credited_once(site: BitcoinSite, after: bool) -> None:
    at = 1
    while True:
        await site.nodes.pay(site.address, BTC, mine=REQUIRED)
        was_killed = not await site.run(killer=Killer(at, after=after))
        await site.run()
        assert await site.funds() == (D(at), D(0))
        assert site.reserve() == at * BTC
        if not was_killed:
            break
        at += 1
    assert at > 10


@pytest.mark.soak
@pytest.mark.parametrize("after", [True, False])
async def test_killed_at_any_step_of_a_reorganisation_the_ledger_is_right(site: BitcoinSite, after: bool) -> None:
    """Credited, taken back, credited in another block."""
    at = 1
    while True:
        killer, was_killed = Killer(at, after=after), False
        await site.nodes.pay(site.address, BTC, mine=REQUIRED)
        for turn in range(2):
            was_killed = not await site.run(killer=killer) or was_killed
            await site.run()
            assert await site.funds() == (D(at), D(0))
            assert site.reserve() == at * BTC
            if turn == 0:
                await site.invalidate(REQUIRED)
                await site.without(1)
                await site.nodes.mine(REQUIRED)
        if not was_killed:
            break
        at += 1
    assert at > 15
    assert {row.status for row in await site.rows()} == {S.CREDITED}


async def test_a_sweep_is_nobodys_deposit_and_moves_between_the_reserves(any_site: BitcoinSite) -> None:
    """With change to the deposit address, as a careless operator leaves it."""
    site = any_site
    txid = await site.nodes.pay(site.address, 2 * BTC, mine=REQUIRED)
    await site.run()
    swept, kept = BTC + 12_345, BTC - 12_345 - 5_000
    sweep = await site.spend(
        {site.deposit_key(): txid}, [(site.hot_key.address.text, swept), (site.address, kept)], mine=FINAL - 1
    )
    await site.run()
    assert len(await house_transfer.open_of("bitcoin")) == 2
    await site.nodes.mine()
    await site.run()
    assert await house_transfer.open_of("bitcoin") == []
    assert (site.reserve(account=HOT), site.reserve(account=FEES)) == (swept, 5_000)
    assert site.reserve() == kept
    assert [row.hash for row in await site.rows()] == [txid]
    back = await site.spend({site.hot_key: sweep}, [(site.address, swept - 2_000)], mine=FINAL)
    await site.run()
    assert (site.reserve(account=HOT), site.reserve(account=FEES)) == (0, 7_000)
    assert site.reserve() == 2 * BTC - 7_000
    assert back not in {row.hash for row in await site.rows()}
    assert await site.funds() == (D(2), D(0))


async def test_both_reserves_may_pay_and_each_bears_what_it_lost(site: BitcoinSite) -> None:
    """A joint transaction to somebody outside: what left is said, the fee is booked once, and no reserve pays for the other."""
    hot = await site.nodes.pay(site.hot_key.address.text, BTC)
    cold = await site.nodes.pay(site.cold_key.address.text, BTC)
    away = await site.nodes.address()
    await site.spend({site.hot_key: hot, site.cold_key: cold}, [(away, 2 * BTC - 9_000)], mine=FINAL)
    await site.run()
    assert site.reserve(account=FEES) == 9_000
    assert site.reserve() + site.reserve(account=HOT) == -9_000
    assert await house_transfer.open_of("bitcoin") == []


@pytest.mark.parametrize("type_", [ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2TR])
async def test_a_cold_wallet_of_any_kind_is_known_by_what_it_spends(site: BitcoinSite, type_: ScriptType) -> None:
    cold = Key(type_)
    site.cold = frozenset({cold.address.text})
    source = await site.nodes.pay(cold.address.text, BTC)
    previous = {source: bytes.fromhex(await site.nodes.call("getrawtransaction", source))}
    await site.spend({cold: source}, [(site.address, BTC - 4_000)], mine=FINAL, previous=previous)
    await site.run()
    assert await site.rows() == []
    assert site.reserve(account=FEES) == 4_000


async def test_a_withdrawal_to_somebodys_deposit_address_is_their_deposit(site: BitcoinSite) -> None:
    source = await site.nodes.pay(site.hot_key.address.text, 2 * BTC)
    outputs = [(site.address, BTC), (site.hot_key.address.text, BTC - 3_000)]
    await _signed(site, await site.spend({site.hot_key: source}, outputs, mine=0))
    await site.nodes.mine(FINAL)
    await site.run()
    assert (await site.row()).status is S.CREDITED
    assert await site.funds() == (D(1), D(0))
    assert site.reserve() == BTC
    assert (site.reserve(account=HOT), site.reserve(account=FEES)) == (0, 0), "the withdrawal books those"


async def _signed(site: BitcoinSite, hash_: str) -> None:
    """A withdrawal of somebody's, for which this was signed."""
    bob, _ = await site.newcomer("bob@example.org")
    await site.house.give(bob.user_id, "BTC", 10 * BTC)
    await site.house.projected()
    entry = await site.world.custody.addresses.add(bob.viewer, "bitcoin", await site.nodes.address(), "cold", CLIENT)
    site.world.clock.advance(25 * 3600)
    wish = Wish("BTC", "bitcoin", entry.id, D(1))
    row = (await site.world.custody.withdrawals.request(bob.viewer, "w1", wish, CLIENT, proven)).row
    attempt = AttemptEntry(hash=hash_, raw=b"", spends="0", fee_units=1, terms={}, signed_ms=1)
    assert await withdrawal.replace(withdrawal.changed(row, {"attempts": (attempt,), "hash": hash_}))


async def test_what_is_signed_with_others_is_left_to_an_operator(site: BitcoinSite) -> None:
    other = Key()
    theirs = await site.nodes.pay(other.address.text, BTC)
    ours = await site.nodes.pay(site.hot_key.address.text, BTC)
    await site.spend({other: theirs, site.hot_key: ours}, [(site.address, 2 * BTC - 4_000)], mine=FINAL)
    await site.run()
    assert await site.rows() == []
    assert await site.funds() == (D(0), D(0))
    assert (site.reserve(), site.reserve(account=HOT), site.reserve(account=FEES)) == (0, 0, 0)


async def test_a_sweep_that_is_given_up_is_never_booked(site: BitcoinSite) -> None:
    txid = await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    await site.spend({site.deposit_key(): txid}, [(site.hot_key.address.text, BTC - 3_000)], mine=2)
    await site.run()
    assert len(await house_transfer.open_of("bitcoin")) == 2
    await site.invalidate(2)
    await site.without(2 * FINAL)
    await site.run()
    assert await house_transfer.open_of("bitcoin") == []
    assert (site.reserve(), site.reserve(account=HOT)) == (BTC, 0)
