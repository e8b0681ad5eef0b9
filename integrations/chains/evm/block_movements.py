"""What one block of an EVM chain moves from and to any of many addresses: coins by its transactions, tokens by the Transfer logs of EIP-20.

The work is of the block, not of the addresses: the block once, two questions for logs, and receipts of the transactions that concern somebody.
"""

from collections.abc import Sequence, Set

from eth_abi.abi import encode

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.activity import SLOTS, TRANSFER, Movement, movement_of_log
from integrations.chains.evm.messages import EvmBlock, EvmTransactionInfo, read_full_block, read_logs, read_receipt
from integrations.chains.json_rpc import Call, JsonRpc

_MOST_TOPICS = 500
"""Addresses in one question."""


async def movements_of_block(node: JsonRpc, number: int, addresses: Set[str]) -> tuple[EvmBlock, list[Movement]] | None:
    """The block of this number, and what it moves; None: there is none yet. Raises ProviderFailed."""
    try:
        found = read_full_block(await node.call("eth_getBlockByNumber", hex(number), True))
        if found is None:
            return None
        block, transactions = found
        coins = await _coins(node, transactions, addresses)
        return block, [*coins, *await _tokens(node, block, addresses)]
    except NodeRefused as refused:
        raise ProviderFailed(Failure.MALFORMED, f"does not tell block {number} (error {refused.code})") from None


async def _coins(node: JsonRpc, transactions: Sequence[EvmTransactionInfo], addresses: Set[str]) -> list[Movement]:
    paid = [
        (index, each, each.to)
        for index, each in enumerate(transactions)
        if each.value and each.to is not None and (each.sender in addresses or each.to in addresses)
    ]
    if not paid:
        return []
    answers = await node.batch([Call("eth_getTransactionReceipt", [each.hash]) for _, each, _ in paid])
    moved = []
    for (index, each, to), answer in zip(paid, answers, strict=True):
        receipt = None if isinstance(answer, NodeRefused) else read_receipt(answer)
        if receipt is None or receipt.block_hash != each.block_hash:
            raise ProviderFailed(Failure.BEHIND, "has not got the receipts of its newest block yet")
        place = receipt.block * SLOTS + index
        failed = not receipt.success
        moved.append(Movement(place, each.hash, each.block_hash, each.sender, to, None, each.value, failed))
    return moved


async def _tokens(node: JsonRpc, block: EvmBlock, addresses: Set[str]) -> list[Movement]:
    words = ["0x" + encode(["address"], [each]).hex() for each in sorted(addresses)]
    parts = [words[start : start + _MOST_TOPICS] for start in range(0, len(words), _MOST_TOPICS)]
    asked = [topics for part in parts for topics in ([TRANSFER, part], [TRANSFER, None, part])]
    found: dict[int, Movement] = {}
    for answer in await node.batch(
        [Call("eth_getLogs", [{"blockHash": block.hash, "topics": topics}]) for topics in asked]
    ):
        if isinstance(answer, NodeRefused):
            raise answer
        for log in read_logs(answer):
            moved = movement_of_log(log)
            if (
                moved is not None
                and log.block_hash == block.hash
                and not addresses.isdisjoint((moved.sender, moved.to))
            ):
                found[moved.place] = moved
    return [found[place] for place in sorted(found)]
