"""From coins to a confirmed transaction on a real node, and what may come between: replacement, reorganisation, a second spend."""

from random import Random

import pytest

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import ScriptType
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.coins import Coin, FeeTerms, select, sweep
from integrations.chains.bitcoin.errors import Refusal, TransactionProblem, TransactionRefused
from integrations.chains.bitcoin.psbt import Prepared, build
from integrations.chains.bitcoin.replacement import bump, cancel
from integrations.chains.bitcoin.signed import Signed, differences, read_signed
from integrations.chains.bitcoin.transactions import NotReadable, TxInput, TxOutput, serialize
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key, coin_of

TERMS = FeeTerms(5_000)


async def funded(client: BitcoinClient, house: House, key: Key, *amounts: int) -> tuple[Coin, ...]:
    for amount in amounts:
        await house.pay(key.address.text, amount, mine=0)
    await house.mine()
    return tuple(coin_of(each) for each in (await client.unspent(key.address)).spendable())


async def previous_of(client: BitcoinClient, coins: tuple[Coin, ...]) -> dict[str, bytes]:
    found = {}
    for coin in coins:
        told = await client.transaction(coin.outpoint.txid)
        assert told is not None
        tx = told.tx
        found[coin.outpoint.txid] = serialize(tx.inputs, tx.outputs, version=tx.version, locktime=tx.locktime)
    return found


async def prepared_for(
    client: BitcoinClient, house: House, key: Key, to: Key, sats: int, *amounts: int, rate: int = 5_000
) -> Prepared:
    coins = await funded(client, house, key, *amounts)
    terms = FeeTerms(rate)
    chosen = select(coins, [TxOutput(to.script, sats)], key.script, terms, Random(1))
    tip = await client.tip()
    return build(chosen.coins, chosen.outputs, previous=await previous_of(client, chosen.coins), locktime=tip.height)


async def refused(client: BitcoinClient, signed: Signed) -> TransactionProblem:
    with pytest.raises(TransactionRefused) as found:
        await client.broadcast(signed.raw)
    return found.value.problem


@pytest.mark.parametrize("type_", [ScriptType.P2WPKH, ScriptType.P2PKH])
async def test_prepare_sign_broadcast_confirm(client: BitcoinClient, house: House, type_: ScriptType) -> None:
    key, to = Key(type_), Key(ScriptType.P2SH)
    prepared = await prepared_for(client, house, key, to, 180_000, 150_000, 90_000)
    signed = read_signed(key.sign(prepared.psbt))
    assert differences(prepared, signed, NETWORK) == []
    assert signed.tx.vsize <= prepared.vsize <= signed.tx.vsize + 2 * len(prepared.spent)
    assert await client.broadcast(signed.raw) == signed.tx.txid
    owned = await client.unspent(key.address)
    assert not {each.outpoint for each in owned.outputs} & {each.outpoint for each in prepared.tx.inputs}
    (block,) = await house.mine()
    told = await client.transaction(signed.tx.txid)
    assert told is not None
    assert told.place is not None
    assert told.place.hash == block
    received = (await client.unspent(to.address)).outputs
    assert [(each.outpoint.txid, each.sats) for each in received] == [(signed.tx.txid, 180_000)]
    spender = await client.spender(prepared.tx.inputs[0].outpoint)
    assert spender in (signed.tx.txid, None)
    assert (await refused(client, signed)).kind in (Refusal.ALREADY_KNOWN, Refusal.INPUTS_MISSING)


async def test_the_same_bytes_may_be_sent_again(client: BitcoinClient, house: House) -> None:
    key = Key()
    prepared = await prepared_for(client, house, key, Key(), 100_000, 150_000)
    signed = read_signed(key.sign(prepared.psbt))
    assert await client.broadcast(signed.raw) == await client.broadcast(signed.raw) == signed.tx.txid
    await house.mine()
    problem = await refused(client, signed)
    assert (problem.kind, problem.code) == (Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN)


async def test_a_nodes_own_wallet_signs_what_is_built(client: BitcoinClient, house: House) -> None:
    """Core as the wallet: it finds its keys in the PSBT and finalizes it."""
    address, to = await house.address(), Key()
    await house.pay(address, 500_000)
    told = await house.call("getaddressinfo", address)
    script = bytes.fromhex(told["scriptPubKey"])
    listed = await house.call("listunspent", 1, 9999, [address])
    utxo = next(each for each in listed if each["address"] == address)
    block = await client.transaction(utxo["txid"])
    assert block is not None
    tx = block.tx
    coin = coin_of_output(tx.txid, utxo["vout"], tx.outputs[utxo["vout"]])
    chosen = sweep([coin], to.script, TERMS)
    prepared = build(chosen.coins, chosen.outputs)
    answer = await house.call("walletprocesspsbt", prepared.psbt)
    assert answer["complete"]
    signed = read_signed(answer["psbt"])
    assert differences(prepared, signed, NETWORK) == []
    extracted = await house.call("finalizepsbt", answer["psbt"])
    assert extracted["hex"] == signed.raw.hex()
    assert read_signed(extracted["hex"]) == signed
    assert await client.broadcast(signed.raw) == signed.tx.txid
    await house.mine()
    assert [each.sats for each in (await client.unspent(to.address)).outputs] == [500_000 - prepared.fee]
    assert script == coin.script


def coin_of_output(txid: str, vout: int, output: TxOutput) -> Coin:
    from integrations.chains.bitcoin.transactions import Outpoint

    return Coin(Outpoint(txid, vout), output.sats, output.script)


async def test_a_replacement_pays_more_and_takes_the_place(client: BitcoinClient, house: House) -> None:
    key, to = Key(), Key()
    first = await prepared_for(client, house, key, to, 100_000, 400_000, rate=2_000)
    first_signed = read_signed(key.sign(first.psbt))
    await client.broadcast(first_signed.raw)
    cheap = build(first.coins, [*first.tx.outputs[:1], TxOutput(key.script, first.tx.outputs[1].sats - 1)])
    problem = await refused(client, read_signed(key.sign(cheap.psbt)))
    assert (problem.kind, problem.code) == (Refusal.REPLACEMENT_UNDERPRICED, WalletErrorCode.UNDERPRICED)
    second = bump(first, key.script, 2_000)
    assert second.fee > first.fee
    second_signed = read_signed(key.sign(second.psbt))
    assert differences(second, second_signed, NETWORK) == []
    assert await client.broadcast(second_signed.raw) == second_signed.tx.txid
    assert await client.transaction(first_signed.tx.txid) is None
    assert await client.spender(first.tx.inputs[0].outpoint) in (second_signed.tx.txid, None)
    third = cancel(second, key.script, 20_000)
    await client.broadcast(read_signed(key.sign(third.psbt)).raw)
    await house.mine()
    assert (await client.unspent(to.address)).outputs == ()
    assert [each.sats for each in (await client.unspent(key.address)).outputs] == [400_000 - third.fee]


async def test_the_same_coins_cannot_be_spent_twice(client: BitcoinClient, house: House) -> None:
    key = Key()
    coins = await funded(client, house, key, 300_000)
    first = build(coins, [TxOutput(Key().script, 290_000)], replaceable=False)
    second = build(coins, [TxOutput(Key().script, 200_000)], replaceable=False)
    await client.broadcast(read_signed(key.sign(first.psbt)).raw)
    problem = await refused(client, read_signed(key.sign(second.psbt)))
    assert (problem.kind, problem.code) == (Refusal.CONFLICT, WalletErrorCode.TRANSACTION_REFUSED)
    await house.mine()
    problem = await refused(client, read_signed(key.sign(second.psbt)))
    assert (problem.kind, problem.code) == (Refusal.INPUTS_MISSING, WalletErrorCode.TRANSACTION_REFUSED)


async def test_what_the_network_does_not_take(client: BitcoinClient, house: House) -> None:
    key = Key()
    coins = await funded(client, house, key, 300_000)
    to = TxOutput(Key().script, 299_990)
    cases = [
        (key.sign(build(coins, [to]).psbt), Refusal.UNDERPRICED, WalletErrorCode.UNDERPRICED),
        (
            key.sign(build(coins, [TxOutput(key.script, 100), TxOutput(Key().script, 250_000)]).psbt),
            Refusal.DUST,
            WalletErrorCode.AMOUNT_TOO_SMALL,
        ),
        (
            key.sign(build(coins, [TxOutput(Key().script, 250_000)], locktime=400_000_000).psbt),
            Refusal.NON_FINAL,
            WalletErrorCode.TRANSACTION_REFUSED,
        ),
    ]
    for psbt, kind, code in cases:
        problem = await refused(client, read_signed(psbt))
        assert (problem.kind, problem.code) == (kind, code), problem.name
        assert problem.name
    signed = read_signed(key.sign(build(coins, [TxOutput(Key().script, 250_000)]).psbt))
    (spend,) = signed.tx.inputs
    forged = serialize((spend._replace(witness=(spend.witness[0][::-1], spend.witness[1])),), signed.tx.outputs)
    problem = await refused(client, Signed(forged, signed.tx, ()))
    assert (problem.kind, problem.code) == (Refusal.SIGNATURE_INVALID, WalletErrorCode.SIGNATURE_INVALID)
    more = serialize((spend,), (TxOutput(Key().script, 300_001),))
    assert (await refused(client, Signed(more, signed.tx, ()))).code is WalletErrorCode.INSUFFICIENT_FUNDS
    with pytest.raises(NotReadable):
        await client.broadcast(b"\x00\x01")
    assert [coin_of(each) for each in (await client.unspent(key.address)).outputs] == list(coins)


async def test_mined_coins_cannot_be_spent_at_once(client: BitcoinClient, house: House) -> None:
    key = Key()
    await house.mine(to=key.address.text)
    (mined,) = (await client.unspent(key.address)).outputs
    prepared = build([coin_of(mined)], [TxOutput(Key().script, mined.sats - 10_000)])
    problem = await refused(client, read_signed(key.sign(prepared.psbt)))
    assert problem.kind is Refusal.IMMATURE


async def test_a_reorganisation_takes_a_payment_back(client: BitcoinClient, house: House) -> None:
    key = Key()
    txid = await house.pay(key.address.text, 120_000)
    tip = await client.tip()
    assert (await client.unspent(key.address)).spendable()
    await house.call("invalidateblock", tip.hash)
    told = await client.transaction(txid)
    assert told is not None
    assert (told.place, told.confirmations) == (None, 0)
    assert await client.block_hash(tip.height) is None
    assert (await client.unspent(key.address)).spendable() == ()
    await house.call("generateblock", await house.address(), [])
    other = await client.block_hash(tip.height)
    assert other not in (None, tip.hash)
    assert other is not None
    replaced = await client.block(other)
    assert replaced is not None
    assert replaced.parent == tip.parent
    assert txid not in [each.txid for each in replaced.transactions]
    orphan = await client.block(tip.hash)
    assert orphan is not None
    assert txid in [each.txid for each in orphan.transactions]
    await house.mine()
    again = await client.transaction(txid)
    assert again is not None
    assert again.place is not None
    assert again.place.height == tip.height + 1


async def test_a_payment_that_the_other_fork_spends_otherwise_is_gone(client: BitcoinClient, house: House) -> None:
    """The deposit's coins go elsewhere on the fork that wins: the transaction is nowhere any more."""
    key, thief = Key(), Key()
    coins = await funded(client, house, key, 200_000)
    paying = read_signed(key.sign(build(coins, [TxOutput(Key().script, 150_000)]).psbt))
    stealing = read_signed(key.sign(build(coins, [TxOutput(thief.script, 150_000)]).psbt))
    await client.broadcast(paying.raw)
    (block,) = await house.mine()
    told = await client.transaction(paying.tx.txid)
    assert told is not None
    assert told.confirmations == 1
    await house.call("invalidateblock", block)
    await house.call("generateblock", await house.address(), [stealing.raw.hex()])
    assert await client.transaction(paying.tx.txid) is None
    assert await client.transaction(paying.tx.txid, block_hash=block) is None
    assert len((await client.unspent(thief.address)).outputs) == 1
    assert await client.output(coins[0].outpoint) is None


def test_an_unsigned_transaction_is_told_as_such() -> None:
    key = Key()
    coin = coin_of_output("11" * 32, 0, TxOutput(key.script, 100_000))
    prepared = build([coin], [TxOutput(key.script, 90_000)])
    unsigned = read_signed(prepared.psbt)
    assert unsigned.unsigned == (0,)
    assert [each.sentence for each in differences(prepared, unsigned, NETWORK)] == ["Input 1 is not signed."]
    assert unsigned.tx.inputs == (TxInput(coin.outpoint, 0xFFFFFFFD),)
