"""Transactions that spend P2WPKH outputs of one key (BIP-143, BIP-174), on any chain of Bitcoin's kind."""

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from embit import bech32, hashes
from embit.psbt import PSBT, InputScope
from embit.script import Script, Witness, p2pkh_from_p2wpkh
from embit.transaction import SIGHASH, Transaction, TransactionInput

from integrations.embit_errors import EMBIT_ERRORS
from integrations.signers.base import Curve, SignedTransaction, Signer, SignerRefused, require

MOST_INPUTS = 500
_DEFAULT_SEQUENCE = 0xFFFFFFFF


async def sign_psbt(signer: Signer, psbt: bytes) -> SignedTransaction:
    """The finished transaction of a PSBT (version 0) whose inputs are all this key's, as `sendrawtransaction` takes it, and its txid.

    Raises:
        SignerRefused: the PSBT cannot be read, an input is another's or has no output to spend, or it asks for more than SIGHASH_ALL.
        SignerError: as the signer says.
    """
    require(signer, Curve.SECP256K1)
    public_key = await signer.public_key()
    parsed, transaction = _read(psbt)
    script = p2wpkh_script(public_key)
    values = [_spent(index, scope, script) for index, scope in enumerate(parsed.inputs)]
    if sum(values) < sum(output.value for output in transaction.vout):
        raise SignerRefused("the transaction spends more than its inputs hold")
    for index, value in enumerate(values):
        signature = await signer.sign_digest(input_digest(transaction, index, script, value))
        der = encode_dss_signature(signature.r, signature.s)
        transaction.vin[index].witness = Witness([der + bytes([SIGHASH.ALL]), public_key])
    return SignedTransaction(transaction.serialize(), transaction.txid().hex())


def input_digest(transaction: Transaction, index: int, script: Script, value: int) -> bytes:
    """What is signed for an input that spends `value` from this P2WPKH script (BIP-143), over everything."""
    digest: bytes = transaction.sighash_segwit(index, p2pkh_from_p2wpkh(script), value, SIGHASH.ALL)
    return digest


def p2wpkh_script(public_key: bytes) -> Script:
    """The script that pays to a compressed key."""
    return Script(b"\x00\x14" + hashes.hash160(public_key))


def bitcoin_address(public_key: bytes, hrp: str) -> str:
    """The P2WPKH address (BIP-173) of a compressed key under the chain's prefix, such as `bc`."""
    address: str = bech32.encode(hrp, 0, hashes.hash160(public_key))
    return address


def _read(psbt: bytes) -> tuple[PSBT, Transaction]:
    """The PSBT, and the unsigned transaction in it.

    embit replaces a sequence of 0 by another when it reads it: the transaction made of what it read must stand in the PSBT as it is.
    """
    try:
        parsed = PSBT.parse(psbt)
        inputs = [TransactionInput(each.txid, each.vout, sequence=_sequence(each)) for each in parsed.inputs]
        outputs = [each.vout for each in parsed.outputs]
        transaction = Transaction(parsed.tx_version, inputs, outputs, parsed.locktime)
        unsigned = transaction.serialize()
    except EMBIT_ERRORS:
        raise SignerRefused("the PSBT cannot be read") from None
    if parsed.version is not None or not inputs or not outputs or unsigned not in psbt:
        raise SignerRefused("the PSBT holds no transaction that can be signed here; expected version 0 (BIP-174)")
    if len(inputs) > MOST_INPUTS:
        raise SignerRefused(f"the PSBT has {len(inputs)} inputs; expected {MOST_INPUTS} at most")
    return parsed, transaction


def _sequence(scope: InputScope) -> int:
    return _DEFAULT_SEQUENCE if scope.sequence is None else int(scope.sequence)


def _spent(index: int, scope: InputScope, script: Script) -> int:
    """What the input's output holds, in the smallest unit; the output must be the key's own."""
    output = scope.witness_utxo
    if output is None:
        raise SignerRefused(f"input {index} does not say which output it spends (witness_utxo)")
    if output.script_pubkey != script:
        raise SignerRefused(f"input {index} is not this key's")
    if scope.sighash_type not in (None, SIGHASH.ALL):
        raise SignerRefused(f"input {index} asks for another signature than over everything (SIGHASH_ALL)")
    previous = scope.non_witness_utxo
    if previous is not None:
        told = previous.vout[scope.vout] if scope.vout < len(previous.vout) else None
        if previous.txid() != scope.txid or told is None or told.serialize() != output.serialize():
            raise SignerRefused(f"input {index} contradicts the transaction that it spends from")
    return int(output.value)
