"""Partially signed transactions (BIP-174, version 0): what is prepared for a wallet to sign, kept as the one text that holds all of it. Pure.

Inputs signal that they may be replaced (BIP-125), and inputs and outputs stand in the order of BIP-69, which does not tell the change from the payment.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embit.psbt import PSBT, InputScope
from embit.script import Script
from embit.transaction import Transaction, TransactionOutput

from integrations.chains.bitcoin.addresses import ScriptType, type_of
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.parameters import MAX_RBF_SEQUENCE, MOST_SATS
from integrations.chains.bitcoin.sizes import transaction_weight, vsize_of
from integrations.chains.bitcoin.transactions import (
    NotReadable,
    Reader,
    Tx,
    TxInput,
    TxOutput,
    parse_transaction,
    serialize,
)
from integrations.embit_errors import EMBIT_ERRORS

MOST_PSBT_BYTES = 4_000_000
NOT_REPLACEABLE = 0xFFFFFFFE
_FIRST_KEY = b"psbt\xff\x01\x00"
"""Magic, and the key of the unsigned transaction."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An unsigned transaction with what it spends, in the order of its inputs; `psbt` in Base64. `fee` in satoshis; `vsize`: once signed, at most."""

    psbt: str
    tx: Tx
    spent: tuple[TxOutput, ...]
    fee: int
    vsize: int

    @property
    def sat_per_kvb(self) -> int:
        """The fee rate, rounded down."""
        return self.fee * 1000 // self.vsize

    @property
    def coins(self) -> tuple[Coin, ...]:
        """What it spends."""
        pairs = zip(self.tx.inputs, self.spent, strict=True)
        return tuple(Coin(each.outpoint, output.sats, output.script) for each, output in pairs)


def build(
    coins: Sequence[Coin],
    outputs: Sequence[TxOutput],
    *,
    previous: Mapping[str, bytes] | None = None,
    locktime: int = 0,
    replaceable: bool = True,
) -> Prepared:
    """The transaction that spends these coins on these outputs; what is left is its fee.

    `previous`: transactions that the coins come from, by txid, as they travel. P2PKH and P2SH coins need theirs: their signatures do not cover the
    amount. With it hardware wallets can check the others too. `locktime`: the newest height makes it useless to mine it in place of a newer block
    (Bitcoin Core, "anti fee sniping").

    Raises ValueError for what cannot be signed: no coins, a coin twice, too little in them, a previous transaction that is missing or another.
    """
    spent_by = {each.outpoint: each for each in coins}
    if not coins or not outputs or len(spent_by) != len(coins):
        raise ValueError("coins and outputs are needed, each coin once")
    if not all(0 < each.sats <= MOST_SATS for each in outputs):
        raise ValueError("an output holds nothing, or more than there is")
    ordered = sorted(coins, key=lambda each: each.outpoint)
    sequence = MAX_RBF_SEQUENCE if replaceable else NOT_REPLACEABLE
    inputs = tuple(TxInput(each.outpoint, sequence) for each in ordered)
    unsigned = serialize(inputs, tuple(sorted(outputs, key=_bip_69)), locktime=locktime)
    psbt = PSBT(Transaction.parse(unsigned))
    for scope, coin in zip(psbt.inputs, ordered, strict=True):
        _describe(scope, coin, (previous or {}).get(coin.outpoint.txid))
    return _prepared(psbt, parse_transaction(unsigned))


def read_prepared(psbt: str) -> Prepared:
    """What `build` made, from its text. Raises NotReadable."""
    parsed, tx = read_psbt(psbt_bytes(psbt))
    return _prepared(parsed, tx)


def psbt_bytes(text: str) -> bytes:
    """The bytes of a PSBT in Base64. Raises NotReadable."""
    if len(text) > 2 * MOST_PSBT_BYTES:
        raise NotReadable("it is longer than a block")
    try:
        return b64decode(text.strip(), validate=True)
    except (Base64Error, ValueError):
        raise NotReadable("it is no Base64") from None


def read_psbt(raw: bytes) -> tuple[PSBT, Tx]:
    """A PSBT and the unsigned transaction in it, to the byte. Raises NotReadable.

    The transaction is read first: embit changes a sequence of 0, drops signatures that must not be there, and makes as many inputs as a PSBT without
    a transaction says.
    """
    if len(raw) > MOST_PSBT_BYTES:
        raise NotReadable("it is longer than a block")
    if not raw.startswith(_FIRST_KEY):
        raise NotReadable("it is no PSBT of version 0 (BIP-174)")
    reader = Reader(raw)
    reader.take(len(_FIRST_KEY))
    tx = parse_transaction(reader.text())
    if any(each.script_sig or each.witness for each in tx.inputs):
        raise NotReadable("its transaction is signed already")
    try:
        parsed = PSBT.parse(raw)
    except EMBIT_ERRORS:
        raise NotReadable("it is no PSBT") from None
    return parsed, tx


def spent_output(scope: InputScope) -> TxOutput:
    """What an input of a PSBT spends, by its own word; checked where the transaction that it comes from is in it. Raises NotReadable."""
    previous, witness = scope.non_witness_utxo, scope.witness_utxo
    told: TransactionOutput | None = witness
    if previous is not None:
        if previous.txid() != scope.txid or scope.vout >= len(previous.vout):
            raise NotReadable("an input contradicts the transaction that it spends from")
        told = previous.vout[scope.vout]
        if witness is not None and witness.serialize() != told.serialize():
            raise NotReadable("an input contradicts the transaction that it spends from")
    if told is None:
        raise NotReadable("an input does not say what it spends")
    return TxOutput(bytes(told.script_pubkey.data), int(told.value))


def _prepared(psbt: PSBT, tx: Tx) -> Prepared:
    spent = tuple(spent_output(scope) for scope in psbt.inputs)
    fee = sum(each.sats for each in spent) - sum(each.sats for each in tx.outputs)
    types = [type_of(each.script) for each in spent]
    if fee < 0:
        raise NotReadable("it pays out more than it spends")
    vsize = vsize_of(transaction_weight([each for each in types if each is not None], tx.outputs))
    return Prepared(b64encode(psbt.serialize()).decode(), tx, spent, fee, vsize)


def _describe(scope: InputScope, coin: Coin, previous: bytes | None) -> None:
    """Say in the PSBT what an input spends."""
    output = TransactionOutput(coin.sats, Script(coin.script))
    if coin.type in (ScriptType.P2PKH, ScriptType.P2SH) and previous is None:
        raise ValueError(f"a {coin.type} coin needs the transaction that it comes from")
    if coin.type is not ScriptType.P2PKH:
        scope.witness_utxo = output
    if previous is None or coin.type is ScriptType.P2TR:
        return  # BIP-371 asks to leave it out: signatures of Taproot cover all amounts
    tx = parse_transaction(previous)
    at = coin.outpoint.vout
    if tx.txid != coin.outpoint.txid or at >= len(tx.outputs) or tx.outputs[at] != (coin.script, coin.sats):
        raise ValueError("a coin is not of the transaction that it is said to come from")
    scope.non_witness_utxo = Transaction.parse(previous)


def _bip_69(output: TxOutput) -> tuple[int, bytes]:
    return output.sats, output.script
