"""The Ethereum Name Service, read from a node: name to address, and address to name (ERC-137, ERC-181, ENSIP-10).

Everything is read at one block that the reader names. Names are normalised by ENSIP-15, which refuses what could be mistaken for another name.
Resolvers that send their reader to a gateway off the chain
(CCIP-Read, ERC-3668) are not followed: a gateway would learn who asks for whom, and its answer costs a request to wherever a contract says.
"""

import asyncio
import importlib
import re

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import At, block_parameter
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.shapes import as_data

LONGEST_NAME = 255
"""Characters of a name: DNS has no room for more."""
_PLAIN = re.compile(r"([a-z0-9]+\.)+[a-z0-9]+", re.ASCII)
"""Names that are normal as they are."""
_MOST_LABELS = 16
"""Each may take a question to the registry."""
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
    if not 0 < len(text) <= LONGEST_NAME or not 0 < text.count(".") < _MOST_LABELS:
        raise NameMalformed(text[:LONGEST_NAME])
    if _is_plain(text):
        return text.lower()
    try:
        normal: str = importlib.import_module("integrations.chains.evm.ensip15").normalise(text)
    except ValueError as error:
        raise NameMalformed(text) from error
    if any(not 0 < len(label.encode()) <= _LONGEST_LABEL for label in normal.split(".")):
        raise NameMalformed(text)
    return normal


async def normalised(text: str) -> str:
    """The same, while others go on: a long name of rare letters takes half a tenth of a second. Raises NameMalformed."""
    return normal_name(text) if _is_plain(text) else await asyncio.to_thread(normal_name, text)


def _is_plain(text: str) -> bool:
    return text.isascii() and len(text) <= LONGEST_NAME and _PLAIN.fullmatch(text.lower()) is not None


def namehash(name: str) -> bytes:
    """The node of a normal name (ERC-137)."""
    node = bytes(32)
    for label in reversed(name.split(".")):
        node = keccak(node + keccak(text=label))
    return node


async def address_of(node: JsonRpc, registry: str, name: str, at: At) -> str | None:
    """What a normal name stands for at this block; None: for nothing. Raises NameOffChain, ProviderFailed."""
    labels = name.split(".")
    asked = _ADDR + namehash(name)
    for depth in range(len(labels)):
        resolver = _address(await _ask(node, registry, _RESOLVER + namehash(".".join(labels[depth:])), at))
        if resolver is None:
            continue
        if await _is_extended(node, resolver, at):
            wild = _RESOLVE + encode(["bytes", "bytes"], [_dns_name(labels), asked])
            return _address(_inner(await _ask(node, resolver, wild, at)))
        return _address(await _ask(node, resolver, asked, at)) if depth == 0 else None
    return None


async def name_of(node: JsonRpc, registry: str, address: str, at: At) -> str | None:
    """The name that an address claims and that stands for it (the forward check); None where there is none. Raises NameOffChain, ProviderFailed."""
    reverse = namehash(f"{address[2:].lower()}.addr.reverse")
    resolver = _address(await _ask(node, registry, _RESOLVER + reverse, at))
    claimed = "" if resolver is None else _text(await _ask(node, resolver, _NAME + reverse, at))
    try:
        if not claimed or await normalised(claimed) != claimed:
            return None
    except NameMalformed:
        return None
    return claimed if await address_of(node, registry, claimed, at) == address else None


async def _is_extended(node: JsonRpc, resolver: str, at: At) -> bool:
    answer = await _ask(node, resolver, _SUPPORTS + _RESOLVE.ljust(32, b"\0"), at)
    return answer == (1).to_bytes(32)


async def _ask(node: JsonRpc, to: str, data: bytes, at: At) -> bytes:
    """What a contract says; nothing where it refuses."""
    try:
        said = await node.call("eth_call", {"to": to, "data": "0x" + data.hex()}, block_parameter(at))
        return as_data(said, "result")
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
