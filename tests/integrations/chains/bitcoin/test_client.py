"""A UTXO chain through both kinds of nodes: the same questions, the same answers."""

import asyncio

import pytest

from core.clock import SystemClock
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.core_node import CoreNode
from integrations.chains.bitcoin.transactions import Outpoint
from integrations.chains.errors import ChainUnavailable
from tests.chains import LITECOIN
from tests.esplora import Esplora
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key

NO_TXID = "11" * 32


async def test_head_and_blocks(client: BitcoinClient, house: House) -> None:
    (made,) = await house.mine()
    tip = await client.tip()
    assert tip.hash == made
    assert await client.block_hash(tip.height) == made
    assert await client.block_hash(tip.height + 1) is None
    assert await client.block_hash(0) == LITECOIN.genesis
    head = client.head()
    assert head is not None
    assert (head.number, head.time_ms) == (tip.height, tip.time_ms)
    (state,) = client.states()
    assert state.healthy
    assert list((await client.block_hashes(tip.height)).values()) == [made]


async def test_a_block_with_a_payment(client: BitcoinClient, house: House) -> None:
    key = Key()
    txid = await house.pay(key.address.text, 150_000_001)
    tip = await client.tip()
    block = await client.block(tip.hash)
    assert block is not None
    assert (block.height, block.hash, block.parent, block.time_ms) == (tip.height, tip.hash, tip.parent, tip.time_ms)
    assert block.transactions[0].coinbase
    (paying,) = [each for each in block.transactions if each.txid == txid]
    assert [each.sats for each in paying.outputs if each.script == key.script] == [150_000_001]
    assert paying.inputs
    assert await client.block(NO_TXID) is None
    assert await client.summary(NO_TXID) is None


async def test_a_transaction_waits_is_confirmed_and_deeper(client: BitcoinClient, house: House) -> None:
    key = Key()
    txid = await house.pay(key.address.text, 100_000, mine=0)
    waiting = await client.transaction(txid)
    assert waiting is not None
    assert (waiting.place, waiting.confirmations, waiting.tx.txid) == (None, 0, txid)
    (block,) = await house.mine()
    await house.mine()
    confirmed = await client.transaction(txid)
    assert confirmed is not None
    assert confirmed.place is not None
    assert (confirmed.place.hash, confirmed.confirmations) == (block, 2)
    assert await client.transaction(NO_TXID) is None
    assert list((await client.transactions_of_all(NO_TXID)).values()) == [None]


async def test_what_an_address_owns(client: BitcoinClient, house: House) -> None:
    key = Key()
    assert (await client.unspent(key.address)).outputs == ()
    first = await house.pay(key.address.text, 100_000)
    second = await house.pay(key.address.text, 250_000, mine=2)
    owned = await client.unspent(key.address)
    assert {(each.outpoint.txid, each.sats, each.confirmations(owned.height)) for each in owned.outputs} == {
        (first, 100_000, 3),
        (second, 250_000, 2),
    }
    assert {each.script for each in owned.outputs} == {key.script}
    assert [each.sats for each in owned.spendable(confirmations=3)] == [100_000]
    waiting = await house.pay(key.address.text, 300_000, mine=0)
    owned = await client.unspent(key.address)
    waits = [each.outpoint.txid for each in owned.outputs if each.height is None]
    assert waits == ([waiting] if owned.complete else [])
    assert len(owned.spendable()) == 2
    await house.mine()


async def test_what_was_mined_is_immature_for_a_hundred_blocks(client: BitcoinClient, house: House) -> None:
    key = Key()
    await house.mine(to=key.address.text)
    owned = await client.unspent(key.address)
    (mined,) = owned.outputs
    assert mined.coinbase
    assert owned.spendable() == ()
    assert not mined.mature(owned.height + 98)
    assert mined.mature(owned.height + 99)
    output = await client.output(mined.outpoint)
    assert output == mined


async def test_an_output_unspent_spent_and_unknown(client: BitcoinClient, house: House) -> None:
    key = Key()
    txid = await house.pay(key.address.text, 100_000)
    owned = (await client.unspent(key.address)).outputs[0]
    assert await client.output(owned.outpoint) == owned
    assert await client.spender(owned.outpoint) is None
    assert await client.output(Outpoint(txid, 99)) is None
    assert await client.output(Outpoint(NO_TXID, 0)) is None
    assert list((await client.outputs_of_all(owned.outpoint)).values()) == [owned]
    assert list((await client.outputs_of_all(Outpoint(NO_TXID, 0))).values()) == [None]


async def test_fees(client: BitcoinClient) -> None:
    rates = await client.fee_rates()
    assert rates.floor >= 1000
    if [state.name for state in client.states()] == ["esplora-1"]:
        assert (rates.slow, rates.standard, rates.fast) == (2_250, 2_250, 10_500)
    if rates.slow is not None and rates.fast is not None:  # a node without history has no estimates
        assert rates.floor <= rates.slow <= rates.fast


async def test_history_needs_an_esplora(client: BitcoinClient, house: House) -> None:
    key = Key()
    txid = await house.pay(key.address.text, 100_000)
    waiting = await house.pay(key.address.text, 50_000, mine=0)
    history = await client.history(key.address)
    if history is None:
        assert [state.name for state in client.states()] == ["node-1"]
    else:
        assert [(each.txid, each.received, each.spent) for each in history] == [
            (waiting, 50_000, 0),
            (txid, 100_000, 0),
        ]
        assert history[0].place is None
        assert history[1].time_ms is not None
        assert history[1].senders
        assert history[1].fee > 0
        assert list(await client.history(key.address, after=txid) or []) == []
    await house.mine()


async def test_what_waits(client: BitcoinClient, house: House) -> None:
    """What is new is told whole; what is known, by its name; what is gone or confirmed, no more."""
    first, second = Key(), Key()
    await house.mine()
    one = await house.pay(first.address.text, 100_000, mine=0)
    waiting = await client.waiting(())
    if waiting is None:
        assert [state.name for state in client.states()] == ["esplora-1"]
        return
    assert waiting.txids == {one}
    assert [each.txid for each in waiting.transactions] == [one]
    assert [each.sats for each in waiting.transactions[0].outputs if each.script == first.script] == [100_000]
    two = await house.pay(second.address.text, 100_000, mine=0)
    more = await client.waiting({one})
    assert more is not None
    assert (more.txids, [each.txid for each in more.transactions]) == (frozenset({one, two}), [two])
    some = await client.waiting((), most=1)
    assert some is not None
    assert (len(some.txids), len(some.transactions)) == (2, 1)
    await house.mine()
    none = await client.waiting({one, two})
    assert none is not None
    assert (none.txids, none.transactions) == (frozenset(), ())


async def test_the_other_node_stands_in(litecoin_url: str, api: tuple[str, Esplora], house: House) -> None:
    """A Core node answers first; what only an Esplora knows is asked of that alone, and neither counts as a failure of the other."""
    nodes = nodes_of([litecoin_url], [api[0]])
    client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=SystemClock())
    key = Key()
    txid = await house.pay(key.address.text, 100_000)
    assert (await client.unspent(key.address)).complete
    assert await client.history(key.address)
    assert (await client.fee_rates()).estimated
    for _ in range(5):
        assert await client.spender(Outpoint(txid, 0)) is None
    assert [state.error for state in client.states()] == [None, None]
    assert [state.name for state in client.states()] == ["node-1", "esplora-1"]
    api[1].change = lambda path, reply: (500, b"") if "/utxo" in path else reply
    assert not (await client.unspent(key.address)).complete
    await client.close()


async def test_scans_wait_for_each_other(litecoin_url: str, house: House) -> None:
    keys = [Key() for _ in range(4)]
    for key in keys:
        await house.pay(key.address.text, 100_000, mine=0)
    await house.mine()
    one, other = CoreNode(litecoin_url, between_seconds=0.01), CoreNode(litecoin_url, between_seconds=0.01)
    found = await asyncio.gather(*(node.unspent(key.address) for node in (one, other) for key in keys))
    assert [len(each.outputs) for each in found] == [1] * 8
    await one.close()
    await other.close()


async def test_a_hash_is_no_path(client: BitcoinClient) -> None:
    for wrong in ("", "../x", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"):
        with pytest.raises(ValueError, match="64 digits"):
            await client.transaction(wrong)


async def test_a_node_of_another_chain_is_not_used(litecoin_url: str, api: tuple[str, Esplora]) -> None:
    nodes = nodes_of([litecoin_url], [api[0]])
    client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=NO_TXID, clock=SystemClock())
    with pytest.raises(ChainUnavailable, match="its first block is another chain's"):
        await client.tip()
    await client.close()
