"""How long a signed transaction will be, and what is dust. Pure.

Inputs are counted as one key signs them, with a signature of the greatest usual length (72 bytes with its type; Bitcoin Core, wallet/spend.cpp, counts
alike), so that the real transaction is never longer: P2SH stands for P2SH-P2WPKH, P2TR for the key path. Weight units as BIP-141 counts them.
"""

from collections.abc import Sequence

from integrations.chains.bitcoin.addresses import ScriptType, type_of
from integrations.chains.bitcoin.transactions import TxOutput, compact_size

_OUTPOINT_AND_SEQUENCE = 40
_KEY_WITNESS = 1 + 1 + 72 + 1 + 33
"""Count, signature, public key, each after its size."""
INPUT_WEIGHT = {
    ScriptType.P2PKH: 4 * (_OUTPOINT_AND_SEQUENCE + 1 + 107),
    ScriptType.P2SH: 4 * (_OUTPOINT_AND_SEQUENCE + 1 + 23) + _KEY_WITNESS,
    ScriptType.P2WPKH: 4 * (_OUTPOINT_AND_SEQUENCE + 1) + _KEY_WITNESS,
    ScriptType.P2TR: 4 * (_OUTPOINT_AND_SEQUENCE + 1) + 1 + 1 + 65,
}
"""Of the inputs that can be spent with one signature; P2WSH depends on its script and is not counted."""
_LEGACY_SPEND, _WITNESS_SPEND = 32 + 4 + 1 + 107 + 4, 32 + 4 + 1 + 107 // 4 + 4


def transaction_weight(inputs: Sequence[ScriptType], outputs: Sequence[TxOutput]) -> int:
    """The most that the signed transaction weighs. Raises ValueError for an input that one key cannot sign."""
    weight = 4 * (8 + len(compact_size(len(inputs))) + len(compact_size(len(outputs))))
    weight += sum(output_weight(each) for each in outputs)
    weight += sum(input_weight(each) for each in inputs)
    if any(each is not ScriptType.P2PKH for each in inputs):
        weight += 2 + sum(
            each is ScriptType.P2PKH for each in inputs
        )  # marker and flag; an empty witness for each input without
    return weight


def input_weight(type_: ScriptType) -> int:
    """Of one signed input. Raises ValueError for one that one key cannot sign."""
    weight = INPUT_WEIGHT.get(type_)
    if weight is None:
        raise ValueError(f"inputs of type {type_} are not signed with one key")
    return weight


def output_weight(output: TxOutput) -> int:
    """Of one output."""
    return 4 * (8 + len(compact_size(len(output.script))) + len(output.script))


def vsize_of(weight: int) -> int:
    """Virtual bytes of a weight."""
    return -(-weight // 4)


def fee_for(vsize: int, sat_per_kvb: int) -> int:
    """Satoshis that so many virtual bytes cost at a rate, rounded up."""
    return -(-vsize * sat_per_kvb // 1000)


def fee_of_weight(weight: int, sat_per_kvb: int) -> int:
    """Satoshis that so many weight units cost at a rate, rounded up."""
    return -(-weight * sat_per_kvb // 4000)


def dust_threshold(script: bytes, dust_per_kvb: int) -> int:
    """The least that an output may hold: what it costs to make and to spend it (Bitcoin Core, policy/policy.cpp, GetDustThreshold)."""
    witness = type_of(script) in (ScriptType.P2WPKH, ScriptType.P2WSH, ScriptType.P2TR)
    size = 8 + len(compact_size(len(script))) + len(script) + (_WITNESS_SPEND if witness else _LEGACY_SPEND)
    return fee_for(size, dust_per_kvb)
