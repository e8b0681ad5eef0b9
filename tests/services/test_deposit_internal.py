"""Coins that contracts pay to deposit addresses: found, credited once, taken back with their block, and never lost unsaid."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.internal import InternalPayment, coin_balances, internal_payments
from integrations.chains.json_rpc import JsonRpc
from models import deposit
from services.unclear_blocks import MOST_RANGES, count_of, some_blocks, with_block, without_block
from tests.chains import anvil
from tests.deposits import ETH, FINAL, REQUIRED, USDC, opened, scripted
from tests.evm import FRIEND, OWNER, calldata, client_of, deploy, mine, rpc, send
from tests.evm_nodes import ScriptedNode, Transaction, TwistedNode

D = Decimal
S = DepositStatus
COLD = "0x2222222222222222222222222222222222222222"


@pytest.mark.parametrize(
    ("function", "paid"), [("pay", 10), ("payTwice", 10), ("payAndFail", 0), ("tryToPay", 0), ("end", 10)]
)
async def test_what_a_contract_pays_is_told_alike_by_both_kinds_of_traces(function: str, paid: int) -> None:
    async with anvil() as url:
        client = client_of(url)
        payer = await deploy(client, "Payer")
        receipt = await send(client, payer, calldata(f"{function}(address)", FRIEND), value=10)
        node, only_debug = JsonRpc(url), TwistedNode(JsonRpc(url), twist=_without("trace_block"))
        wanted = [] if not paid else [InternalPayment(receipt.hash, payer, FRIEND, paid)]
        for each in (node, only_debug):
            asked: Any = each
            told = await internal_payments(asked, receipt.block, receipt.block_hash, frozenset((FRIEND, OWNER)))
            assert told == wanted
        await node.close()
        await only_debug.close()
        await client.close()


def _without(*missing: str) -> Any:
    def twist(method: str, _params: Sequence[object], answer: Any) -> Any:
        if method in missing:
            raise NodeRefused(-32601, "the method does not exist")
        return answer

    return twist


async def test_balances_are_told_at_a_block_many_at_once_or_one_by_one() -> None:
    others = [f"0x{number:040x}" for number in range(1_000, 2_500)]
    async with anvil() as url:
        client, node = client_of(url), JsonRpc(url)
        await send(client, others[-1], value=5)
        await send(client, others[-1], value=7)
        block, before = await client.block(), await client.block(1)
        assert block is not None
        assert before is not None
        plain: Any = TwistedNode(node, twist=_without("eth_call"))
        asked: Any = node
        for each in (asked, plain):
            for addresses in ([OWNER, *others], [OWNER, others[-1]]):
                old, new = [await coin_balances(each, addresses, at=at.hash) for at in (before, block)]
                assert list(new) == addresses
                assert (old[others[-1]], new[others[-1]]) == (5, 12)
                assert new[OWNER] == await client.balance(OWNER)
                assert sum(new.values()) == new[OWNER] + 12
                with pytest.raises(NodeRefused):
                    await coin_balances(each, addresses, at="0x" + "ab" * 32)
        await node.close()
        await client.close()


async def test_a_contract_pays_somebodys_deposit_address_and_it_is_credited_once(database: Database) -> None:
    async with opened() as site:
        payer = await deploy(site.chain, "Payer")
        await send(site.chain, payer, calldata("payTwice(address)", site.address), value=2 * ETH)
        await send(site.chain, site.address, value=1 * ETH)
        await site.run()
        rows = await site.rows()
        assert [(row.amount, row.status, row.place.startswith("trace-")) for row in rows] == [
            (D(2), S.CONFIRMING, True),
            (D(1), S.SEEN, False),
        ]
        await mine(site.chain, FINAL)
        await site.run()
        await site.run()
        assert await site.funds() == (D(3), D(0))
        assert [(row.status, row.open) for row in await site.rows()] == [(S.CREDITED, False)] * 2
        assert await site.world.custody.deposit_reads.problem("ethereum") is None


async def test_what_was_paid_in_a_block_that_is_given_up_is_taken_back(database: Database) -> None:
    async with opened() as site:
        payer = await deploy(site.chain, "Payer")
        await send(site.chain, payer, calldata("pay(address)", site.address), value=2 * ETH)
        await mine(site.chain, REQUIRED)
        await site.run()
        assert await site.funds() == (D(2), D(0))
        await rpc(site.chain, "anvil_reorg", REQUIRED + 1, [])
        await mine(site.chain)
        await site.run()
        assert (await site.row()).status is S.REVERSED
        assert await site.funds() == (D(0), D(0))


def paying(site_address: str, units: int = 2 * ETH, name: str = "pays", value: int = 0) -> Transaction:
    return Transaction(name, USDC, value, inner=((site_address, units),))


async def test_no_node_alone_hides_a_payment_or_makes_one_up(database: Database) -> None:
    honest = ScriptedNode(traces=True)
    other = deepcopy(honest)
    async with scripted(honest, other) as site:
        for node in (honest, other):
            node.mine(paying(site.address), blocks=REQUIRED)
        other.twist = _hides
        await site.run()
        row = await site.row()
        assert (row.amount, row.status) == (D(2), S.CONFIRMING), "what one node hides is seen, and not credited"
        other.twist = None
        await site.run()
        assert await site.funds() == (D(2), D(0))
        liar = Transaction("lies", USDC)
        honest.mine(liar, blocks=REQUIRED + 1)
        other.mine(replace(liar, inner=((site.address, 5 * ETH),)), blocks=REQUIRED + 1)
        await site.run()
        invented = (await site.rows())[-1]
        assert (invented.amount, invented.status) == (D(5), S.CONFIRMING)
        assert await site.funds() == (D(2), D(0))


def _hides(method: str, params: Sequence[Any], answer: Any) -> Any:
    if method == "trace_block":
        return []
    return hex(10**30) if method == "eth_getBalance" else answer


async def test_a_node_without_traces_bears_witness_by_its_balance(database: Database) -> None:
    tracing = ScriptedNode(traces=True)
    plain = deepcopy(tracing)
    plain.traces = False
    async with scripted(tracing, plain) as site:
        for node in (tracing, plain):
            node.mine(paying(site.address), Transaction("coins", site.address, 1 * ETH), blocks=REQUIRED)
        await site.run()
        assert await site.funds() == (D(3), D(0))
        plain.mine(Transaction("more", USDC), blocks=REQUIRED + 1)
        tracing.mine(
            replace(plain.blocks[-REQUIRED - 1].transactions[0], inner=((site.address, ETH),)), blocks=REQUIRED + 1
        )
        await site.run()
        row = (await site.rows())[-1]
        assert row.status is not S.CREDITED
        assert await site.funds() == (D(3), D(0))


async def test_a_payment_is_credited_whose_address_was_swept_in_the_same_block(database: Database) -> None:
    """The node without traces sees the balance less what the sweep took, and its fee."""
    tracing = ScriptedNode(traces=True)
    plain = deepcopy(tracing)
    plain.traces = False
    async with scripted(tracing, plain) as site:
        site.cold = frozenset((COLD,))
        sweep = Transaction("sweeps", COLD, 4 * ETH, sender=site.address)
        failed = Transaction("fails", COLD, ETH, sender=site.address, success=False)
        block = (paying(site.address), Transaction("coins", site.address, ETH), sweep, failed)
        for node in (tracing, plain):
            node.mine(*block, blocks=REQUIRED)
        await site.run()
        assert {row.status for row in await site.rows()} == {S.CREDITED}
        assert await site.funds() == (D(3), D(0))
        more = Transaction("made up", USDC)
        sweep = replace(sweep, name="sweeps again", value=ETH)
        plain.mine(more, sweep, blocks=REQUIRED + 1)
        tracing.mine(replace(more, inner=((site.address, ETH),)), sweep, blocks=REQUIRED + 1)
        await site.run()
        assert [row.status for row in await site.rows() if row.hash == more.hash] == [S.CONFIRMING]
        assert await site.funds() == (D(3), D(0))


async def test_without_traces_it_is_reported_and_made_good_when_there_are_some(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(paying(site.address), Transaction("coins", site.address, 1 * ETH), blocks=REQUIRED + FINAL)
        await site.run()
        assert await site.funds() == (D(1), D(0)), "the rest goes on"
        assert "no node tells" in (await site.problem() or "")
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert cursor.unclear == [(1, 1)]
        node.traces = True
        await site.run()
        assert await site.funds() == (D(3), D(0))
        assert await site.world.custody.deposit_reads.problem("ethereum") is None
        assert len(await site.rows()) == 2


async def test_what_traces_do_not_explain_stays_unclear_unless_staking_has_paid_it(database: Database) -> None:
    node = ScriptedNode(traces=True)
    async with scripted(node) as site:
        node.mine(paying(site.address), blocks=REQUIRED)
        node.twist = lambda method, _, answer: [] if method == "trace_block" else answer
        await site.run()
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert (cursor.unclear, await site.rows()) == ([(1, 1)], [])

        def staked(method: str, params: Sequence[Any], answer: Any) -> Any:
            if method == "eth_getBlockByHash" and answer["number"] == "0x1":
                paid = {"index": "0x0", "validatorIndex": "0x0", "address": site.address, "amount": hex(2 * 10**9)}
                return answer | {"withdrawals": [paid]}
            return [] if method == "trace_block" else answer

        node.twist = staked
        await site.run()
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert (cursor.unclear, await site.rows(), await site.funds()) == ([], [], (D(0), D(0)))


async def test_an_unclear_block_that_is_given_up_is_unclear_no_more(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(paying(site.address))
        await site.run()
        node.drop(1)
        node.mine(salt="another", blocks=2)
        await site.run()
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert (cursor.unclear, cursor.problem) == ([], None)


def test_ranges_of_blocks_stay_few_and_lose_none() -> None:
    ranges: list[tuple[int, int]] = []
    for number in (3, 4, 5, 9):
        ranges = with_block(ranges, number)
    assert ranges == [(3, 5), (9, 9)]
    assert (some_blocks(ranges, -1, 3), some_blocks(ranges, 4, 9), some_blocks(ranges, 9, 2)) == (
        [3, 4, 5],
        [5, 9],
        [3, 4],
    )
    assert without_block(ranges, 4) == [(3, 3), (5, 5), (9, 9)]
    assert count_of(without_block(ranges, 9)) == 3
    assert some_blocks([], 5, 3) == []
    for number in range(11, 4 * MOST_RANGES, 2):
        ranges = with_block(ranges, number)
    assert len(ranges) == MOST_RANGES
    assert all(any(low <= number <= high for low, high in ranges) for number in range(11, 4 * MOST_RANGES, 2))
