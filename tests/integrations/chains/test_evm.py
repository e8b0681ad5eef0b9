"""The Ethereum client against a real node, and against nodes that stall, lie or are of another chain."""

from collections.abc import AsyncIterator

import orjson
import pytest
from eth_abi.abi import decode
from eth_account import Account
from eth_utils.crypto import keccak

from core.clock import ManualClock
from integrations.chains.errors import ChainUnavailable, Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.shapes import as_quantity
from tests.chains import ANVIL_KEYS, anvil
from tests.evm import CHAIN_ID, FRIEND, OWNER, STRANGER, calldata, client_of, local_chain, rpc, send, submit, token
from tests.integrations.chains.test_json_rpc import Answer, node, told

TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
ETHER = 10**18


@pytest.fixture
async def chain() -> AsyncIterator[EvmClient]:
    async with local_chain() as client:
        yield client


async def test_a_node_tells_its_chain_and_head(chain: EvmClient) -> None:
    await chain.pool.probe()
    state = chain.states()[0]
    block = await chain.block()
    assert block is not None
    assert (state.name, state.healthy, state.error) == ("node-1", True, None)
    assert state.head is not None
    assert state.head <= block.number
    assert await chain.block(block.hash) == block
    assert await chain.block(block.number) == block
    assert await chain.block(block.number + 1_000_000) is None


async def test_what_is_sent_is_seen_with_its_block_fee_and_logs(chain: EvmClient) -> None:
    contract = await token(chain)
    receipt = await send(chain, contract, calldata("transfer(address,uint256)", FRIEND, 5_000_000))
    assert (receipt.success, receipt.sender, receipt.to) == (True, OWNER, contract)
    info = await chain.transaction(receipt.hash)
    assert info is not None
    assert (info.block, info.block_hash, info.to) == (receipt.block, receipt.block_hash, contract)
    found = await chain.full_block(receipt.block_hash)
    assert found is not None
    assert [each.hash for each in found[1]] == list(found[0].transactions) == [receipt.hash]
    logs = await chain.logs([TRANSFER], addresses=[contract], low=receipt.block, high=receipt.block)
    assert logs == receipt.logs == await chain.logs([TRANSFER], block_hash=receipt.block_hash)
    assert int.from_bytes(logs[0].data) == 5_000_000
    assert receipt.fee > 0


async def test_readings_pinned_to_a_block_do_not_change(chain: EvmClient) -> None:
    before = await chain.block()
    assert before is not None
    known = await chain.balance(STRANGER, at=before.hash)
    await send(chain, STRANGER, value=ETHER)
    assert await chain.balance(STRANGER, at=before.hash) == known
    assert await chain.balance(STRANGER) == known + ETHER
    assert await chain.code(STRANGER) == b""
    assert await chain.call(STRANGER, calldata("name()")) == b""


async def test_a_contract_that_says_no_says_why(chain: EvmClient) -> None:
    contract = await token(chain)
    spend = calldata("transfer(address,uint256)", OWNER, 1)
    with pytest.raises(NodeRefused) as refused:
        await chain.call(contract, spend, sender=STRANGER)
    assert meaning(refused.value).kind is Refusal.REVERTED
    assert meaning(refused.value).said == "balance too small"
    with pytest.raises(NodeRefused) as refused:
        await chain.estimate_gas(STRANGER, contract, spend, 0)
    assert meaning(refused.value).said == "balance too small"
    assert (
        20_000 < await chain.estimate_gas(OWNER, contract, calldata("transfer(address,uint256)", FRIEND, 1), 0) < 90_000
    )


async def test_a_batch_is_answered_by_one_node_in_order(chain: EvmClient) -> None:
    calls = [Call("eth_getBalance", [address, "latest"]) for address in (OWNER, FRIEND)]
    calls.append(Call("eth_getBalance", ["no address", "latest"]))
    found = await chain.batch(calls, lambda value: as_quantity(value, "balance"))
    assert found[:2] == [await chain.balance(OWNER), await chain.balance(FRIEND)]
    assert isinstance(found[2], NodeRefused)


async def test_fees_of_past_blocks_and_code_that_is_only_run(chain: EvmClient) -> None:
    history = await chain.fee_history(3, [10, 50, 90])
    assert len(history.base_fees) == len(history.rewards) + 1
    assert await chain.gas_price() > 0
    code = bytes.fromhex("602a60005260206000f3")
    assert decode(["uint256"], await chain.create_call(code)) == (42,)


async def test_what_a_real_node_refuses_is_understood() -> None:
    async with local_chain("--no-mining") as client:
        first = await submit(client, FRIEND, value=1)
        assert await client.receipt(first) is None
        assert (await client.nonce(OWNER), await client.nonce(OWNER, at="pending")) == (0, 1)
        signed = _signed(nonce=1, price=20 * 10**9)
        assert await client.send_raw(signed) == "0x" + keccak(signed).hex()
        assert await _refusal(client, signed) is Refusal.ALREADY_KNOWN
        assert await _refusal(client, _signed(nonce=1, price=20 * 10**9 - 1)) is Refusal.UNDERPRICED
        assert await _refusal(client, _signed(nonce=2, price=1)) is Refusal.UNDERPRICED
        assert await _refusal(client, _signed(nonce=2, value=10**6 * ETHER)) is Refusal.INSUFFICIENT_GAS
        await rpc(client, "anvil_mine", hex(1))
        assert await _refusal(client, _signed(nonce=0)) is Refusal.NONCE_TOO_LOW


def _signed(*, nonce: int, price: int = 20 * 10**9, value: int = 1) -> bytes:
    transaction = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": FRIEND,
        "value": value,
        "gas": 21_000,
        "maxFeePerGas": price,
        "maxPriorityFeePerGas": min(price, 10**9),
    }
    return bytes(Account.sign_transaction(transaction, ANVIL_KEYS[0]).raw_transaction)


async def _refusal(client: EvmClient, raw: bytes) -> Refusal:
    with pytest.raises(NodeRefused) as refused:
        await client.send_raw(raw)
    return meaning(refused.value).kind


async def test_a_node_of_another_chain_is_never_used_and_said_to_be() -> None:
    async with anvil(chain_id=5) as other, anvil() as right:
        rpc_of_other = JsonRpc(other)
        with pytest.raises(ProviderFailed) as failed:
            await probe(rpc_of_other, CHAIN_ID)
        await rpc_of_other.close()
        assert failed.value.failure is Failure.WRONG_CHAIN
        client = client_of(other, right)
        assert await client.balance(OWNER) == 10_000 * ETHER
        await client.close()
        assert [state.error for state in client.states()] == ["is of chain 5, not of 31337", None]


BLOCK = {
    "number": "0x10",
    "hash": "0x" + "ab" * 32,
    "parentHash": "0x" + "cd" * 32,
    "timestamp": "0x65000000",
    "transactions": [],
}


def fake(**results: object) -> Answer:
    """A node of this chain that answers these methods, and anything else wrongly."""
    known = {"eth_chainId": hex(CHAIN_ID), "eth_getBlockByNumber": BLOCK, **results}

    def answer(asked: object) -> tuple[int, bytes]:
        assert isinstance(asked, dict)
        return 200, orjson.dumps(
            {"jsonrpc": "2.0", "id": asked["id"], "result": known.get(asked["method"], "nonsense")}
        )

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fake(), "balance: expected a quantity"),
        (fake(eth_getBalance="0x" + "f" * 65), "balance: expected a quantity"),
        (fake(eth_getBalance=-1), "balance: expected a quantity"),
        (fake(eth_getBlockByNumber=None), "latest block: expected a block"),
        (fake(eth_chainId="31337"), "chainId: expected a quantity"),
        (told({"error": {"code": -32005, "message": "limit exceeded"}}), "asked to be left alone"),
        (lambda _: (200, b"<html>"), "its answer is not JSON"),
        (lambda _: (503, b""), "its answer is not JSON"),
    ],
)
async def test_a_node_that_answers_wrongly_is_named_and_the_next_one_asked(answer: Answer, reason: str) -> None:
    async with node(answer) as wrong, node(fake(eth_getBalance="0x2a")) as right:
        client = client_of(wrong, right, clock=ManualClock())
        assert await client.balance(OWNER) == 42
        first, second = client.states()
        assert (first.healthy, first.error) == (False, reason)
        assert second.healthy
        await client.close()


async def test_a_node_that_stalls_is_passed_over() -> None:
    async with node(fake(), stall=True) as stalling, node(fake(eth_getBalance="0x2a")) as right:
        client = client_of(stalling, right, limits=NodeLimits(total_seconds=0.1))
        assert await client.balance(OWNER) == 42
        assert client.states()[0].error == "no answer within 0.1 s"
        await client.close()


async def test_a_node_on_a_shorter_chain_is_asked_last() -> None:
    ahead = BLOCK | {"number": "0x30"}
    async with (
        node(fake(eth_getBalance="0x1")) as short,
        node(fake(eth_getBalance="0x2", eth_getBlockByNumber=ahead)) as long,
    ):
        client = client_of(short, long)
        assert await client.balance(OWNER) == 2
        assert client.states()[0].error == "32 blocks behind"
        await client.close()


async def test_without_an_answer_the_chain_is_unavailable_and_no_url_is_told() -> None:
    client = client_of("http://127.0.0.1:1/v3/geheim")
    with pytest.raises(ChainUnavailable) as unavailable:
        await client.balance(OWNER)
    assert list(unavailable.value.reasons) == ["node-1"]
    assert "geheim" not in str(unavailable.value)
    await client.close()


async def test_what_every_node_has_is_asked_of_every_node() -> None:
    async with node(fake()) as first, node(fake(eth_getBlockByNumber=BLOCK | {"hash": "0x" + "ee" * 32})) as second:
        client = client_of(first, second)
        found = await client.blocks_of_all(16)
        await client.close()
    hashes = {name: getattr(block, "hash", None) for name, block in found.items()}
    assert hashes == {"node-1": "0x" + "ab" * 32, "node-2": "0x" + "ee" * 32}
