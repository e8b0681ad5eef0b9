"""What nodes may say or leave out without a deposit being made up, missed, or taken away."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from integrations.chains.errors import ChainError, Failure, NodesContradict, ProviderFailed
from models import deposit, house_transfer
from tests.deposits import ETH, FINAL, HOT, REQUIRED, USDC, scripted
from tests.evm_nodes import GAS, OUTSIDER, Moved, ScriptedNode, Transaction, client_of_nodes

D = Decimal
S = DepositStatus
HOT_WALLET = "0x2222222222222222222222222222222222222222"
FAILURES = [
    ProviderFailed(Failure.TIMED_OUT, "did not answer in time"),
    ProviderFailed(Failure.RATE_LIMITED, "asked to be left alone", retry_after_seconds=1.0),
    ProviderFailed(Failure.UNREACHABLE, "cannot be reached"),
]


def twins() -> tuple[ScriptedNode, ScriptedNode]:
    """Two nodes with the same first block."""
    node = ScriptedNode()
    return node, deepcopy(node)


def mine(nodes: Sequence[ScriptedNode], *transactions: Transaction, blocks: int = 1, salt: str = "") -> None:
    for node in nodes:
        node.mine(*transactions, blocks=blocks, salt=salt)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.failure.value)
async def test_with_one_of_two_nodes_alone_nothing_is_credited(database: Database, failure: ProviderFailed) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, 2 * ETH), blocks=REQUIRED)
        nodes[1].failure = failure
        await site.run()
        assert await site.rows() == []
        assert await site.funds() == (D(0), D(0))
        assert str(failure) in (await site.problem() or "")
        nodes[1].failure = None
        await site.run()
        assert (await site.row()).status is S.CREDITED
        assert await site.funds() == (D(2), D(0))
        assert await site.world.custody.deposit_reads.problem("ethereum") is None


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_blocks_that_one_node_makes_up_confirm_nothing(database: Database, liar: int) -> None:
    """The others have one block on the payment; this one says that there are as many as it needs, and more."""
    nodes = [*twins(), ScriptedNode()]
    honest = [each for each in nodes if each is not nodes[liar]]
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, 2 * ETH))
        nodes[liar].mine(blocks=REQUIRED + FINAL, salt="made up")
        await site.run()
        assert ((await site.row()).status, (await site.row()).confirmations) == (S.SEEN, 1)
        assert "too few nodes of ethereum have block 2" in (await site.problem() or "")
        mine(honest)
        await site.run()
        assert (await site.row()).confirmations == 2
        assert await site.funds() == (D(0), D(0))
        mine(honest, blocks=REQUIRED - 2)
        await site.run()
        assert (await site.row()).status is S.CREDITED
        assert await site.funds() == (D(2), D(0))


async def test_a_node_that_is_a_little_ahead_is_waited_for_without_a_word(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, 2 * ETH), blocks=REQUIRED - 1)
        nodes[0].mine()
        await site.run()
        assert (await site.row()).confirmations == REQUIRED - 1
        assert await site.world.custody.deposit_reads.problem("ethereum") is None
        nodes[0].mine(blocks=3)
        await site.run()
        assert f"too few nodes of ethereum have block {REQUIRED}: node-1 of 2" in (await site.problem() or "")
        nodes[1].mine(blocks=4)
        await site.run()
        assert await site.funds() == (D(2), D(0))
        assert await site.world.custody.deposit_reads.problem("ethereum") is None


async def test_nothing_is_credited_while_too_few_nodes_have_the_last_block_that_it_needs(database: Database) -> None:
    """As after a node lost its last blocks, or a second one was added to one that had told of blocks before."""
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, 2 * ETH))
        nodes[0].mine(blocks=REQUIRED - 2)
        await site.run(client_of_nodes(nodes[0]))
        assert (await site.row()).confirmations == REQUIRED - 1
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        nodes[0].mine()
        last = nodes[0].blocks[-1]
        await deposit.advance(deposit.forward(cursor, last.number, last.hash, most=9))
        await site.run()
        assert (await site.row()).status is S.CONFIRMING
        assert f"have block {REQUIRED}" in (await site.problem() or "")
        nodes[1].mine(blocks=REQUIRED - 1)
        await site.run()
        assert await site.funds() == (D(2), D(0))


async def test_reading_begins_where_enough_nodes_are(database: Database) -> None:
    """Whom the other contradicts not, since it is away, nobody follows into a chain of its own."""
    nodes = twins()
    async with scripted(*nodes) as site:
        await deposit.ChainCursorDocument.find_one({"_id": "ethereum"}).delete()
        nodes[0].mine(blocks=50, salt="made up")
        nodes[1].failure = FAILURES[0]
        with pytest.raises(ChainError, match="too few nodes of ethereum have block 50"):
            await site.run()
        assert await deposit.cursor("ethereum") is None


async def test_one_node_alone_takes_nothing_back(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, 2 * ETH), blocks=REQUIRED)
        await site.run()
        assert await site.funds() == (D(2), D(0))
        nodes[1].drop(REQUIRED)
        nodes[1].mine(salt="another", blocks=REQUIRED)
        nodes[0].failure = FAILURES[0]
        with pytest.raises(NodesContradict):
            await site.run()
        assert await site.funds() == (D(2), D(0))
        assert "contradict" in (await site.problem() or "")
        nodes[0].failure = None
        nodes[0].blocks = list(nodes[1].blocks)
        await site.run()
        assert (await site.row()).status is S.REVERSED
        assert await site.funds() == (D(0), D(0))


def _made_up(units: int) -> Any:
    """Says of every transaction that it is worth so much."""

    def twist(method: str, params: Sequence[object], answer: Any) -> Any:
        if method == "eth_getTransactionByHash" and answer is not None:
            return {**answer, "value": hex(units)}
        if method == "eth_getBlockByHash" and answer is not None:
            return {**answer, "transactions": [{**each, "value": hex(units)} for each in answer["transactions"]]}
        return answer

    return twist


async def test_an_amount_that_one_node_makes_up_is_not_credited(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        nodes[0].twist = _made_up(1_000 * ETH)
        mine(nodes, Transaction("pays", site.address, ETH), blocks=REQUIRED + FINAL)
        await site.run()
        assert (await site.row()).amount == 1_000
        assert (await site.row()).status is S.CONFIRMING
        assert await site.funds() == (D(0), D(0))
        assert "tells something else" in (await site.problem() or "")


async def test_an_amount_that_there_cannot_be_is_passed_over_or_stops_the_chain_with_a_reason(
    database: Database,
) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, ETH), blocks=REQUIRED)
        nodes[0].twist = _made_up(2**255)
        with pytest.raises(ChainError, match="there cannot be"):
            await site.run(client_of_nodes(nodes[0]))
        assert await site.rows() == []
        assert Transaction("pays", "").hash in (await site.problem() or "")
        await site.run()
        assert ((await site.row()).amount, (await site.row()).status) == (D(1), S.CONFIRMING)
        nodes[0].twist = None
        await site.run()
        assert await site.funds() == (D(1), D(0))


async def test_a_token_that_moves_more_than_there_can_be_is_passed_over(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        moved = Moved(USDC, OUTSIDER, site.address, 2**255)
        nodes[0].mine(Transaction("pays", USDC, logs=(moved,)), blocks=REQUIRED)
        with pytest.raises(ChainError, match="there cannot be"):
            await site.run(client_of_nodes(nodes[0]))
        honest = deepcopy(nodes[0])
        honest.blocks[1] = replace(honest.blocks[1], transactions=(Transaction("pays", USDC),))
        hash_, parent = nodes[0].blocks[1].hash, honest.blocks[0].hash
        assert (honest.blocks[1].hash, honest.blocks[1].parent) == (hash_, parent)
        await site.run(client_of_nodes(nodes[0], honest))
        assert await site.rows() == []
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert cursor.number == REQUIRED


async def test_logs_that_one_node_hides_are_found(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        nodes[0].twist = lambda method, params, answer: [] if method == "eth_getLogs" else answer
        moved = Moved(USDC, OUTSIDER, site.address, 25 * 10**6)
        mine(nodes, Transaction("pays", USDC, logs=(moved,)), blocks=REQUIRED)
        await site.run()
        assert await site.funds("USDC") == (D(25), D(0))


async def test_a_log_that_one_node_makes_up_stops_the_reading_and_is_said(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        moved = Moved(USDC, OUTSIDER, site.address, 10**12)
        mine(nodes, Transaction("says nothing", USDC), blocks=REQUIRED)
        liar = deepcopy(nodes[1])
        liar.blocks[1] = replace(liar.blocks[1], transactions=(Transaction("says nothing", USDC, logs=(moved,)),))
        nodes[1].twist = lambda method, params, answer: (
            liar._answer(method, params) if method == "eth_getLogs" else answer
        )
        with pytest.raises(NodesContradict):
            await site.run()
        assert await site.rows() == []
        assert "different logs" in (await site.problem() or "")


@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getBlockByHash"])
async def test_what_is_not_indexed_yet_is_asked_for_again(database: Database, method: str) -> None:
    """A missing receipt is no failed transaction."""
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(Transaction("pays", site.address, ETH), blocks=REQUIRED)
        node.twist = lambda asked, params, answer: None if asked == method else answer
        with pytest.raises(ChainError):
            await site.run()
        assert await site.rows() == []
        node.twist = None
        await site.run()
        assert await site.funds() == (D(1), D(0))


async def test_a_node_with_a_shorter_chain_and_one_of_another_chain_change_nothing(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        mine(nodes, Transaction("pays", site.address, ETH), blocks=REQUIRED)
        await site.run()
        assert await site.funds() == (D(1), D(0))
        short, stranger = ScriptedNode(), ScriptedNode(chain_id=1)
        stranger.mine(blocks=REQUIRED + 1, salt="of another chain")
        await site.run(client_of_nodes(short, stranger))
        assert (await site.row()).status is S.CREDITED
        assert await site.funds() == (D(1), D(0))
        assert "behind block" in (await site.problem() or "")
        await site.run(client_of_nodes(short, stranger, *nodes))
        assert await site.world.custody.deposit_reads.problem("ethereum") is None


async def test_most_nodes_are_followed_and_one_that_differs_stops_credits(database: Database) -> None:
    first, second = twins()
    liar = deepcopy(first)
    async with scripted(liar, first, second) as site:
        mine((first, second), Transaction("pays", site.address, ETH), blocks=REQUIRED)
        liar.mine(Transaction("pays", site.address, ETH), blocks=REQUIRED, salt="a fork")
        await site.run()
        row = await site.row()
        assert (row.status, row.block_hash) == (S.CONFIRMING, first.blocks[1].hash)
        assert await site.funds() == (D(0), D(0))
        assert "node-1" in (await site.problem() or "")
        liar.blocks = list(first.blocks)
        await site.run()
        assert await site.funds() == (D(1), D(0))


async def test_nodes_that_differ_stop_the_reading_until_they_agree(database: Database) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        nodes[0].mine(Transaction("pays", site.address, ETH), blocks=REQUIRED)
        nodes[1].mine(Transaction("pays", site.address, ETH), blocks=REQUIRED, salt="a fork")
        with pytest.raises(NodesContradict):
            await site.run()
        assert await site.rows() == []
        assert "different blocks 1" in (await site.problem() or "")
        nodes[1].blocks = list(nodes[0].blocks)
        await site.run()
        assert await site.funds() == (D(1), D(0))


async def test_the_first_block_is_one_that_all_nodes_have(database: Database) -> None:
    """A node that claims to be far ahead does not put the beginning where nobody gets to."""
    nodes = twins()
    async with scripted(*nodes) as site:
        await deposit.ChainCursorDocument.find_one({"_id": "ethereum"}).delete()
        nodes[0].mine(blocks=50)
        nodes[1].mine(blocks=2)
        watch = site.watch()
        await watch.step()
        cursor = await deposit.cursor("ethereum")
        assert cursor is not None
        assert cursor.number == 2


@pytest.mark.parametrize(
    ("method", "lie"),
    [
        ("eth_getTransactionReceipt", {"effectiveGasPrice": hex(2**240)}),
        ("eth_getTransactionReceipt", {"effectiveGasPrice": "0x0"}),
        ("eth_getTransactionReceipt", {"l1Fee": "0x1"}),
        ("eth_getTransactionByHash", {"value": hex(5 * ETH)}),
        ("eth_getTransactionByHash", {"maxFeePerGas": hex(2**240)}),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
async def test_what_a_transaction_of_the_house_did_and_cost_is_no_single_nodes_word(
    database: Database, method: str, lie: dict[str, str], place: int
) -> None:
    nodes = twins()
    async with scripted(*nodes) as site:
        site.hot = HOT_WALLET
        nodes[place].twist = lambda asked, _, answer: {**answer, **lie} if asked == method and answer else answer
        mine(nodes, Transaction("sweeps", HOT_WALLET, ETH, sender=site.address), blocks=FINAL)
        with pytest.raises(NodesContradict):
            await site.run()
        assert await house_transfer.open_of("ethereum") == []
        assert "different things" in (await site.problem() or "")
        nodes[place].twist = None
        nodes[1].failure = FAILURES[0]
        await site.run()
        assert await house_transfer.open_of("ethereum") == []
        nodes[1].failure = None
        await site.run()
        assert (site.reserve(account=HOT), site.reserve()) == (ETH, -ETH - GAS)


@pytest.mark.parametrize("lie", [{"effectiveGasPrice": "0x2"}, {"l1Fee": hex(10**17 + 1)}])
async def test_more_than_a_transaction_of_the_house_offers_is_not_booked(
    database: Database, lie: dict[str, str]
) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        site.hot = HOT_WALLET
        node.mine(Transaction("sweeps", HOT_WALLET, ETH, sender=site.address), blocks=FINAL)
        node.twist = lambda method, _, answer: (
            {**answer, **lie} if method == "eth_getTransactionReceipt" and answer else answer
        )
        with pytest.raises(NodesContradict, match="cannot have cost"):
            await site.run()
        assert await house_transfer.open_of("ethereum") == []
