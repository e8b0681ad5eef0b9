"""Coins that contracts pay out within somebody's transaction: they leave no log, and stand in no transaction's own value.

Nodes that keep traces tell of them: by `trace_block` (Erigon, Nethermind, Reth, https://docs.erigon.tech/interacting-with-erigon/trace) or by
`debug_traceBlockByHash` with the call tracer (https://geth.ethereum.org/docs/developers/evm-tracing/built-in-tracers). What one transaction pays one address is added
up, in which both agree; calls that were reverted, or stand below one that was, pay nothing.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.client import block_parameter
from integrations.chains.evm.messages import as_address
from integrations.chains.json_rpc import MOST_IN_BATCH, Call, JsonRpc
from integrations.chains.shapes import JsonObject, as_data, as_hash, as_list, as_object, as_quantity, malformed

_READER = "0x60006100325b38811015602a57601481600c396000513160801b826041015260140190601001906005565b506001016040f3"
"""Code that is run as a new contract's and changes nothing: for each address of 20 bytes that follows it, it gives the balance in 16, after a first byte of 0."""
_FEW, _MOST_BY_CODE = 20, 700
"""Addresses that are asked for one by one, and in one call: some 5 million gas, and far below the limits of code (EIP-170, EIP-3860)."""
_GWEI = 10**9
_TRACER = {"tracer": "callTracer"}


@dataclass(frozen=True, slots=True)
class InternalPayment:
    """Wei that one transaction pays to one address otherwise than by its own value; `sender` is who paid the first of them."""

    hash: str
    sender: str
    to: str
    units: int


async def coin_balances(node: JsonRpc, addresses: Sequence[str], *, at: str) -> dict[str, int]:
    """Wei of each address, as of the block of this hash. Raises NodeRefused: the node has not got that block's state; ProviderFailed."""
    if len(addresses) > _FEW:
        try:
            return await _read_by_code(node, addresses, at)
        except NodeRefused:
            pass  # a node that does not run code: it may tell single balances
    found: dict[str, int] = {}
    for start in range(0, len(addresses), MOST_IN_BATCH):
        part = addresses[start : start + MOST_IN_BATCH]
        answers = await node.batch([Call("eth_getBalance", [each, block_parameter(at)]) for each in part])
        for address, told in zip(part, answers, strict=True):
            if isinstance(told, NodeRefused):
                raise told
            found[address] = as_quantity(told, "balance")
    return found


async def _read_by_code(node: JsonRpc, addresses: Sequence[str], at: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(addresses), _MOST_BY_CODE):
        part = addresses[start : start + _MOST_BY_CODE]
        data = _READER + "".join(each[2:] for each in part)
        answer = as_data(await node.call("eth_call", {"data": data}, block_parameter(at)), "result")
        if len(answer) != 1 + 16 * len(part):
            raise malformed("balances", f"{len(part)} balances")
        found |= {each: int.from_bytes(answer[1 + 16 * place : 17 + 16 * place]) for place, each in enumerate(part)}
    return found


async def internal_payments(node: JsonRpc, number: int, hash_: str, to: Set[str]) -> list[InternalPayment]:
    """What transactions of this block pay to these addresses from within. Raises NodeRefused: the node keeps no traces of it; ProviderFailed."""
    try:
        traces = [as_object(each, "trace") for each in as_list(await node.call("trace_block", hex(number)), "traces")]
    except NodeRefused:
        told = as_list(await node.call("debug_traceBlockByHash", hash_, _TRACER), "traces")
        results = [as_object(each, "trace") for each in told]
        paid = [each for result in results for each in _of_tree(result)]
    else:
        if any(each.get("blockHash") != hash_ for each in traces):
            raise ProviderFailed(Failure.CONTRADICTS, f"has another block {number} than the others")
        paid = list(_of_list(traces))
    found: dict[tuple[str, str], InternalPayment] = {}
    for each in paid:
        if each.to in to and each.units:
            known = found.get((each.hash, each.to))
            found[each.hash, each.to] = each if known is None else replace(known, units=known.units + each.units)
    return list(found.values())


async def staking_payments(node: JsonRpc, hash_: str) -> dict[str, int]:
    """Wei that a block pays to addresses from staking (EIP-4895). Raises ProviderFailed."""
    block = as_object(await node.call("eth_getBlockByHash", hash_, False), "block")
    found: dict[str, int] = {}
    for each in as_list(block.get("withdrawals") or [], "withdrawals"):
        paid = as_object(each, "withdrawal")
        address = as_address(paid.get("address"), "address")
        found[address] = found.get(address, 0) + as_quantity(paid.get("amount"), "amount") * _GWEI
    return found


def _of_list(traces: Sequence[JsonObject]) -> Iterator[InternalPayment]:
    """Of flat traces, which name their place in the tree of calls."""
    failed: set[tuple[object, tuple[object, ...]]] = set()
    for each in traces:
        hash_, path = each.get("transactionHash"), tuple(as_list(each.get("traceAddress"), "traceAddress"))
        if each.get("error") is not None or (path and (hash_, path[:-1]) in failed):
            failed.add((hash_, path))
        elif path and hash_ is not None:
            action = as_object(each.get("action"), "action")
            if each.get("type") == "call" and action.get("callType") == "call":
                yield _payment(hash_, action.get("from"), action.get("to"), action.get("value"))
            elif each.get("type") == "suicide":
                yield _payment(hash_, action.get("address"), action.get("refundAddress"), action.get("balance"))


def _of_tree(result: JsonObject) -> Iterator[InternalPayment]:
    """Of a transaction's tree of calls."""
    waiting = [as_object(result.get("result"), "result")]
    root = waiting[0]
    while waiting:
        call = waiting.pop()
        if call.get("error") is not None:
            continue
        if call is not root and call.get("type") in {"CALL", "SELFDESTRUCT"}:
            yield _payment(result.get("txHash"), call.get("from"), call.get("to"), call.get("value") or "0x0")
        waiting += [as_object(each, "call") for each in reversed(as_list(call.get("calls") or [], "calls"))]


def _payment(hash_: object, sender: object, to: object, units: object) -> InternalPayment:
    return InternalPayment(
        as_hash(hash_, "transactionHash"), as_address(sender, "from"), as_address(to, "to"), as_quantity(units, "value")
    )
