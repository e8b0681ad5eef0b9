"""Signatures of Bitcoin's kind: published vectors, every kind of address in every form, and everything that is not quite one."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from embit.hashes import hash160
from hypothesis import given
from hypothesis import strategies as st

from services.wallet_proofs import bip322
from services.wallet_proofs.addresses import normal_address
from services.wallet_proofs.bitcoin import verify_bitcoin
from services.wallet_proofs.bitcoin_addresses import AddressKind, parse_bitcoin_address
from services.wallet_proofs.refusals import AddressInvalid, SignatureInvalid
from tests.chains import LITECOIN
from tests.wallet_keys import BITCOIN, BitcoinKey

SEGWIT = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l"
VECTORS = [
    # BIP-322, "Test vectors"
    (SEGWIT, "", "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="),
    (SEGWIT, "Hello World", "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="),
    (SEGWIT, "Hello World", "smpAkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGhowEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy"),
    # Of Bitcoin Core's tests of BIP-322: Taproot, with the kind of hash written out, and without
    ("bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3", "Hello World", "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ=="),
    ("bc1pss0zhytly75awhm6x2hhvd5lnzv3vssgrf9axfheq8ldyzn88ges79fler", "No prefix fallback", "AUCJYOwOjxYAvatTAGYaVlNXBVyFuc4MwNQkOuK2tl8xhfKDONd0NjfYyNSYcRqeCp8hsAnCEPHAVEkO9h6vbQ/R"),
]  # fmt: skip
MESSAGE = "vault.example wants you to sign in with your Bitcoin account:\nmany lines"
KINDS = list(AddressKind)


def accepts(key: BitcoinKey, signature: str, message: str = MESSAGE) -> bool:
    try:
        verify_bitcoin(key.parameters, key.parsed, message, signature)
    except SignatureInvalid:
        return False
    return True


def vector_accepted(address: str, message: str, signature: str) -> bool:
    assert BITCOIN.bitcoin is not None
    try:
        verify_bitcoin(BITCOIN.bitcoin, parse_bitcoin_address(address, BITCOIN), message, signature)
    except (SignatureInvalid, AddressInvalid):
        return False
    return True


@pytest.mark.parametrize(("address", "message", "signature"), VECTORS)
def test_published_signatures_count(address: str, message: str, signature: str) -> None:
    assert vector_accepted(address, message, signature)
    assert not vector_accepted(address, message + " ", signature)


def test_every_published_vector(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "vectors" / "bip322-basic.json").read_text())
    for each in vectors["tx_hashes"]:
        message, script = each["message"].encode(), parse_bitcoin_address(each["address"], BITCOIN).script
        assert bip322.message_hash(message).hex() == each["message_hash"]
        assert bip322.to_spend(script, message).txid().hex() == each["to_spend_tx_hash"]
        assert bip322.to_sign(script, message).txid().hex() == each["to_sign_tx_hash"]
    for each in vectors["simple"]:
        for signature in each["bip322_signatures"]:  # those of scripts are refused by name
            assert vector_accepted(each["address"], each["message"], signature) is ("multisig" not in each["type"])
    for each in vectors["error"]:
        assert not vector_accepted(each["address"], each["message"], each["signature"]), each["description"]


@pytest.mark.parametrize("chain", [BITCOIN, LITECOIN])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_address_in_every_form(kind: AddressKind, chain: object) -> None:
    key = BitcoinKey(kind, LITECOIN if chain is LITECOIN else BITCOIN)
    assert normal_address(LITECOIN if chain is LITECOIN else BITCOIN, key.address) == key.address
    forms = [key.sign(MESSAGE), key.sign_full(MESSAGE), key.sign_full(MESSAGE, version=2, prefix="ful")]
    if kind is not AddressKind.P2PKH:
        forms.append("smp" + key.sign(MESSAGE))
    if kind is not AddressKind.P2TR:
        forms.append(key.sign_legacy(MESSAGE))
    if kind in (AddressKind.P2SH, AddressKind.P2WPKH):
        forms.append(key.sign_legacy(MESSAGE, 31))  # as Electrum does
    for form in forms:
        assert accepts(key, form), form
        assert not accepts(key, form, MESSAGE + "!"), form
        assert not accepts(BitcoinKey(kind), form), form


def test_an_uncompressed_key_signs_for_its_old_address() -> None:
    key = BitcoinKey(AddressKind.P2PKH)
    key.public = key.key.public_key.format(compressed=False)
    key.parsed = key._parsed()
    assert accepts(key, key.sign_legacy(MESSAGE, 27))
    assert accepts(key, key.sign_full(MESSAGE))
    assert not accepts(key, key.sign_legacy(MESSAGE, 31))


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_byte_says_for_which_address(kind: AddressKind) -> None:
    key = BitcoinKey(kind)
    taken = {header for header in range(256 - 4) if accepts(key, key.sign_legacy(MESSAGE, header or 1))}
    recovery = (b64decode(key.sign_legacy(MESSAGE, 31))[0] - 31) % 4
    allowed = {
        AddressKind.P2PKH: {31},
        AddressKind.P2SH: {31, 35},
        AddressKind.P2WPKH: {31, 39},
        AddressKind.P2TR: set[int](),
    }
    assert {header for header in taken if (header - 27) % 4 == 0} == allowed[kind], recovery


def changed(key: BitcoinKey, witness: list[bytes]) -> str:
    return b64encode(bytes([len(witness)]) + b"".join(bytes([len(each)]) + each for each in witness)).decode()


def high_s(signature: bytes) -> bytes:
    """The same signature with the other s, in DER."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r_length = signature[3]
    r, rest = signature[4 : 4 + r_length], signature[4 + r_length :]
    s = (order - int.from_bytes(rest[2:-1], "big")).to_bytes(33, "big")
    body = b"\x02" + bytes([r_length]) + r + b"\x02\x21" + s
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


def test_what_bip_322_forbids() -> None:
    key = BitcoinKey(AddressKind.P2WPKH)
    signature, public = key.witness(MESSAGE)
    assert accepts(key, changed(key, [signature, public]))
    assert not accepts(key, changed(key, [high_s(signature), public]))
    assert not accepts(key, changed(key, key.witness(MESSAGE, sighash=2)))  # SIGHASH_NONE
    assert not accepts(key, changed(key, key.witness(MESSAGE, sighash=0x81)))
    assert not accepts(key, changed(key, [signature, public, b""]))
    assert not accepts(key, changed(key, [public, signature]))
    assert not accepts(key, changed(key, [b"", public]))
    lax = signature[:3] + bytes([signature[3] + 1]) + b"\x00" + signature[4:]
    lax = b"\x30" + bytes([lax[1] + 1]) + lax[2:]  # a needless zero before r
    assert not accepts(key, changed(key, [lax, public]))
    legacy = BitcoinKey(AddressKind.P2PKH)
    assert not accepts(legacy, changed(legacy, legacy.witness(MESSAGE)))  # there is no simple form for it
    uncompressed = key.key.public_key.format(compressed=False)
    assert not accepts(key, changed(key, [signature, uncompressed]))
    taproot = BitcoinKey(AddressKind.P2TR)
    (schnorr,) = taproot.witness(MESSAGE)
    assert accepts(taproot, changed(taproot, [schnorr]))
    assert not accepts(taproot, changed(taproot, [schnorr + b"\x01"]))  # of another kind of hash than it was made for
    assert not accepts(taproot, changed(taproot, [schnorr, b"\x50annex"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 5, 41, 42, 50])
def test_a_full_signature_is_of_the_very_transaction(kind: AddressKind, place: int) -> None:
    key = BitcoinKey(kind)
    raw = bytearray(b64decode(key.sign_full(MESSAGE)))
    raw[place] ^= 1
    assert not accepts(key, b64encode(bytes(raw)).decode())
    for more in (b"\x00", bytes(4)):
        assert not accepts(key, b64encode(b64decode(key.sign_full(MESSAGE)) + more).decode())


def test_a_nested_address_knows_its_redeem_script() -> None:
    key = BitcoinKey(AddressKind.P2SH)
    good = b64decode(key.sign_full(MESSAGE))
    other = good.replace(hash160(key.public), bytes(20))
    assert not accepts(key, b64encode(other).decode())


@pytest.mark.parametrize(
    "signature", ["", "smp", "ful", "A", "!!!!", "AAAA", "AA==", "AB==", " AA==", "AA==\n", "/////////w==", "A" * 5000]
)
@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_is_refused(kind: AddressKind, signature: str) -> None:
    assert not accepts(BitcoinKey(kind), signature)


@given(st.sampled_from(KINDS), st.data())
def test_one_changed_byte_is_noticed(kind: AddressKind, data: st.DataObject) -> None:
    key = BitcoinKey(kind, secret=b"\x05" * 32)
    made = [key.sign(MESSAGE), key.sign_full(MESSAGE)]
    if kind is not AddressKind.P2TR:
        made.append(key.sign_legacy(MESSAGE))
    raw = bytearray(b64decode(data.draw(st.sampled_from(made))))
    place = data.draw(st.integers(0, len(raw) - 1))
    before = raw[place]
    raw[place] = data.draw(st.integers(0, 255))
    still_good = raw[place] == before or (
        len(raw) == 65 and place == 0 and accepts(key, b64encode(bytes(raw)).decode())
    )
    assert still_good or not accepts(key, b64encode(bytes(raw)).decode())


@given(st.sampled_from(KINDS), st.binary(min_size=1, max_size=400))
def test_any_bytes_are_refused(kind: AddressKind, raw: bytes) -> None:
    key = BitcoinKey(kind, secret=b"\x05" * 32)
    assert not accepts(key, b64encode(raw).decode())
