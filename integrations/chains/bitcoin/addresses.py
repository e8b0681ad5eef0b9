"""Addresses of chains of Bitcoin's kind: Base58Check (BIP-13), Bech32 (BIP-173) and Bech32m (BIP-350); and the scripts that they stand for. Pure."""

import re
from base64 import b32decode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from embit import base58, bech32

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.parameters import BitcoinNetwork

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{25,50}", re.ASCII)
_EVM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_LONGEST = 90


class ScriptType(StrEnum):
    """The scripts that have addresses and may be paid to."""

    P2PKH = "P2PKH"
    P2SH = "P2SH"
    P2WPKH = "P2WPKH"
    P2WSH = "P2WSH"
    P2TR = "P2TR"


@dataclass(frozen=True, slots=True)
class BitcoinAddress:
    """An address in its normal spelling, with its scriptPubKey."""

    text: str
    type: ScriptType
    script: bytes


class NotAnAddress(ValueError):
    """A text that cannot be paid to. `code` tells another network's address (ADDRESS_WRONG_NETWORK) from no address (ADDRESS_INVALID).

    `text` says what is wrong, with `{names}` of `values`; it never repeats the input.
    """

    def __init__(
        self,
        text: str,
        values: Mapping[str, str | int] | None = None,
        *,
        code: WalletErrorCode = WalletErrorCode.ADDRESS_INVALID,
    ) -> None:
        super().__init__(text.format_map(values or {}))
        self.text = text
        self.values = values or {}
        self.code = code


_CHECKSUM = 6
_BYTES = (32, 52)
"""Letters of Bech32 that hold the 20 or 32 bytes of a witness program."""
_BASE32 = str.maketrans("qpzry9x8gf2tvdw0s3jn54khce6mua7l", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
"""To the letters of RFC 4648."""
_SHAPES: tuple[tuple[ScriptType, bytes, int, bytes], ...] = (
    (ScriptType.P2PKH, b"\x76\xa9\x14", 20, b"\x88\xac"),
    (ScriptType.P2SH, b"\xa9\x14", 20, b"\x87"),
    (ScriptType.P2WPKH, b"\x00\x14", 20, b""),
    (ScriptType.P2WSH, b"\x00\x20", 32, b""),
    (ScriptType.P2TR, b"\x51\x20", 32, b""),
)
_WITNESS = {(0, 20): ScriptType.P2WPKH, (0, 32): ScriptType.P2WSH, (1, 32): ScriptType.P2TR}
_VERSIONS = {ScriptType.P2WPKH: 0, ScriptType.P2WSH: 0, ScriptType.P2TR: 1}


def parse_address(given: str, network: BitcoinNetwork) -> BitcoinAddress:
    """The address. Raises NotAnAddress."""
    if not given.isascii() or len(given) > _LONGEST:
        text = "this is no address; expected one of letters and digits, as the receiver gave it"
        raise NotAnAddress(text)
    found = _segwit(given, network) or _base58(given, network)
    if found is not None:
        return found
    if _EVM.fullmatch(given) or _is_solana(given):
        raise _other_network(network)
    text = "this is no address, or a letter of it is wrong: its checksum does not fit"
    raise NotAnAddress(text)


def known_script(address: str, network: BitcoinNetwork) -> bytes:
    """The scriptPubKey of an address in its normal spelling that was checked before, as those are that are stored here: many of them fast, without their checksums."""
    prefix = f"{network.hrp}1"
    payload = address[len(prefix) + 1 : -_CHECKSUM]
    if not address.startswith(prefix) or len(payload) not in _BYTES:
        return parse_address(address, network).script
    version = b"\x51" if address[len(prefix)] == "p" else b"\x00"
    program = b32decode(payload.translate(_BASE32) + "=" * (-len(payload) % 8))
    return version + bytes([len(program)]) + program


def script_of(type_: ScriptType, payload: bytes) -> bytes:
    """The scriptPubKey that pays to a hash or x-only key. Raises ValueError for a payload of another length."""
    shape = next(each for each in _SHAPES if each[0] is type_)
    if len(payload) != shape[2]:
        raise ValueError(f"{type_} needs {shape[2]} bytes")
    return shape[1] + payload + shape[3]


def type_of(script: bytes) -> ScriptType | None:
    """What a scriptPubKey is; None for one without an address."""
    found = _recognise(script)
    return None if found is None else found[0]


def address_of(script: bytes, network: BitcoinNetwork) -> str | None:
    """The address of a scriptPubKey; None for one without."""
    found = _recognise(script)
    if found is None:
        return None
    type_, payload = found
    if type_ is ScriptType.P2PKH or type_ is ScriptType.P2SH:
        version = network.p2pkh if type_ is ScriptType.P2PKH else network.p2sh
        text: str = base58.encode_check(bytes([version]) + payload)
        return text
    encoded: str = bech32.encode(network.hrp, _VERSIONS[type_], payload)
    return encoded


def _recognise(script: bytes) -> tuple[ScriptType, bytes] | None:
    for type_, head, length, tail in _SHAPES:
        end = len(head) + length
        if len(script) == end + len(tail) and script.startswith(head) and script.endswith(tail):
            return type_, script[len(head) : end]
    return None


def _segwit(given: str, network: BitcoinNetwork) -> BitcoinAddress | None:
    if given not in (given.lower(), given.upper()):
        _refuse_mixed_case(given)
        return None
    _, prefix, _ = bech32.bech32_decode(given)
    if prefix is None:
        return None
    version, program = bech32.decode(prefix, given.lower())
    if version is None:
        text = "this is no address: it breaks the rules of BIP-173 and BIP-350"
        raise NotAnAddress(text)
    if prefix != network.hrp:
        raise _other_network(network)
    type_ = _WITNESS.get((version, len(program)))
    if type_ is None:
        text = "coins sent to this kind of address could be lost; expected a witness of version 0 or 1"
        raise NotAnAddress(text)
    return BitcoinAddress(given.lower(), type_, script_of(type_, bytes(program)))


def _refuse_mixed_case(given: str) -> None:
    """BIP-173 refuses capitals beside small letters, for one of them is an error; Base58 has both."""
    _, prefix, _ = bech32.bech32_decode(given.lower())
    if prefix is not None:
        text = "this address has capitals beside small letters; expected it as the receiver gave it"
        raise NotAnAddress(text)


def _base58(text: str, network: BitcoinNetwork) -> BitcoinAddress | None:
    if _BASE58.fullmatch(text) is None:
        return None
    try:
        data = base58.decode_check(text)
    except ValueError:
        return None
    if len(data) != 21:
        return None
    types = {network.p2pkh: ScriptType.P2PKH, network.p2sh: ScriptType.P2SH}
    type_ = types.get(data[0])
    if type_ is None:
        raise _other_network(network)
    return BitcoinAddress(text, type_, script_of(type_, data[1:]))


def _is_solana(text: str) -> bool:
    """32 bytes in Base58."""
    return _BASE58.fullmatch(text) is not None and len(base58.decode(text)) == 32


def _other_network(network: BitcoinNetwork) -> NotAnAddress:
    text = "this is an address of another network; expected one such as {prefix}1…"
    return NotAnAddress(text, {"prefix": network.hrp}, code=WalletErrorCode.ADDRESS_WRONG_NETWORK)
