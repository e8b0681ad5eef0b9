"""BIP-322, "Generic Signed Message Format": the two virtual transactions, and what satisfies the second for an address of one key.

Scripts are not run: for each kind of address the one form is checked that a single key gives (BIP-143, BIP-341 by the key path, or the original
digest for P2PKH). All of BIP-322's required rules follow: SIGHASH_ALL, strict DER, low s, minimal pushes, nothing left over. Locks of time are refused.
"""

from dataclasses import dataclass

from coincurve import PublicKey, PublicKeyXOnly
from coincurve.ecdsa import cdata_to_der, der_to_cdata
from embit.hashes import hash160, tagged_hash
from embit.script import Script
from embit.transaction import Transaction, TransactionInput, TransactionOutput

from services.wallet_proofs.bitcoin_addresses import AddressKind, BitcoinAddress
from services.wallet_proofs.bytes_reading import Malformed, Reader

FULL_VERSIONS = (bytes(4), b"\x02\x00\x00\x00")
"""Versions that `to_sign` may have in a full signature."""
_SIGHASH_ALL = 1
_OP_RETURN = b"\x6a"
_NO_VALUE = bytes(8)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature puts into the input of `to_sign`, and its version. `script_sig` None: the simple form, which has none."""

    witness: list[bytes]
    script_sig: bytes | None = None
    version: int = 0


def message_hash(message: bytes) -> bytes:
    """The tagged hash of a message."""
    return bytes(tagged_hash("BIP0322-signed-message", message))


def to_spend(script: bytes, message: bytes) -> Transaction:
    """The virtual transaction whose output only the signer could spend."""
    script_sig = Script(b"\x00\x20" + message_hash(message))
    spent = TransactionInput(bytes(32), 0xFFFFFFFF, script_sig=script_sig, sequence=0)
    return Transaction(version=0, vin=[spent], vout=[TransactionOutput(0, Script(script))], locktime=0)


def to_sign(script: bytes, message: bytes, *, version: int = 0) -> Transaction:
    """The virtual transaction that spends it, without what satisfies it."""
    spent = TransactionInput(to_spend(script, message).txid(), 0, sequence=0)
    return Transaction(version=version, vin=[spent], vout=[TransactionOutput(0, Script(_OP_RETURN))], locktime=0)


def read_simple(raw: bytes) -> Signed:
    """A simple signature: the witness alone. Raises Malformed."""
    reader = Reader(raw)
    witness = reader.stack()
    reader.end()
    return Signed(witness)


def read_full(raw: bytes, address: BitcoinAddress, message: bytes) -> Signed:
    """A full signature: `to_sign` as a whole, which must be the one for this message and address. Raises Malformed."""
    reader = Reader(raw)
    version = reader.take(4)
    if version not in FULL_VERSIONS:
        raise Malformed("the version is neither 0 nor 2")
    count = reader.take(1)
    has_witness = count == b"\x00"
    if has_witness and reader.take(1) != b"\x01":
        raise Malformed("the flag of its witness is not 1")
    if has_witness:
        count = reader.take(1)
    spent = bytes(reversed(to_spend(address.script, message).txid())) + bytes(4)
    if count != b"\x01" or reader.take(36) != spent:
        raise Malformed("it is of another message or address, or spends something else too")
    script_sig = reader.text()
    if reader.take(4) != bytes(4):
        raise Malformed("it has a lock of time")
    if reader.compact() != 1 or reader.take(8) != _NO_VALUE or reader.text() != _OP_RETURN:
        raise Malformed("it has another output than OP_RETURN")
    witness = reader.stack() if has_witness else []
    if reader.take(4) != bytes(4):
        raise Malformed("it has a lock of time")
    reader.end()
    return Signed(witness, script_sig, version[0])


def satisfies(address: BitcoinAddress, message: bytes, signed: Signed) -> bool:
    """Whether this satisfies `to_sign` for the address."""
    transaction = to_sign(address.script, message, version=signed.version)
    match address.kind:
        case AddressKind.P2PKH:
            return _satisfies_p2pkh(address, transaction, signed)
        case AddressKind.P2TR:
            return not signed.script_sig and _satisfies_taproot(address, transaction, signed.witness)
        case AddressKind.P2WPKH:
            return not signed.script_sig and _satisfies_witness(address.payload, transaction, signed.witness)
        case _:
            return _satisfies_nested(address, transaction, signed)


def _satisfies_p2pkh(address: BitcoinAddress, transaction: Transaction, signed: Signed) -> bool:
    """The script has exactly a signature and a key; there is no witness, so the simple form cannot be it."""
    if signed.witness or not signed.script_sig:
        return False
    reader = Reader(signed.script_sig)
    try:
        signature, key = reader.text(), reader.text()
        reader.end()
    except Malformed:
        return False
    digest = transaction.sighash_legacy(0, Script(address.script))
    return hash160(key) == address.payload and _is_signed(signature, key, digest, compressed=False)


def _satisfies_nested(address: BitcoinAddress, transaction: Transaction, signed: Signed) -> bool:
    """P2SH-P2WPKH: the redeem script follows from the key; the full form has it in its script."""
    if len(signed.witness) != 2:
        return False
    key_hash = hash160(signed.witness[1])
    redeem = b"\x00\x14" + key_hash
    if hash160(redeem) != address.payload or signed.script_sig not in (None, bytes([len(redeem)]) + redeem):
        return False
    return _satisfies_witness(key_hash, transaction, signed.witness)


def _satisfies_witness(key_hash: bytes, transaction: Transaction, witness: list[bytes]) -> bool:
    if len(witness) != 2 or hash160(witness[1]) != key_hash:
        return False
    code = Script(b"\x76\xa9\x14" + key_hash + b"\x88\xac")
    return _is_signed(witness[0], witness[1], transaction.sighash_segwit(0, code, 0), compressed=True)


def _satisfies_taproot(address: BitcoinAddress, transaction: Transaction, witness: list[bytes]) -> bool:
    """The key path: one signature, by default of everything, or of everything by name; no annex."""
    if len(witness) != 1 or len(witness[0]) not in (64, 65):
        return False
    signature, kind = witness[0][:64], witness[0][64:]
    if kind not in (b"", bytes([_SIGHASH_ALL])):
        return False
    digest = transaction.sighash_taproot(0, [Script(address.script)], [0], sighash=kind[0] if kind else 0)
    try:
        return PublicKeyXOnly(address.payload).verify(signature, digest)
    except ValueError:
        return False


def _is_signed(signature: bytes, key: bytes, digest: bytes, *, compressed: bool) -> bool:
    """Whether this is the key's ECDSA signature of a digest, strictly encoded (BIP-66), with low s (libsecp256k1 refuses the other), of everything."""
    if len(key) not in ((33,) if compressed else (33, 65)) or key[0] not in ((2, 3) if len(key) == 33 else (4,)):
        return False
    der, kind = signature[:-1], signature[-1:]
    if kind != bytes([_SIGHASH_ALL]):
        return False
    try:
        return cdata_to_der(der_to_cdata(der)) == der and PublicKey(key).verify(der, digest, hasher=None)
    except ValueError:
        return False
