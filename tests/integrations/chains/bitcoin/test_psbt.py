"""PSBTs and raw transactions: what is prepared, what comes back signed, and how the two differ."""

import io
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from embit.ec import SchnorrSig
from embit.finalizer import finalize_psbt
from embit.psbt import PSBT
from embit.script import Script, Witness
from embit.transaction import Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import ScriptType
from integrations.chains.bitcoin.coins import CannotPay, Coin
from integrations.chains.bitcoin.psbt import Prepared, build, read_prepared
from integrations.chains.bitcoin.replacement import bump, cancel
from integrations.chains.bitcoin.signed import DifferenceKind, Signed, differences, read_signed
from integrations.chains.bitcoin.sizes import fee_for
from integrations.chains.bitcoin.transactions import (
    NotReadable,
    Outpoint,
    TxInput,
    TxOutput,
    parse_transaction,
    serialize,
)
from tests.integrations.chains.bitcoin.house import NETWORK, Key

BIP_174_INVALID = [
    # a raw transaction instead of a PSBT; without outputs' maps; signed inside; without a transaction; an input's key twice
    "AgAAAAEmgXE3Ht/yhek3re6ks3t4AAwFZsuzrWRkFxPKQhcb9gAAAABqRzBEAiBwsiRRI+a/R01gxbUMBD1MaRpdJDXwmjSnZiqdwlF5CgIgATKcqdrPKAvfMHQOwDkEIkIsgctFg5RXrrdvwS7dlbMBIQJlfRGNM1e44PTCzUbbezn22cONmnCry5st5dyNv+TOMf7///8C09/1BQAAAAAZdqkU0MWZA8W6woaHYOkP1SGkZlqnZSCIrADh9QUAAAAAF6kUNUXm4zuDLEcFDyTT7rk8nAOUi8eHsy4TAA==",
    "cHNidP8BAHUCAAAAASaBcTce3/KF6Tet7qSze3gADAVmy7OtZGQXE8pCFxv2AAAAAAD+////AtPf9QUAAAAAGXapFNDFmQPFusKGh2DpD9UhpGZap2UgiKwA4fUFAAAAABepFDVF5uM7gyxHBQ8k0+65PJwDlIvHh7MuEwAAAQD9pQEBAAAAAAECiaPHHqtNIOA3G7ukzGmPopXJRjr6Ljl/hTPMti+VZ+UBAAAAFxYAFL4Y0VKpsBIDna89p95PUzSe7LmF/////4b4qkOnHf8USIk6UwpyN+9rRgi7st0tAXHmOuxqSJC0AQAAABcWABT+Pp7xp0XpdNkCxDVZQ6vLNL1TU/////8CAMLrCwAAAAAZdqkUhc/xCX/Z4Ai7NK9wnGIZeziXikiIrHL++E4sAAAAF6kUM5cluiHv1irHU6m80GfWx6ajnQWHAkcwRAIgJxK+IuAnDzlPVoMR3HyppolwuAJf3TskAinwf4pfOiQCIAGLONfc0xTnNMkna9b7QPZzMlvEuqFEyADS8vAtsnZcASED0uFWdJQbrUqZY3LLh+GFbTZSYG2YVi/jnF6efkE/IQUCSDBFAiEA0SuFLYXc2WHS9fSrZgZU327tzHlMDDPOXMMJ/7X85Y0CIGczio4OFyXBl/saiK9Z9R5E5CVbIBZ8hoQDHAXR8lkqASECI7cr7vCWXRC+B3jv7NYfysb3mk6haTkzgHNEZPhPKrMAAAAAAA==",
    "cHNidP8BAP0KAQIAAAACqwlJoIxa98SbghL0F+LxWrP1wz3PFTghqBOfh3pbe+QAAAAAakcwRAIgR1lmF5fAGwNrJZKJSGhiGDR9iYZLcZ4ff89X0eURZYcCIFMJ6r9Wqk2Ikf/REf3xM286KdqGbX+EhtdVRs7tr5MZASEDXNxh/HupccC1AaZGoqg7ECy0OIEhfKaC3Ibi1z+ogpL+////qwlJoIxa98SbghL0F+LxWrP1wz3PFTghqBOfh3pbe+QBAAAAAP7///8CYDvqCwAAAAAZdqkUdopAu9dAy+gdmI5x3ipNXHE5ax2IrI4kAAAAAAAAGXapFG9GILVT+glechue4O/p+gOcykWXiKwAAAAAAAABASAA4fUFAAAAABepFDVF5uM7gyxHBQ8k0+65PJwDlIvHhwEEFgAUhdE1N/LiZUBaNNuvqePdoB+4IwgAAAA=",
    "cHNidP8AAQD9pQEBAAAAAAECiaPHHqtNIOA3G7ukzGmPopXJRjr6Ljl/hTPMti+VZ+UBAAAAFxYAFL4Y0VKpsBIDna89p95PUzSe7LmF/////4b4qkOnHf8USIk6UwpyN+9rRgi7st0tAXHmOuxqSJC0AQAAABcWABT+Pp7xp0XpdNkCxDVZQ6vLNL1TU/////8CAMLrCwAAAAAZdqkUhc/xCX/Z4Ai7NK9wnGIZeziXikiIrHL++E4sAAAAF6kUM5cluiHv1irHU6m80GfWx6ajnQWHAkcwRAIgJxK+IuAnDzlPVoMR3HyppolwuAJf3TskAinwf4pfOiQCIAGLONfc0xTnNMkna9b7QPZzMlvEuqFEyADS8vAtsnZcASED0uFWdJQbrUqZY3LLh+GFbTZSYG2YVi/jnF6efkE/IQUCSDBFAiEA0SuFLYXc2WHS9fSrZgZU327tzHlMDDPOXMMJ/7X85Y0CIGczio4OFyXBl/saiK9Z9R5E5CVbIBZ8hoQDHAXR8lkqASECI7cr7vCWXRC+B3jv7NYfysb3mk6haTkzgHNEZPhPKrMAAAAAAA==",
    "cHNidP8BAHUCAAAAASaBcTce3/KF6Tet7qSze3gADAVmy7OtZGQXE8pCFxv2AAAAAAD+////AtPf9QUAAAAAGXapFNDFmQPFusKGh2DpD9UhpGZap2UgiKwA4fUFAAAAABepFDVF5uM7gyxHBQ8k0+65PJwDlIvHh7MuEwAAAQD9pQEBAAAAAAECiaPHHqtNIOA3G7ukzGmPopXJRjr6Ljl/hTPMti+VZ+UBAAAAFxYAFL4Y0VKpsBIDna89p95PUzSe7LmF/////4b4qkOnHf8USIk6UwpyN+9rRgi7st0tAXHmOuxqSJC0AQAAABcWABT+Pp7xp0XpdNkCxDVZQ6vLNL1TU/////8CAMLrCwAAAAAZdqkUhc/xCX/Z4Ai7NK9wnGIZeziXikiIrHL++E4sAAAAF6kUM5cluiHv1irHU6m80GfWx6ajnQWHAkcwRAIgJxK+IuAnDzlPVoMR3HyppolwuAJf3TskAinwf4pfOiQCIAGLONfc0xTnNMkna9b7QPZzMlvEuqFEyADS8vAtsnZcASED0uFWdJQbrUqZY3LLh+GFbTZSYG2YVi/jnF6efkE/IQUCSDBFAiEA0SuFLYXc2WHS9fSrZgZU327tzHlMDDPOXMMJ/7X85Y0CIGczio4OFyXBl/saiK9Z9R5E5CVbIBZ8hoQDHAXR8lkqASECI7cr7vCWXRC+B3jv7NYfysb3mk6haTkzgHNEZPhPKrMAAAAAAQA/AgAAAAH//////////////////////////////////////////wAAAAAA/////wEAAAAAAAAAAANqAQAAAAAAAAAA",
]  # fmt: skip
KINDS = (ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH, ScriptType.P2TR)
TO = Key().script


def funded(key: Key, *amounts: int) -> tuple[list[Coin], dict[str, bytes]]:
    """Coins of a key, and the transactions that they come from."""
    coins, previous = [], {}
    for number, sats in enumerate(amounts):
        source = TxInput(Outpoint(f"{number + 1:064x}", 0), 0xFFFFFFFF, b"\x00")
        raw = serialize((source,), (TxOutput(b"\x6a", 0), TxOutput(key.script, sats)))
        txid = parse_transaction(raw).txid
        previous[txid] = raw
        coins.append(Coin(Outpoint(txid, 1), sats, key.script))
    return coins, previous


def prepared_by(key: Key, *, fee: int = 1_000, change: int = 30_000) -> Prepared:
    coins, previous = funded(key, 60_000, 40_000)
    outputs = [TxOutput(TO, 100_000 - fee - change), TxOutput(key.script, change)]
    return build(coins, outputs, previous=previous, locktime=800_000)


def signed_by(key: Key, prepared: Prepared) -> str:
    """As wallets do it, with the keys' own way for nested scripts."""
    psbt = PSBT.from_base64(prepared.psbt)
    if key.redeem:
        for scope in psbt.inputs:
            scope.redeem_script = Script(key.redeem)
    psbt.sign_with(key.private)
    text: str = psbt.to_base64()
    return text


@pytest.mark.parametrize("type_", KINDS)
def test_every_kind_of_coin_is_prepared_signed_and_read(type_: ScriptType) -> None:
    key = Key(type_)
    prepared = prepared_by(key)
    assert prepared.fee == 1_000
    assert read_prepared(prepared.psbt) == prepared
    signed = read_signed(signed_by(key, prepared))
    assert signed.unsigned == ()
    assert differences(prepared, signed, NETWORK) == []
    assert signed.tx.vsize <= prepared.vsize <= signed.tx.vsize + 4
    assert (signed.tx.locktime, {each.sequence for each in signed.tx.inputs}) == (800_000, {0xFFFFFFFD})
    assert read_signed(signed.raw.hex()) == signed
    assert read_signed(b64decode(signed_by(key, prepared)).hex()).tx.txid == signed.tx.txid
    native = type_ in (ScriptType.P2WPKH, ScriptType.P2TR)
    assert (signed.tx.txid == prepared.tx.txid) is native


def test_embit_finalizes_the_same() -> None:
    key = Key()
    prepared = prepared_by(key)
    text = signed_by(key, prepared)
    assert finalize_psbt(PSBT.from_base64(text)).serialize() == read_signed(text).raw


def test_a_taproot_signature_that_is_not_finalized() -> None:
    """PSBT_IN_TAP_KEY_SIG, as Core and hardware wallets give it back."""
    key = Key(ScriptType.P2TR)
    prepared = prepared_by(key)
    psbt = PSBT.from_base64(signed_by(key, prepared))
    finalized = read_signed(psbt.to_base64())
    for scope in psbt.inputs:
        (signature,) = scope.final_scriptwitness.items
        SchnorrSig.parse(signature)
        scope.unknown = {b"\x13": signature}
        scope.final_scriptwitness = None
    assert read_signed(psbt.to_base64()) == finalized


def test_what_stands_in_it_for_the_wallet() -> None:
    for type_ in KINDS:
        key = Key(type_)
        for scope in PSBT.from_base64(prepared_by(key).psbt).inputs:
            assert (scope.witness_utxo is None) is (type_ is ScriptType.P2PKH)
            assert (scope.non_witness_utxo is None) is (type_ is ScriptType.P2TR)


def test_inputs_and_outputs_stand_in_the_order_of_bip_69() -> None:
    coins, _ = funded(Key(), 10_000, 20_000, 30_000, 40_000)
    outputs = [TxOutput(TO, 3_000), TxOutput(b"\x00\x14" + bytes(20), 3_000), TxOutput(TO, 1_000)]
    prepared = build(coins, outputs)
    assert list(prepared.coins) == sorted(coins, key=lambda each: (each.outpoint.txid, each.outpoint.vout))
    assert prepared.tx.outputs == tuple(sorted(outputs, key=lambda each: (each.sats, each.script)))
    assert build(coins[::-1], outputs[::-1]) == prepared


def test_what_cannot_be_built() -> None:
    key, legacy = Key(), Key(ScriptType.P2PKH)
    coins, previous = funded(key, 60_000, 40_000)
    old, old_previous = funded(legacy, 50_000)
    other = Coin(old[0].outpoint, 50_001, legacy.script)
    good = [TxOutput(TO, 1_000)]
    bad: list[tuple[list[Coin], list[TxOutput], dict[str, bytes]]] = [
        ([], good, {}),
        (coins, [], {}),
        ([coins[0], coins[0]], good, {}),
        (coins, [TxOutput(TO, 0)], {}),
        (coins, [TxOutput(TO, 100_001)], {}),
        (coins, [TxOutput(TO, 2**63)], {}),
        (old, good, {}),
        ([other], good, old_previous),
        (coins, good, {coins[0].outpoint.txid: previous[coins[1].outpoint.txid]}),
    ]
    for spent, outputs, sources in bad:
        with pytest.raises(ValueError, match=r".+"):
            build(spent, outputs, previous=sources)


def changed(
    prepared: Prepared,
    *,
    inputs: tuple[TxInput, ...] | None = None,
    outputs: tuple[TxOutput, ...] | None = None,
    locktime: int = 800_000,
    version: int = 2,
) -> Signed:
    """A signed transaction that is not what was prepared."""
    signed = tuple(each._replace(witness=(b"sig", b"key")) for each in inputs or prepared.tx.inputs)
    raw = serialize(signed, outputs or prepared.tx.outputs, locktime=locktime, version=version)
    return read_signed(raw.hex())


def test_differences_in_words() -> None:
    key = Key()
    prepared = prepared_by(key)
    small, large = prepared.tx.outputs
    first, second = prepared.tx.inputs
    thief = Key()
    kind = DifferenceKind

    def found(signed: Signed) -> list[tuple[DifferenceKind, str]]:
        return [(each.kind, each.sentence) for each in differences(prepared, signed, NETWORK)]

    assert found(changed(prepared)) == []
    assert found(changed(prepared, outputs=(small, TxOutput(thief.script, large.sats)))) == [
        (kind.OUTPUT_MISSING, f"It does not pay 0.00069 to {address(TO)}."),
        (kind.OUTPUT_ADDED, f"It would pay 0.00069 to {thief.address.text}."),
    ]
    assert found(changed(prepared, outputs=(TxOutput(small.script, small.sats - 500), large))) == [
        (kind.OUTPUT_MISSING, f"It does not pay 0.0003 to {key.address.text}."),
        (kind.OUTPUT_ADDED, f"It would pay 0.000295 to {key.address.text}."),
        (kind.FEE, "The fee is 0.000015 instead of 0.00001."),
    ]
    assert found(changed(prepared, outputs=(large,)))[-1] == (kind.FEE, "The fee is 0.00031 instead of 0.00001.")
    assert found(changed(prepared, outputs=(small, large, large)))[-1] == (
        kind.FEE,
        "The fee is -0.00068 instead of 0.00001.",
    )
    assert found(changed(prepared, outputs=(small, large, TxOutput(b"\x6a\x01x", 0))))[0] == (
        kind.OUTPUT_ADDED,
        "It would pay 0 to a script without an address.",
    )
    other = TxInput(Outpoint("aa" * 32, 5), 0xFFFFFFFD)
    assert found(changed(prepared, inputs=(first, other))) == [
        (kind.INPUT_MISSING, f"It does not spend {second.outpoint.txid}:1."),
        (kind.INPUT_ADDED, f"It would also spend {'aa' * 32}:5."),
    ]
    assert found(changed(prepared, locktime=0)) == [
        (kind.LOCKTIME, "It may be mined after 0 (lock time) instead of 800000.")
    ]
    final = tuple(each._replace(sequence=0xFFFFFFFE) for each in prepared.tx.inputs)
    assert found(changed(prepared, inputs=final)) == [
        (kind.NOT_REPLACEABLE, "It does not allow to raise its fee later.")
    ]
    assert found(changed(prepared, version=1)) == [(kind.VERSION, "It has version 1 instead of 2.")]
    assert found(changed(prepared, outputs=(large, small))) == [
        (kind.ORDER, "Its inputs and outputs stand in another order.")
    ]
    harmless = differences(prepared, changed(prepared, version=1), NETWORK)
    assert [each.harmless for each in harmless] == [True]
    one = PSBT.from_base64(prepared.psbt)
    one.inputs[1].final_scriptwitness = Witness([b"sig", b"key"])
    told = differences(prepared, read_signed(one.to_base64()), NETWORK)
    assert [(each.sentence, each.harmless) for each in told] == [("Input 1 is not signed.", False)]


def address(script: bytes) -> str:
    from integrations.chains.bitcoin.addresses import address_of

    return str(address_of(script, NETWORK))


@pytest.mark.parametrize("text", BIP_174_INVALID[1:])
def test_published_invalid_psbts(text: str) -> None:
    with pytest.raises(NotReadable):
        read_signed(text)
    with pytest.raises(NotReadable):
        read_prepared(text)


def test_a_raw_transaction_is_no_psbt_but_may_be_sent() -> None:
    raw = b64decode(BIP_174_INVALID[0])
    assert read_signed(raw.hex()).unsigned == ()
    with pytest.raises(NotReadable):
        read_prepared(BIP_174_INVALID[0])


def version_2() -> bytes:
    """BIP-370, which says how many inputs it has before it has them; embit would make them all."""
    head = b"psbt\xff" + b"\x01\x04\x09\xff" + b"\xff" * 8 + b"\x01\xfb\x04\x02\0\0\0"
    return head + b"\0"


@pytest.mark.parametrize(
    "raw",
    [
        version_2(),
        b"psbt\xff\x01\x00\x0a\x02\0\0\0\0\0\0\0\0\0" + version_2()[5:],
        b"psbt\xff",
        b"psbt\xff\x00",
        b"psbt\xff\x01\x00" + b"\xff" * 9,
        bytes(4_000_001),
    ],
)
def test_small_texts_that_would_be_large(raw: bytes) -> None:
    for text in (b64encode(raw).decode(), raw.hex()):
        with pytest.raises(NotReadable):
            read_signed(text)


def test_a_psbt_that_contradicts_itself() -> None:
    key = Key()
    prepared = prepared_by(key)
    lying = PSBT.from_base64(prepared.psbt)
    lying.inputs[0].witness_utxo.value += 1
    other = PSBT.from_base64(prepared.psbt)
    other.inputs[0].non_witness_utxo = Transaction.parse(bytes.fromhex(read_signed(prepared.psbt).raw.hex()))
    renamed = PSBT.from_base64(prepared.psbt)
    renamed.inputs[0].non_witness_utxo.locktime += 1
    empty = PSBT.from_base64(prepared.psbt)
    empty.inputs[0].witness_utxo = empty.inputs[0].non_witness_utxo = None
    for psbt in (lying, other, renamed, empty):
        with pytest.raises(NotReadable):
            read_prepared(psbt.to_base64())


def test_a_signature_of_another_key_is_none() -> None:
    for type_ in (ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH):
        key, other = Key(type_), Key(type_)
        prepared = prepared_by(key)
        psbt = PSBT.from_base64(signed_by(key, prepared))
        for scope in psbt.inputs:
            (signature,) = scope.partial_sigs.values()
            scope.partial_sigs = {other.private.get_public_key(): signature}
        assert read_signed(psbt.to_base64()).unsigned == (0, 1)
        if type_ is ScriptType.P2SH:
            for scope in psbt.inputs:
                scope.redeem_script = Script(other.redeem)
            assert read_signed(psbt.to_base64()).unsigned == (0, 1)


def test_a_psbt_holds_no_signed_transaction() -> None:
    prepared = prepared_by(Key())
    unsigned = read_signed(prepared.psbt).raw
    first, second = prepared.tx.inputs
    signed = serialize((first._replace(script_sig=b"\x51"), second), prepared.tx.outputs, locktime=800_000)
    raw = b64decode(prepared.psbt)
    head = b"psbt\xff\x01\x00"
    assert raw.startswith(head + bytes([len(unsigned)]) + unsigned)
    changed_raw = head + bytes([len(signed)]) + signed + raw[len(head) + 1 + len(unsigned) :]
    with pytest.raises(NotReadable, match="signed already"):
        read_prepared(b64encode(changed_raw).decode())


def test_a_sequence_of_zero_stays_zero() -> None:
    """embit would make 0xFFFFFFFF of it."""
    key = Key()
    (coin,), _ = funded(key, 50_000)
    unsigned = serialize((TxInput(coin.outpoint, 0),), (TxOutput(TO, 40_000),))
    stream = io.BytesIO()
    stream.write(b"psbt\xff\x01\x00" + bytes([len(unsigned)]) + unsigned + b"\0" + b"\0" + b"\0")
    with pytest.raises(NotReadable, match="does not say what it spends"):
        read_signed(b64encode(stream.getvalue()).decode())
    spent = coin.sats.to_bytes(8, "little") + bytes([22]) + key.script
    described = stream.getvalue()[:-2] + b"\x01\x01" + bytes([len(spent)]) + spent + b"\0\0"
    assert read_signed(b64encode(described).decode()).tx.inputs[0].sequence == 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_texts_are_refused_or_read(data: st.DataObject) -> None:
    raw = bytearray(b64decode(PREPARED.psbt))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    text = b64encode(bytes(raw[: data.draw(st.integers(0, len(raw)))])).decode()
    for read in (read_signed, read_prepared):
        with suppress(NotReadable):
            read(text)


PREPARED = prepared_by(Key())


def test_a_taproot_key_of_31_bytes() -> None:
    """PSBT_OUT_TAP_INTERNAL_KEY (BIP-371), of which embit asserts that it has 32."""
    text = b64encode(b64decode(PREPARED.psbt)[:-1] + b"\x01\x05\x1f" + bytes(31) + b"\0").decode()
    for read in (read_signed, read_prepared):
        with pytest.raises(NotReadable, match="it is no PSBT"):
            read(text)


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(NotReadable):
        read_signed(text)


def test_a_raise_takes_from_the_change_alone() -> None:
    key = Key()
    prepared = prepared_by(key)
    raised = bump(prepared, key.script, 20_000)
    assert [each.outpoint for each in raised.tx.inputs] == [each.outpoint for each in prepared.tx.inputs]
    assert TxOutput(TO, 69_000) in raised.tx.outputs
    assert raised.fee == fee_for(raised.vsize, 20_000)
    assert raised.tx.locktime == prepared.tx.locktime
    least = bump(prepared, key.script, 1)
    assert least.fee == prepared.fee + least.vsize
    assert least.sat_per_kvb > prepared.sat_per_kvb


def test_change_that_would_be_dust_is_given_to_the_fee() -> None:
    key = Key()
    prepared = prepared_by(key, change=2_000)
    raised = bump(prepared, key.script, 13_000)
    assert raised.tx.outputs == (TxOutput(TO, 97_000),)
    assert raised.fee == 3_000


def test_without_change_no_fee_can_be_raised() -> None:
    key = Key()
    coins, _ = funded(key, 100_000)
    prepared = build(coins, [TxOutput(TO, 99_000)])
    with pytest.raises(CannotPay) as refused:
        bump(prepared, key.script, 50_000)
    assert (refused.value.code, refused.value.limit) == (WalletErrorCode.INSUFFICIENT_FUNDS, 1_000)
    assert refused.value.actual == fee_for(prepared.vsize, 50_000)
    back = cancel(prepared, key.script, 50_000)
    assert back.tx.outputs == (TxOutput(key.script, 100_000 - back.fee),)
    with pytest.raises(CannotPay):
        cancel(prepared, key.script, 950_000)


def test_a_sweep_to_oneself_can_be_raised() -> None:
    key = Key()
    coins, _ = funded(key, 100_000)
    prepared = build(coins, [TxOutput(key.script, 99_000)])
    assert bump(prepared, key.script, 50_000) == cancel(prepared, key.script, 50_000)
