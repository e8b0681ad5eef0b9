"""What an input shows of the script that it spends, for every kind of address; and nonsense, which shows nothing."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.bitcoin.addresses import ScriptType, script_of
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.psbt import build
from integrations.chains.bitcoin.signed import read_signed
from integrations.chains.bitcoin.spending import may_be_taproot, shown_scripts
from integrations.chains.bitcoin.transactions import Outpoint, TxInput, TxOutput, double_sha256, hash_text, serialize
from tests.integrations.chains.bitcoin.house import Key

OUTPOINT = Outpoint("ab" * 32, 0)
KEYS = [ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH, ScriptType.P2TR]


def signed_by(key: Key) -> TxInput:
    """The input that spends an output of this key, signed."""
    previous = serialize((TxInput(OUTPOINT, 0),), (TxOutput(key.script, 50_000),))
    txid = hash_text(double_sha256(previous))
    coin = Coin(Outpoint(txid, 0), 50_000, key.script)
    made = build([coin], [TxOutput(key.script, 40_000)], previous={txid: previous})
    return read_signed(key.sign_own(made.psbt)).tx.inputs[0]


@pytest.mark.parametrize("type_", KEYS)
def test_a_key_shows_what_it_spends(type_: ScriptType) -> None:
    key = Key(type_)
    spends = signed_by(key)
    assert (key.script in shown_scripts(spends)) is (type_ is not ScriptType.P2TR)
    assert may_be_taproot(spends) is (type_ is ScriptType.P2TR)


def test_several_keys_show_their_script() -> None:
    script = b"\x51\x21" + b"\x02" * 33 + b"\x51\xae"
    wrapped = script_of(ScriptType.P2WSH, sha256(script).digest())
    assert wrapped in shown_scripts(TxInput(OUTPOINT, 0, b"", (b"", b"\x30" * 71, script)))
    shown = shown_scripts(TxInput(OUTPOINT, 0, b"\x00\x4c" + bytes([len(script)]) + script))
    assert [each[:2] for each in shown] == [b"\xa9\x14", b"\x76\xa9"]


def test_taproot_with_a_script_and_an_annex() -> None:
    control = b"\xc0" + b"\x11" * 32
    for witness in (
        (b"\x51", control),
        (b"\x51", control + b"\x22" * 64),
        (b"\x51", control, b"\x50\x01"),
        (b"s" * 65,),
    ):
        assert may_be_taproot(TxInput(OUTPOINT, 0, b"", witness))
    assert not may_be_taproot(TxInput(OUTPOINT, 0, b"", (b"\x30" * 71, b"\x51" * 40)))


@given(st.binary(max_size=80), st.lists(st.binary(max_size=80), max_size=4))
def test_whatever_an_input_says_is_read(script_sig: bytes, witness: list[bytes]) -> None:
    spends = TxInput(OUTPOINT, 0, script_sig, tuple(witness))
    assert all(isinstance(each, bytes) for each in shown_scripts(spends))
    may_be_taproot(spends)
