"""What the ledger has after forks, deaths of the worker, movements of the house's own, and debts."""

from decimal import Decimal

import pytest

from core.database import Database
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import DepositStatus, WalletErrorCode
from events.commands import MoveFunds
from models import debtor, deposit, deposit_address, house_transfer, withdrawal
from models.deposit_address import DepositAddressDocument
from models.withdrawal import AttemptEntry
from services.debts import Debts
from services.withdrawal_rules import Wish
from tests.accounts import CLIENT
from tests.custody import STRANGER
from tests.deposits import ETH, FINAL, HOT, REQUIRED, USDC, Site, scripted
from tests.evm_nodes import GAS, OUTSIDER, Moved, ScriptedNode, Transaction
from tests.services.test_withdrawal_kills import Killer, proven

D = Decimal
S = DepositStatus
HOT_WALLET = "0x2222222222222222222222222222222222222222"
COLD_WALLET = "0x3333333333333333333333333333333333333333"


async def test_a_block_that_comes_back_is_credited_again(database: Database) -> None:
    """Away and back, twice: the key of the first credit must not stand for the later ones."""
    node = ScriptedNode()
    async with scripted(node) as site:
        before = list(node.blocks)
        node.mine(Transaction("pays", site.address, 2 * ETH), blocks=REQUIRED)
        ours = list(node.blocks)
        for _ in range(2):
            await site.run()
            assert (await site.row()).status is S.CREDITED
            assert await site.funds() == (D(2), D(0))
            node.blocks = list(before)
            node.mine(blocks=len(ours), salt="another")
            await site.run()
            assert (await site.row()).status is S.REVERSED
            assert await site.funds() == (D(0), D(0))
            node.blocks = list(ours)
            node.mine(blocks=2)
            ours = list(node.blocks)
        await site.run()
        assert (await site.row()).status is S.CREDITED
        assert await site.funds() == (D(2), D(0))
        assert site.reserve() == 2 * ETH


async def test_a_reorganisation_deeper_than_final_takes_back_what_was_closed(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(Transaction("pays", site.address, 2 * ETH), blocks=FINAL + 10)
        await site.run()
        assert not (await site.row()).open
        node.drop(FINAL + 10)
        node.mine(blocks=FINAL + 11, salt="another")
        await site.run()
        row = await site.row()
        assert (row.status, row.open) == (S.REVERSED, False)
        assert await site.funds() == (D(0), D(0))


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_of_a_reorganisation_the_ledger_is_right(database: Database, after: bool) -> None:
    """Credited, taken back, credited in another block: with the worker killed at every step of it in turn."""
    node = ScriptedNode()
    async with scripted(node) as site:
        at = 1
        while True:
            killer = Killer(at, after=after)
            start, was_killed = list(node.blocks), False
            pays = Transaction(f"pays-{at}", site.address, ETH)
            for blocks, salt in ((REQUIRED, "one"), (REQUIRED + 1, "two")):
                node.blocks = list(start)
                node.mine(pays, blocks=blocks, salt=salt)
                was_killed = not await site.run(killer=killer) or was_killed
                await site.run()
                assert await site.funds() == (D(at), D(0))
                assert site.reserve() == at * ETH
            assert await debtor.everybody() != []
            if not was_killed:
                break
            at += 1
        assert at > 15
        assert {row.status for row in await site.rows()} == {S.CREDITED}


async def test_what_was_spent_is_owed_and_repaid_from_whatever_comes_in(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        start = list(node.blocks)
        node.mine(Transaction("pays", site.address, 2 * ETH), blocks=REQUIRED)
        await site.run()
        ann = site.person.user_id
        await site.house.gateway.ask(MoveFunds(ann, "house:test-funds", "ETH", -ETH, "spent", "spent"))
        node.blocks = start
        node.mine(blocks=REQUIRED + 1, salt="another")
        await site.run()
        assert await site.funds() == (D(0), D(1))
        debts = Debts(site.house.gateway, site.world.funds.accounts, site.world.clock)
        await debts.collect()
        assert await site.funds() == (D(0), D(1))
        await site.house.give(ann, "ETH", 3 * ETH)
        assert await site.funds() == (D(3), D(1))
        await debts.collect()
        assert await site.funds() == (D(3), D(1)), "asked again too soon"
        site.world.clock.advance(6)
        await debts.collect()
        assert await site.funds() == (D(2), D(0))
        assert [row.user_id for row in await debtor.everybody()] == [ann]
        site.world.clock.advance(6)
        await debts.collect()
        assert await debtor.everybody() == []


async def test_gas_for_a_sweep_is_nobodys_deposit_and_moves_between_the_reserves(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        site.hot, site.cold = HOT_WALLET, frozenset({COLD_WALLET})
        node.mine(
            Transaction("gas", site.address, ETH, sender=HOT_WALLET),
            Transaction("sweeps", HOT_WALLET, ETH // 4, sender=site.address),
            Transaction("to cold", COLD_WALLET, ETH // 2, sender=site.address),
            Transaction("fails", HOT_WALLET, ETH, sender=site.address, success=False),
            Transaction("funds", HOT_WALLET, 5 * ETH),
            Transaction("tokens", USDC, sender=site.address, logs=(Moved(USDC, site.address, HOT_WALLET, 10**6),)),
        )
        node.mine(blocks=FINAL - 2)
        await site.run()
        assert (site.reserve(), site.reserve(account=HOT)) == (0, 0)
        node.mine()
        await site.run()
        assert await site.rows() == []
        assert await site.funds() == (D(0), D(0))
        fees_of_hot, fees_of_cold = GAS, 4 * GAS
        assert site.reserve(account=HOT) == ETH // 4 - ETH - fees_of_hot
        assert site.reserve() == ETH - ETH // 4 - fees_of_cold
        assert (site.reserve("USDC", HOT), site.reserve("USDC")) == (10**6, -(10**6))
        assert await house_transfer.open_of("ethereum") == []


async def test_a_sweep_that_is_given_up_is_never_booked(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        site.hot = HOT_WALLET
        start = list(node.blocks)
        node.mine(Transaction("sweeps", HOT_WALLET, ETH, sender=site.address), blocks=FINAL - 1)
        await site.run()
        assert len(await house_transfer.open_of("ethereum")) == 2
        node.blocks = start
        node.mine(blocks=2 * FINAL, salt="another")
        await site.run()
        assert await house_transfer.open_of("ethereum") == []
        assert (site.reserve(), site.reserve(account=HOT)) == (0, 0)


async def test_a_withdrawal_to_somebodys_deposit_address_is_their_deposit(database: Database) -> None:
    """Also when the transaction that got into a block is not the newest that was signed."""
    node = ScriptedNode()
    async with scripted(node) as site:
        site.hot = HOT_WALLET
        pays = Transaction("pays", site.address, ETH, sender=HOT_WALLET)
        await _signed(site, pays.hash, "0xdearer")
        node.mine(pays, blocks=FINAL)
        await site.run()
        assert (await site.row()).status is S.CREDITED
        assert await site.funds() == (D(1), D(0))
        assert await house_transfer.open_of("ethereum") == []
        assert site.reserve(account=HOT) == 0, "its fee is booked with the withdrawal"


async def _signed(site: Site, *hashes: str) -> None:
    """A withdrawal of somebody's, for which these were signed."""
    bob, _ = await site.newcomer("bob@example.org")
    await site.house.give(bob.user_id, "ETH", 10 * ETH)
    await site.house.projected()
    entry = await site.world.custody.addresses.add(bob.viewer, "ethereum", STRANGER, "cold", CLIENT)
    site.world.clock.advance(25 * 3600)
    wish = Wish("ETH", "ethereum", entry.id, D(1))
    row = (await site.world.custody.withdrawals.request(bob.viewer, "w1", wish, CLIENT, proven)).row
    attempts = [AttemptEntry(hash=hash_, raw=b"", spends="0", fee_units=1, terms={}, signed_ms=1) for hash_ in hashes]
    assert await withdrawal.replace(withdrawal.changed(row, {"attempts": tuple(attempts), "hash": hashes[-1]}))


async def test_a_token_that_says_something_else_in_another_block_is_another_deposit(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        bob, his = await site.newcomer("bob@example.org")
        start = list(node.blocks)
        node.mine(Transaction("pays", USDC, logs=(Moved(USDC, OUTSIDER, site.address, 25 * 10**6),)), blocks=REQUIRED)
        await site.run()
        assert await site.funds("USDC") == (D(25), D(0))
        node.blocks = start
        node.mine(
            Transaction("pays", USDC, logs=(Moved(USDC, OUTSIDER, his, 30 * 10**6),)),
            blocks=REQUIRED + 1,
            salt="another",
        )
        await site.run()
        assert (await site.row()).status is S.REVERSED
        assert await site.funds("USDC") == (D(0), D(0))
        assert (await site.world.funds.accounts.read(bob.user_id)).balances["USDC"].available == 30


async def test_two_tokens_in_one_transaction_keep_their_ids_wherever_it_stands(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        start = list(node.blocks)
        moved = Moved(USDC, OUTSIDER, site.address, 25 * 10**6)
        pays = Transaction("pays", USDC, logs=(moved, moved))
        node.mine(pays, blocks=2)
        await site.run()
        ids = {row.id for row in await site.rows()}
        assert len(ids) == 2
        node.blocks = start
        elsewhere = Transaction("before", USDC, logs=(Moved(USDC, OUTSIDER, STRANGER, 1),))
        node.mine(elsewhere, pays, blocks=REQUIRED)
        await site.run()
        assert {row.id for row in await site.rows()} == ids
        assert await site.funds("USDC") == (D(50), D(0))


async def test_no_address_is_given_out_before_the_chain_is_read(database: Database) -> None:
    async with scripted(ScriptedNode()) as site:
        addresses, ann = site.world.custody.deposit_addresses, site.person
        assert [chain.key for _, chain in await addresses.of_user(ann.user_id, None, None)] == ["ethereum"]
        await deposit.ChainCursorDocument.find_one({"_id": "ethereum"}).delete()
        with pytest.raises(WalletRefused) as refused:
            await addresses.create(ann.viewer, "ethereum")
        assert refused.value.reason is WalletErrorCode.NOT_ENABLED
        assert await addresses.of_user(ann.user_id, None, None) == []


async def test_addresses_are_learnt_however_many_and_whatever_their_times(database: Database) -> None:
    """One that was made by a machine whose clock is behind is learnt as well."""
    node = ScriptedNode()
    async with scripted(node) as site:
        watch = site.watch()
        node.mine()
        assert await watch.step()
        for index in range(1, 4):
            row = DepositAddressDocument(
                id=f"somebody-{index}:EVM",
                user_id=f"somebody-{index}",
                family=ChainFamily.EVM,
                index=index,
                address=f"0x{index:040}",
                path="",
                created_ms=0,
            )
            assert await deposit_address.insert(row)
        node.mine(Transaction("pays", f"0x{3:040}", ETH))
        assert await watch.step()
        assert [row.status for row in await deposit.between("somebody-3", 1, 2)] == [S.SEEN]


async def test_on_a_chain_that_needs_many_confirmations_some_are_left_out(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(Transaction("pays", site.address, ETH))
        await site.run()
        row = deposit.changed(await site.row(), {"required": 128})
        assert await deposit.replace(row)
        for head in range(1, 140):
            row = await site.world.custody.deposits.count(row, head)
        told = [confirmations for _, confirmations in await site.told()]
        assert told == [1, *range(5, 126, 4), 128]
