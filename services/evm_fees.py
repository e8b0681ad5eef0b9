"""What a transaction of an EVM chain can have cost: a receipt is a node's word, and what it says of the price of gas has no bound of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmReceipt, EvmTransactionInfo, read_receipt, read_transaction
from services.chain_votes import answers_in, require_witnesses

T = TypeVar("T")
MOST_DATA_FEE = 10**17
"""Wei that a rollup takes, beside the gas, for putting a transaction on the chain below it; some 10^15 at the dearest so far."""


def require_possible(receipt: EvmReceipt, most: int) -> None:
    """Returns when a transaction that offers `most` wei for its gas can have cost so much. Raises NodesContradict."""
    if receipt.fee - receipt.data_fee > most or receipt.data_fee > MOST_DATA_FEE:
        raise NodesContradict(f"{receipt.hash} cannot have cost what its receipt says")


async def agreed_receipts(
    client: EvmClient, block_hash: str, transactions: Sequence[EvmTransactionInfo]
) -> Mapping[str, EvmReceipt]:
    """The receipts of these transactions in this block, by hash; enough nodes tell transaction and receipt, and none otherwise. Raises ChainError."""
    return {each.hash: await _agreed(client, block_hash, each) for each in transactions}


async def _agreed(client: EvmClient, block_hash: str, transaction: EvmTransactionInfo) -> EvmReceipt:
    hash_ = transaction.hash
    infos = await _told(client, "eth_getTransactionByHash", hash_, read_transaction)
    first, *others = await _told(client, "eth_getTransactionReceipt", hash_, read_receipt)
    is_same = (first.hash, first.block_hash) == (hash_, block_hash)
    if not is_same or any(each != first for each in others) or any(each != transaction for each in infos):
        raise NodesContradict(f"nodes of {client.key} tell different things of transaction {hash_}")
    require_possible(first, transaction.gas * transaction.most_fee)
    return first


async def _told(client: EvmClient, method: str, hash_: str, read: Callable[[object], T | None]) -> list[T]:
    """What is said by those nodes that know it, enough of them. Raises ChainError."""
    said = await client.ask_every(method, [hash_], read)
    known = {name: ChainError(f"does not know {hash_}") if each is None else each for name, each in said.items()}
    require_witnesses(client.key, known)
    return answers_in(known)
