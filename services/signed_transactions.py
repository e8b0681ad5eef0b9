"""Signed transactions of EVM chains as `eth_sendRawTransaction` takes them: read strictly, with who signed them.

Taken are those of EIP-155 (legacy with a chain), EIP-2930 (type 1) and EIP-1559 (type 2). Others are refused: without a chain anybody may send them on
another one, and an authorization (EIP-7702) gives a wallet away.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from coincurve import PublicKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode

MOST_BYTES = 128 * 1024
"""What nodes take (geth, core/txpool/legacypool, txMaxSize)."""
_HEX = re.compile(r"0x([0-9a-fA-F]{2})+", re.ASCII)
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1; a signature's s is in the lower half (EIP-2)."""
_FEE_FACTOR = 2
"""Wallets set fees of their own; up to so many times what was prepared is still that."""
_UINT64, _UINT256 = 2**64, 2**256


@dataclass(frozen=True, slots=True)
class SignedEvm:
    """What was signed. `to` is None where it makes a contract; `value` and the fees for a unit of gas in wei; addresses with their checksum."""

    raw: bytes
    hash: str
    sender: str
    chain_id: int
    nonce: int
    to: str | None
    value: int
    gas: int
    max_fee: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What was prepared, in the same units."""

    sender: str
    chain_id: int
    nonce: int
    to: str
    value: int
    gas: int
    max_fee: int
    data: bytes


class SignedUnreadable(WalletRefused):
    """What was given is no signed transaction that is taken here."""

    def __init__(self, text: str) -> None:
        super().__init__(text, reason=WalletErrorCode.TRANSACTION_REFUSED, field=["signed"])


class _Malformed(ValueError):
    """A field is not what it must be."""


def read_signed(text: str) -> SignedEvm:
    """The transaction. Raises SignedUnreadable."""
    if len(text) > 2 * MOST_BYTES + 2 or _HEX.fullmatch(text) is None:
        raise SignedUnreadable("expected a signed transaction: 0x and hexadecimal digits, at most 128 KiB")
    raw = bytes.fromhex(text[2:])
    if raw[0] < 0x80 and raw[0] not in (1, 2):
        raise SignedUnreadable("transactions of this type are not taken here; EIP-1559 ones are (type 2)")
    try:
        return _typed(raw) if raw[0] < 0x80 else _legacy(raw)
    except (RLPException, RecursionError, _Malformed):
        raise SignedUnreadable("this is no well-formed signed transaction") from None


def differences(signed: SignedEvm, expected: Expected) -> list[str]:
    """How what was signed differs from what was prepared, by the names of the payload; the fee only where it can be more than twice
    as high, since wallets set fees of their own."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("from", signed.sender, expected.sender),
        ("chainId", signed.chain_id, expected.chain_id),
        ("to", signed.to or "-", expected.to),
        ("value", signed.value, expected.value),
        ("data", _shortened(signed.data), _shortened(expected.data)),
        ("nonce", signed.nonce, expected.nonce),
    )
    found = [f"{name}: {actual} ≠ {wanted}" for name, actual, wanted in pairs if actual != wanted]
    fee, most = signed.gas * signed.max_fee, expected.gas * expected.max_fee * _FEE_FACTOR
    return [*found, f"fee: {fee} > {most}"] if fee > most else found


def _typed(raw: bytes) -> SignedEvm:
    """EIP-2930, EIP-1559: type || rlp([chainId, nonce, fees…, gas, to, value, data, accessList, yParity, r, s])."""
    fields = _fields(raw[1:])
    fees = raw[0]
    if len(fees_and_rest := fields[2:]) != fees + 8:
        raise _Malformed("fields")
    max_fee = _number(fees_and_rest[fees - 1], _UINT256)
    if fees == 2 and _number(fees_and_rest[0], _UINT256) > max_fee:
        raise _Malformed("fees")
    gas, to, value, data, access, parity, r, s = fees_and_rest[fees:]
    _check_access(access)
    digest = keccak(raw[:1] + rlp.encode(fields[:-3]))
    return SignedEvm(
        raw=raw,
        hash="0x" + keccak(raw).hex(),
        sender=_sender(digest, _number(parity, 2), r, s),
        chain_id=_number(fields[0], _UINT64),
        nonce=_number(fields[1], _UINT64),
        to=_address(to),
        value=_number(value, _UINT256),
        gas=_number(gas, _UINT64),
        max_fee=max_fee,
        data=_bytes(data),
    )


def _legacy(raw: bytes) -> SignedEvm:
    """EIP-155: rlp([nonce, gasPrice, gas, to, value, data, v, r, s]), v = chainId * 2 + 35 or 36."""
    fields = _fields(raw)
    if len(fields) != 9:
        raise _Malformed("fields")
    nonce, price, gas, to, value, data, v, r, s = fields
    replay = _number(v, _UINT64)
    if replay < 37:
        raise SignedUnreadable("the transaction names no chain (EIP-155), so anybody could send it on another one")
    chain_id, parity = divmod(replay - 35, 2)
    digest = keccak(rlp.encode([*fields[:6], chain_id, b"", b""]))
    return SignedEvm(
        raw=raw,
        hash="0x" + keccak(raw).hex(),
        sender=_sender(digest, parity, r, s),
        chain_id=chain_id,
        nonce=_number(nonce, _UINT64),
        to=_address(to),
        value=_number(value, _UINT256),
        gas=_number(gas, _UINT64),
        max_fee=_number(price, _UINT256),
        data=_bytes(data),
    )


def _fields(payload: bytes) -> list[object]:
    fields = rlp.decode(payload, strict=True)
    if not isinstance(fields, list | tuple) or len(fields) < 9:
        raise _Malformed("fields")
    return list(fields)


def _sender(digest: bytes, parity: int, r: object, s: object) -> str:
    """Who signed (SEC 1, 4.1.6)."""
    first, second = _number(r, _ORDER), _number(s, _ORDER // 2 + 1)
    if not first or not second:
        raise _Malformed("signature")
    signature = first.to_bytes(32, "big") + second.to_bytes(32, "big") + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError as error:
        raise _Malformed("signature") from error
    address: str = to_checksum_address(keccak(key.format(compressed=False)[1:])[-20:])
    return address


def _number(value: object, below: int) -> int:
    raw = _bytes(value)
    if raw[:1] == b"\0" or len(raw) > 32 or (number := int.from_bytes(raw, "big")) >= below:
        raise _Malformed("number")
    return number


def _address(value: object) -> str | None:
    raw = _bytes(value)
    if len(raw) not in (0, 20):
        raise _Malformed("to")
    return to_checksum_address(raw) if raw else None


def _check_access(value: object) -> None:
    """An access list (EIP-2930): pairs of an address and its 32-byte slots."""
    for entry in _list(value):
        pair = _list(entry)
        if len(pair) != 2 or len(_bytes(pair[0])) != 20 or any(len(_bytes(slot)) != 32 for slot in _list(pair[1])):
            raise _Malformed("access list")


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise _Malformed("list")
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _Malformed("bytes")
    return value


def _shortened(data: bytes) -> str:
    text = "0x" + data.hex()
    return text if len(text) <= 74 else f"{text[:66]}… ({len(data)} bytes, {keccak(data).hex()[:16]})"
