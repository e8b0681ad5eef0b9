"""The Ethereum Name Service, read from a node: name to address, and address to name (ERC-137, ERC-181, ENSIP-10).

Names are normalised by ENSIP-15, which refuses what could be mistaken for another name. Resolvers that send their reader to a gateway off the chain
(CCIP-Read, ERC-3668) are not followed: a gateway would learn who asks for whom, and its answer costs a request to wherever a contract says.
"""

import re

from ens._normalization import normalize_name_ensip15
from ens.exceptions import InvalidName
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from integrations.chains.errors import NodeRefused
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.shapes import as_data

LONGEST_NAME = 128
"""Characters of a name. Longer ones could exist; nobody has them, and to normalise them takes too long."""
_PLAIN = re.compile(r"([a-z0-9]+\.)+[a-z0-9]+", re.ASCII)
"""Names that are normal as they are."""
_LONGEST_LABEL = 255
"""Bytes: its length stands in one (`_dns_name`)."""
_RESOLVER, _ADDR, _NAME = (bytes.fromhex(each) for each in ("0178b8bf", "3b3b57de", "691f3431"))
_RESOLVE, _SUPPORTS = bytes.fromhex("9061b923"), bytes.fromhex("01ffc9a7")
"""`resolve(bytes,bytes)`, whose selector is also the id of its interface, and `supportsInterface(bytes4)`."""
_OFFCHAIN_LOOKUP = "0x556f1830"


class NameMalformed(ValueError):
    """No name of ENS can look like this."""


class NameOffChain(Exception):
    """The name's address is kept off the chain."""


def normal_name(text: str) -> str:
    """The name in the one form that counts (ENSIP-15). Raises NameMalformed."""
    if not 0 < len(text) <= LONGEST_NAME or "." not in text:
        raise NameMalformed(text[:LONGEST_NAME])
    if _PLAIN.fullmatch(text.lower()) and text.isascii():
        return text.lower()
    try:
        normal: str = normalize_name_ensip15(text).as_text
    except InvalidName as error:
        raise NameMalformed(text) from error
    if any(not 0 < len(label.encode()) <= _LONGEST_LABEL for label in normal.split(".")):
        raise NameMalformed(text)
    return normal


def namehash(name: str) -> bytes:
    """The node of a normal name (ERC-137)."""
    node = bytes(32)
    for label in reversed(name.split(".")):
        node = keccak(node + keccak(text=label))
    return node


async def address_of(node: JsonRpc, registry: str, name: str) -> str | None:
    """What a normal name stands for now; None: for nothing. Raises NameOffChain, ProviderFailed."""
    labels = name.split(".")
    asked = _ADDR + namehash(name)
    for depth in range(len(labels)):
        resolver = _address(await _ask(node, registry, _RESOLVER + namehash(".".join(labels[depth:]))))
        if resolver is None:
            continue
        if await _is_extended(node, resolver):
            answer = await _ask(node, resolver, _RESOLVE + encode(["bytes", "bytes"], [_dns_name(labels), asked]))
            return _address(_inner(answer))
        return _address(await _ask(node, resolver, asked)) if depth == 0 else None
    return None


async def name_of(node: JsonRpc, registry: str, address: str) -> str | None:
    """The name that an address claims and that stands for it (the forward check); None where there is none. Raises NameOffChain, ProviderFailed."""
    reverse = namehash(f"{address[2:].lower()}.addr.reverse")
    resolver = _address(await _ask(node, registry, _RESOLVER + reverse))
    claimed = "" if resolver is None else _text(await _ask(node, resolver, _NAME + reverse))
    try:
        if not claimed or normal_name(claimed) != claimed:
            return None
    except NameMalformed:
        return None
    return claimed if await address_of(node, registry, claimed) == address else None


async def _is_extended(node: JsonRpc, resolver: str) -> bool:
    answer = await _ask(node, resolver, _SUPPORTS + _RESOLVE.ljust(32, b"\0"))
    return answer == (1).to_bytes(32)


async def _ask(node: JsonRpc, to: str, data: bytes) -> bytes:
    """What a contract says; nothing where it refuses."""
    try:
        return as_data(await node.call("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest"), "result")
    except NodeRefused as refused:
        if isinstance(refused.data, str) and refused.data.startswith(_OFFCHAIN_LOOKUP):
            raise NameOffChain from None
        if meaning(refused).kind is Refusal.REVERTED:
            return b""
        raise


def _address(answer: bytes) -> str | None:
    if len(answer) != 32 or not any(answer) or any(answer[:12]):
        return None
    found: str = to_checksum_address(answer[12:])
    return found


def _inner(answer: bytes) -> bytes:
    try:
        (inner,) = decode(["bytes"], answer)
    except (DecodingError, OverflowError):
        return b""
    return bytes(inner)


def _text(answer: bytes) -> str:
    return _inner(answer).decode(errors="replace")


def _dns_name(labels: list[str]) -> bytes:
    """As DNS writes names: every label after its length (RFC 1035, 3.1)."""
    return b"".join(len(raw).to_bytes(1) + raw for raw in (label.encode() for label in labels)) + b"\0"
