"""What a wallet gives back: a signed PSBT or a raw transaction; and how that differs from what was prepared. Pure.

Signatures are not verified here: nodes do, and say so (`errors.py`, SIGNATURE_INVALID).
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from embit.hashes import hash160
from embit.psbt import InputScope

from integrations.chains.bitcoin.addresses import ScriptType, address_of, type_of
from integrations.chains.bitcoin.parameters import COIN, MAX_RBF_SEQUENCE, BitcoinNetwork
from integrations.chains.bitcoin.psbt import (
    MOST_PSBT_BYTES,
    Prepared,
    psbt_bytes,
    read_psbt,
    spent_output,
)
from integrations.chains.bitcoin.transactions import (
    NotReadable,
    Tx,
    TxInput,
    TxOutput,
    parse_transaction,
    serialize,
)
from integrations.embit_errors import EMBIT_ERRORS

_HEX = re.compile(r"([0-9a-fA-F]{2})+", re.ASCII)
_MAGIC = b"psbt\xff"
_TAP_KEY_SIG = b"\x13"
"""PSBT_IN_TAP_KEY_SIG (BIP-371), which embit keeps among what it does not know."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as it may be sent. `unsigned`: places of inputs without a signature, from 0."""

    raw: bytes
    tx: Tx
    unsigned: tuple[int, ...]


class DifferenceKind(StrEnum):
    """In what a signed transaction differs from the prepared one."""

    SIGNATURE = "SIGNATURE"
    INPUT_ADDED = "INPUT_ADDED"
    INPUT_MISSING = "INPUT_MISSING"
    OUTPUT_ADDED = "OUTPUT_ADDED"
    OUTPUT_MISSING = "OUTPUT_MISSING"
    FEE = "FEE"
    LOCKTIME = "LOCKTIME"
    NOT_REPLACEABLE = "NOT_REPLACEABLE"
    VERSION = "VERSION"
    ORDER = "ORDER"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, as a sentence for the person who signed."""

    kind: DifferenceKind
    sentence: str

    @property
    def harmless(self) -> bool:
        """Some wallets order inputs and outputs anew, or set the transaction's version: what is spent, and on what, stays the same."""
        return self.kind in (DifferenceKind.ORDER, DifferenceKind.VERSION)


def read_signed(text: str) -> Signed:
    """A signed transaction: a PSBT in Base64 or hexadecimal, finalized or not, or a raw transaction in hexadecimal. Raises NotReadable."""
    text = text.strip()
    if len(text) > 2 * MOST_PSBT_BYTES:
        raise NotReadable("it is longer than a block")
    raw = bytes.fromhex(text) if _HEX.fullmatch(text) else psbt_bytes(text)
    if raw.startswith(_MAGIC):
        return _extract(raw)
    return _signed(raw, parse_transaction(raw))


def differences(prepared: Prepared, signed: Signed, network: BitcoinNetwork) -> list[Difference]:
    """How a signed transaction differs from what was prepared; empty when it is the same and wholly signed."""
    kind = DifferenceKind
    found = [Difference(kind.SIGNATURE, f"Input {each + 1} is not signed.") for each in signed.unsigned]
    wanted, given = prepared.tx, signed.tx
    found += _of_inputs(wanted, given)
    found += _of_outputs(wanted, given, network)
    if {each.outpoint for each in wanted.inputs} == {each.outpoint for each in given.inputs}:
        fee = sum(each.sats for each in prepared.spent) - sum(each.sats for each in given.outputs)
        if fee != prepared.fee:
            found.append(Difference(kind.FEE, f"The fee is {_coins(fee)} instead of {_coins(prepared.fee)}."))
    if wanted.locktime != given.locktime:
        text = f"It may be mined after {given.locktime} (lock time) instead of {wanted.locktime}."
        found.append(Difference(kind.LOCKTIME, text))
    if _replaceable(wanted) and not _replaceable(given):
        found.append(Difference(kind.NOT_REPLACEABLE, "It does not allow to raise its fee later."))
    if wanted.version != given.version:
        found.append(Difference(kind.VERSION, f"It has version {given.version} instead of {wanted.version}."))
    if not found and not _same_order(wanted, given):
        found.append(Difference(kind.ORDER, "Its inputs and outputs stand in another order."))
    return found


def _of_inputs(wanted: Tx, given: Tx) -> list[Difference]:
    wanted_spends = [each.outpoint for each in wanted.inputs]
    given_spends = [each.outpoint for each in given.inputs]
    found = [
        Difference(DifferenceKind.INPUT_MISSING, f"It does not spend {each.txid}:{each.vout}.")
        for each in wanted_spends
        if each not in given_spends
    ]
    return found + [
        Difference(DifferenceKind.INPUT_ADDED, f"It would also spend {each.txid}:{each.vout}.")
        for each in given_spends
        if each not in wanted_spends
    ]


def _of_outputs(wanted: Tx, given: Tx, network: BitcoinNetwork) -> list[Difference]:
    missing = Counter(wanted.outputs) - Counter(given.outputs)
    added = Counter(given.outputs) - Counter(wanted.outputs)
    found = [
        Difference(DifferenceKind.OUTPUT_MISSING, f"It does not pay {_words(each, network)}.")
        for each in missing.elements()
    ]
    return found + [
        Difference(DifferenceKind.OUTPUT_ADDED, f"It would pay {_words(each, network)}.") for each in added.elements()
    ]


def _words(output: TxOutput, network: BitcoinNetwork) -> str:
    return f"{_coins(output.sats)} to {address_of(output.script, network) or 'a script without an address'}"


def _coins(sats: int) -> str:
    sign, whole, part = "-" if sats < 0 else "", *divmod(abs(sats), COIN)
    return f"{sign}{whole}.{part:08}".rstrip("0").rstrip(".")


def _replaceable(tx: Tx) -> bool:
    return any(each.sequence <= MAX_RBF_SEQUENCE for each in tx.inputs)


def _same_order(wanted: Tx, given: Tx) -> bool:
    same_inputs = [each.outpoint for each in wanted.inputs] == [each.outpoint for each in given.inputs]
    return same_inputs and wanted.outputs == given.outputs


def _signed(raw: bytes, tx: Tx) -> Signed:
    unsigned = (at for at, each in enumerate(tx.inputs) if not each.script_sig and not each.witness)
    return Signed(raw, tx, tuple(unsigned))


def _extract(raw: bytes) -> Signed:
    """The transaction of a PSBT with what is signed of it (BIP-174, Input Finalizer and Transaction Extractor)."""
    parsed, tx = read_psbt(raw)
    try:
        inputs = tuple(_finalized(each, scope) for each, scope in zip(tx.inputs, parsed.inputs, strict=True))
        made = serialize(inputs, tx.outputs, version=tx.version, locktime=tx.locktime)
    except NotReadable:
        raise
    except EMBIT_ERRORS:
        raise NotReadable("a signature in it cannot be read") from None
    return _signed(made, parse_transaction(made))


def _finalized(unsigned: TxInput, scope: InputScope) -> TxInput:
    """The input with its signature, as far as it has one of a single key."""
    if scope.final_scriptsig is not None or scope.final_scriptwitness is not None:
        script = b"" if scope.final_scriptsig is None else bytes(scope.final_scriptsig.data)
        witness = () if scope.final_scriptwitness is None else tuple(map(bytes, scope.final_scriptwitness.items))
        return unsigned._replace(script_sig=script, witness=witness)
    script = spent_output(scope).script
    type_ = type_of(script)
    if type_ is ScriptType.P2TR:
        signature = scope.unknown.get(_TAP_KEY_SIG)
        return unsigned if signature is None else unsigned._replace(witness=(bytes(signature),))
    script_sig = b""
    if type_ is ScriptType.P2SH and scope.redeem_script is not None:
        redeem = bytes(scope.redeem_script.data)
        if hash160(redeem) != script[2:22]:
            return unsigned
        script_sig, script, type_ = bytes([len(redeem)]) + redeem, redeem, type_of(redeem)
    pair = _pair(scope, script[3:23] if type_ is ScriptType.P2PKH else script[2:22])
    if pair is None:
        return unsigned
    if type_ is ScriptType.P2PKH and not script_sig:
        return unsigned._replace(script_sig=b"".join(bytes([len(each)]) + each for each in pair))
    return unsigned._replace(script_sig=script_sig, witness=pair) if type_ is ScriptType.P2WPKH else unsigned


def _pair(scope: InputScope, key_hash: bytes) -> tuple[bytes, bytes] | None:
    """Signature and public key of the key with this hash."""
    for key, signature in scope.partial_sigs.items():
        if hash160(key.sec()) == key_hash:
            return bytes(signature), bytes(key.sec())
    return None
