"""What an address holds on an EVM chain, all of it as of one block and from one node.

By Multicall3 where the chain has it (https://github.com/mds1/multicall3), else by a batch of calls; either way pinned to a block by its hash (EIP-1898),
so that a node that has lost that block says so instead of answering of another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.messages import EvmBlock, read_block
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.shapes import as_data, as_quantity, malformed

BALANCE_OF = bytes.fromhex("70a08231")
"""`balanceOf(address)` (EIP-20)."""
_AGGREGATE3 = bytes.fromhex("82ad56cb")
_GET_ETH_BALANCE = bytes.fromhex("4d2301cc")
MOST_IN_CALL = 200
_HASH_LENGTH = 66


class ContractCall(NamedTuple):
    """A call of a contract that only reads."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class EvmHoldings:
    """Smallest units: of the chain's own coin, and of each contract; None where the contract does not tell."""

    block: EvmBlock
    native: int
    tokens: Mapping[str, int | None]


async def holdings(node: JsonRpc, address: str, contracts: Sequence[str], *, multicall: str | None) -> EvmHoldings:
    """As of the node's newest block. Raises ProviderFailed: what is read here, every sound node can tell."""
    block = read_block(await node.call("eth_getBlockByNumber", "latest", False))
    if block is None:
        raise malformed("latest block", "a block")
    owner = encode(["address"], [address])
    calls = [ContractCall(contract, BALANCE_OF + owner) for contract in contracts]
    answers = None
    if multicall is not None:
        native_call = ContractCall(multicall, _GET_ETH_BALANCE + owner)
        answers = await _aggregated(node, multicall, [native_call, *calls], block.hash)
    if answers is None:
        answers = await _batched(node, address, calls, block.hash)
    native = uint_in(answers[0])
    if native is None:
        raise malformed("balance", "a number")
    told = map(uint_in, answers[1:])
    return EvmHoldings(block, native, dict(zip(contracts, told, strict=True)))


async def read_all(
    node: JsonRpc, calls: Sequence[ContractCall], *, multicall: str | None, at: str
) -> list[bytes | None]:
    """What each call gives, as of the block of this hash, or of `latest`; None where the contract refuses. Raises ProviderFailed."""
    answers = None if multicall is None else await _aggregated(node, multicall, calls, at)
    if answers is not None:
        return answers
    return await _called(node, calls, at)


def uint_in(answer: bytes | None) -> int | None:
    """The first word of an answer; None where there is none."""
    return None if answer is None or len(answer) < 32 else int.from_bytes(answer[:32])


async def _aggregated(
    node: JsonRpc, multicall: str, calls: Sequence[ContractCall], at: str
) -> list[bytes | None] | None:
    """None: this chain has no such contract at that block."""
    found: list[bytes | None] = []
    for start in range(0, len(calls), MOST_IN_CALL):
        asked = [(call.to, True, call.data) for call in calls[start : start + MOST_IN_CALL]]
        data = _AGGREGATE3 + encode(["(address,bool,bytes)[]"], [asked])
        answer = await _read(node, Call("eth_call", [{"to": multicall, "data": "0x" + data.hex()}, _at(at)]))
        if not answer:
            return None
        try:
            (results,) = decode(["(bool,bytes)[]"], answer)
        except (DecodingError, OverflowError):
            raise malformed("multicall", "an array of results") from None
        if len(results) != len(asked):
            raise malformed("multicall", f"{len(asked)} results")
        found += [bytes(data) if success else None for success, data in results]
    return found


async def _batched(node: JsonRpc, address: str, calls: Sequence[ContractCall], at: str) -> list[bytes | None]:
    try:
        native = as_quantity(await node.call("eth_getBalance", address, _at(at)), "balance")
    except NodeRefused as refused:
        raise _cannot_read(refused) from None
    return [native.to_bytes(32), *await _called(node, calls, at)]


async def _called(node: JsonRpc, calls: Sequence[ContractCall], at: str) -> list[bytes | None]:
    asked = [Call("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, _at(at)]) for call in calls]
    results = await node.batch(asked)
    return [None if isinstance(each, NodeRefused) else as_data(each, "result") for each in results]


async def _read(node: JsonRpc, call: Call) -> bytes:
    try:
        return as_data(await node.call(call.method, *call.params), "result")
    except NodeRefused as refused:
        raise _cannot_read(refused) from None


def _cannot_read(refused: NodeRefused) -> ProviderFailed:
    """A refusal to read what is there for everyone: the node has not got the block any more, or yet."""
    return ProviderFailed(Failure.BEHIND, f"cannot read its own newest block (error {refused.code})")


def _at(at: str) -> object:
    return {"blockHash": at} if len(at) == _HASH_LENGTH else at
