"""Which scripts an input may spend, as its own bytes tell: who spends must show the key or the script that the output's hash stands for. Pure.

It is a filter and no proof: what an input really spends, the transaction tells that it names. A key of Taproot (BIP-341) is not shown.
"""

from hashlib import sha256

from embit.hashes import hash160

from integrations.chains.bitcoin.addresses import ScriptType, script_of
from integrations.chains.bitcoin.transactions import NotReadable, Reader, TxInput

_KEY_LENGTH = 33
_SIGNATURES = (64, 65)
_ANNEX = 0x50
_TAPSCRIPT = 0xC0
"""The only leaf version there is (BIP-342)."""
_CONTROL_HEAD, _CONTROL_STEP = 33, 32
_DIRECT = 75
"""Longest push whose operation is its length."""
_PUSH_SIZES = {0x4C: 1, 0x4D: 2, 0x4E: 4}
"""OP_PUSHDATA1, 2 and 4: bytes of the length that follows."""
_SMALL_NUMBERS = {0x4F, *range(0x51, 0x61)}
"""OP_1NEGATE, and OP_1 to OP_16."""


def shown_scripts(spends: TxInput) -> tuple[bytes, ...]:
    """Every scriptPubKey of a kind with addresses that this input can spend, but for Taproot's."""
    if spends.script_sig:
        pushed = _last_push(spends.script_sig)
        if not pushed:
            return ()
        hashed = hash160(pushed)
        return script_of(ScriptType.P2SH, hashed), script_of(ScriptType.P2PKH, hashed)
    if not spends.witness:
        return ()
    last = spends.witness[-1]
    found = [script_of(ScriptType.P2WSH, sha256(last).digest())]
    if len(spends.witness) == 2 and len(last) == _KEY_LENGTH:
        found.append(script_of(ScriptType.P2WPKH, hash160(last)))
    return tuple(found)


def may_be_taproot(spends: TxInput) -> bool:
    """Whether the witness has the shape of one that spends an output of Taproot."""
    items = spends.witness
    if spends.script_sig or not items:
        return False
    if len(items) > 1 and items[-1][:1] == bytes([_ANNEX]):
        items = items[:-1]
    if len(items) == 1:
        return len(items[0]) in _SIGNATURES
    length = len(items[-1])
    return (
        length >= _CONTROL_HEAD and items[-1][0] & 0xFE == _TAPSCRIPT and (length - _CONTROL_HEAD) % _CONTROL_STEP == 0
    )


def _last_push(script: bytes) -> bytes:
    """What is on top of the stack after a script of nothing but pushes; nothing for any other."""
    reader, last = Reader(script), b""
    try:
        while not reader.done:
            op = reader.number(1)
            if op <= _DIRECT:
                last = reader.take(op)
            elif op in _PUSH_SIZES:
                last = reader.take(reader.number(_PUSH_SIZES[op]))
            elif op in _SMALL_NUMBERS:
                last = b""
            else:
                return b""
    except NotReadable:
        return b""
    return last
