"""P2WPKH: BIP-143's own example, PSBTs that are not what they should be, and a real node that takes what was signed."""

import secrets
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from embit.psbt import PSBT
from embit.script import Script
from embit.transaction import SIGHASH, Transaction, TransactionInput, TransactionOutput
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.json_rpc import JsonRpc
from integrations.signers import bitcoin
from integrations.signers.base import SignerRefused
from integrations.signers.bitcoin import bitcoin_address, input_digest, p2wpkh_script, sign_psbt
from integrations.signers.keystore import KeystoreSigner
from tests.chains import LITECOIN, litecoind

BIP_143_KEY = PrivateKey.from_hex("619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9")
BIP_143_UNSIGNED = (
    "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309f"
    "e287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a914"
    "3bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000"
)
SIGNER = KeystoreSigner("bitcoin=keystore:k", BIP_143_KEY)
PUBLIC_KEY = BIP_143_KEY.public_key.format()
SCRIPT = p2wpkh_script(PUBLIC_KEY)
TO = Script(b"\x00\x14" + b"\x07" * 20)


def psbt_of(values: tuple[int, ...] = (50_000, 70_000), pays: int = 100_000) -> PSBT:
    inputs = [TransactionInput(bytes([index + 1]) * 32, index, sequence=0xFFFFFFFD) for index in range(len(values))]
    psbt = PSBT(Transaction(2, inputs, [TransactionOutput(pays, TO)], 0))
    for scope, value in zip(psbt.inputs, values, strict=True):
        scope.witness_utxo = TransactionOutput(value, SCRIPT)
    return psbt


async def test_bip_143s_native_p2wpkh_example() -> None:
    transaction = Transaction.parse(bytes.fromhex(BIP_143_UNSIGNED))
    assert SCRIPT.data.hex() == "00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1"
    digest = input_digest(transaction, 1, SCRIPT, 600_000_000)
    assert digest.hex() == "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
    signature = await SIGNER.sign_digest(digest)
    assert encode_dss_signature(signature.r, signature.s).hex() == (
        "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a"
        "0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee"
    )


def test_bip_173s_own_addresses() -> None:
    public_key = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    assert bitcoin_address(public_key, "bc") == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert bitcoin_address(public_key, "tb") == "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"


async def test_every_input_gets_its_witness() -> None:
    signed = await sign_psbt(SIGNER, psbt_of().serialize())
    made = Transaction.parse(signed.raw)
    assert made.txid().hex() == signed.hash
    assert [(each.txid, each.vout, each.sequence) for each in made.vin] == [
        (b"\x01" * 32, 0, 0xFFFFFFFD),
        (b"\x02" * 32, 1, 0xFFFFFFFD),
    ]
    assert [(each.value, each.script_pubkey) for each in made.vout] == [(100_000, TO)]
    for index, value in enumerate((50_000, 70_000)):
        signature, key = made.vin[index].witness.items
        assert key == PUBLIC_KEY
        assert signature[-1] == SIGHASH.ALL
        digest = input_digest(made, index, SCRIPT, value)
        assert BIP_143_KEY.public_key.verify(signature[:-1], digest, hasher=None)


async def test_embit_signs_the_same() -> None:
    from embit.ec import PrivateKey as EmbitKey
    from embit.finalizer import finalize_psbt

    psbt = psbt_of()
    psbt.sign_with(EmbitKey(BIP_143_KEY.secret))
    peer = finalize_psbt(psbt)
    assert peer is not None
    assert (await sign_psbt(SIGNER, psbt_of().serialize())).hash == peer.txid().hex()


def without_output(psbt: PSBT) -> None:
    psbt.inputs[1].witness_utxo = None


def anothers(psbt: PSBT) -> None:
    psbt.inputs[1].witness_utxo = TransactionOutput(70_000, TO)


def of_another_type(psbt: PSBT) -> None:
    psbt.inputs[0].sighash_type = SIGHASH.NONE | SIGHASH.ANYONECANPAY


def lying(psbt: PSBT) -> None:
    previous = Transaction(2, [TransactionInput(b"\x09" * 32, 0)], [TransactionOutput(10, SCRIPT)], 0)
    psbt.inputs[0].txid, psbt.inputs[0].vout = previous.txid(), 0
    psbt.inputs[0].non_witness_utxo = previous


def of_another_transaction(psbt: PSBT) -> None:
    psbt.inputs[0].non_witness_utxo = Transaction(
        2, [TransactionInput(b"\x09" * 32, 0)], [TransactionOutput(50_000, SCRIPT)], 0
    )


def beyond_its_outputs(psbt: PSBT) -> None:
    of_another_transaction(psbt)
    psbt.inputs[0].txid, psbt.inputs[0].vout = psbt.inputs[0].non_witness_utxo.txid(), 3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_output, "input 1 does not say which output it spends"),
        (anothers, "input 1 is not this key's"),
        (of_another_type, "input 0 asks for another signature"),
        (lying, "input 0 contradicts the transaction"),
        (of_another_transaction, "input 0 contradicts the transaction"),
        (beyond_its_outputs, "input 0 contradicts the transaction"),
    ],
)
async def test_inputs_that_are_not_signed(spoil: Callable[[PSBT], None], words: str) -> None:
    psbt = psbt_of()
    spoil(psbt)
    with pytest.raises(SignerRefused, match=words):
        await sign_psbt(SIGNER, psbt.serialize())


async def test_the_output_may_also_be_told_by_its_whole_transaction() -> None:
    psbt = psbt_of()
    previous = Transaction(2, [TransactionInput(b"\x09" * 32, 0)], [TransactionOutput(50_000, SCRIPT)], 0)
    psbt.inputs[0].txid, psbt.inputs[0].vout, psbt.inputs[0].non_witness_utxo = previous.txid(), 0, previous
    assert Transaction.parse((await sign_psbt(SIGNER, psbt.serialize())).raw).vin[0].txid == previous.txid()


async def test_more_than_there_is_is_not_spent() -> None:
    assert await sign_psbt(SIGNER, psbt_of(pays=120_000).serialize())
    with pytest.raises(SignerRefused, match="spends more than its inputs hold"):
        await sign_psbt(SIGNER, psbt_of(pays=120_001).serialize())


async def test_what_embit_would_silently_change_is_refused() -> None:
    """It reads a sequence of 0 as the highest one."""
    psbt = psbt_of()
    unsigned = psbt.tx.serialize()
    changed = psbt.serialize().replace(unsigned, unsigned.replace(b"\xfd\xff\xff\xff", bytes(4)))
    with pytest.raises(SignerRefused, match="no transaction that can be signed here"):
        await sign_psbt(SIGNER, changed)


async def test_a_version_stays_as_it_is() -> None:
    unsigned = psbt_of().tx.serialize()
    for version in (0, 1, 2, 3):
        told = version.to_bytes(4, "little")
        signed = await sign_psbt(SIGNER, psbt_of().serialize().replace(unsigned, told + unsigned[4:]))
        assert signed.raw.startswith(told)


async def test_version_2_none_and_too_many_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    second = psbt_of()
    second.version = 2
    empty = PSBT(Transaction(2, [], [TransactionOutput(1, TO)], 0))
    for psbt in (second, empty):
        with pytest.raises(SignerRefused, match=r"expected version 0|cannot be read"):
            await sign_psbt(SIGNER, psbt.serialize())
    monkeypatch.setattr(bitcoin, "MOST_INPUTS", 1)
    with pytest.raises(SignerRefused, match="has 2 inputs; expected 1 at most"):
        await sign_psbt(SIGNER, psbt_of().serialize())


async def test_a_taproot_key_of_31_bytes() -> None:
    """embit asserts that it has 32."""
    short = psbt_of().serialize()[:-1] + b"\x01\x05\x1f" + bytes(31) + b"\0"
    with pytest.raises(SignerRefused, match="cannot be read"):
        await sign_psbt(SIGNER, short)


@given(st.data())
async def test_garbled_psbts_are_refused_or_signed_as_they_stand(data: st.DataObject) -> None:
    raw = bytearray(psbt_of().serialize())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    garbled = bytes(raw)[: data.draw(st.integers(len(raw) // 2, len(raw)))]
    try:
        signed = await sign_psbt(SIGNER, garbled)
    except SignerRefused:
        return
    made = Transaction.parse(signed.raw)
    for each in made.vin:
        each.witness.items.clear()
    assert made.serialize() in garbled


async def test_a_key_of_another_curve_signs_none() -> None:
    with pytest.raises(SignerRefused, match="is a key of ED25519; expected SECP256K1"):
        await sign_psbt(KeystoreSigner("k", Ed25519PrivateKey.generate()), psbt_of().serialize())


async def test_a_node_takes_what_was_signed(tmp_path: Path) -> None:
    signer = KeystoreSigner("bitcoin=keystore:k", PrivateKey(secrets.token_bytes(32)))
    public_key = await signer.public_key()
    assert LITECOIN.bitcoin is not None
    address = bitcoin_address(public_key, LITECOIN.bitcoin.hrp)
    async with litecoind(tmp_path) as url:
        node = JsonRpc(url)
        script = p2wpkh_script(public_key)
        inputs, values = [], []
        for _ in range(2):
            paid = await node.call("gettransaction", await node.call("sendtoaddress", address, "1.5"))
            assert isinstance(paid, dict)
            funding = Transaction.parse(bytes.fromhex(paid["hex"]))
            index = next(i for i, output in enumerate(funding.vout) if output.script_pubkey == script)
            inputs.append(TransactionInput(funding.txid(), index, sequence=0xFFFFFFFD))
            values.append(funding.vout[index].value)
        assert values == [int(Decimal("1.5") * 10**8)] * 2
        psbt = PSBT(Transaction(2, inputs, [TransactionOutput(299_990_000, TO)], 0))
        for scope, value in zip(psbt.inputs, values, strict=True):
            scope.witness_utxo = TransactionOutput(value, script)
        signed = await sign_psbt(signer, psbt.serialize())
        assert await node.call("sendrawtransaction", signed.raw.hex()) == signed.hash
        await node.close()
