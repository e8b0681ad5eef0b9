"""What an Ethereum node says, checked and typed (execution-apis, "eth" namespace). Amounts in wei, hashes in lower case, addresses with their EIP-55 checksum."""

from collections.abc import Sequence
from dataclasses import dataclass

from eth_utils.address import is_hex_address, to_checksum_address

from integrations.chains.shapes import (
    JsonObject,
    as_data,
    as_hash,
    as_list,
    as_object,
    as_quantity,
    malformed,
)


@dataclass(frozen=True, slots=True)
class EvmBlock:
    """A block. `base_fee` is None where the chain has none (EIP-1559); `transactions` are hashes."""

    number: int
    hash: str
    parent: str
    time_ms: int
    base_fee: int | None
    transactions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvmTransactionInfo:
    """A transaction that a node knows; `block` is None while it is in no block. `to` is None where it makes a contract. `most_fee`: wei per gas that it offers at most."""

    hash: str
    sender: str
    to: str | None
    nonce: int
    value: int
    gas: int
    most_fee: int
    data: bytes
    block: int | None
    block_hash: str | None


@dataclass(frozen=True, slots=True)
class EvmLog:
    """What a contract told."""

    address: str
    topics: tuple[str, ...]
    data: bytes
    block: int
    block_hash: str
    transaction: str
    index: int


@dataclass(frozen=True, slots=True)
class EvmReceipt:
    """What became of a transaction in a block. `fee` is what it cost its sender, the data fee of a rollup (`data_fee`) included where the node tells it."""

    hash: str
    sender: str
    to: str | None
    block: int
    block_hash: str
    success: bool
    gas_used: int
    fee: int
    data_fee: int
    contract: str | None
    logs: tuple[EvmLog, ...]


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """Base fees of past blocks, oldest first, with that of the next block last; and for each past block the priority fees at the percentiles that were asked for."""

    base_fees: tuple[int, ...]
    rewards: tuple[tuple[int, ...], ...]


def read_block(value: object) -> EvmBlock | None:
    """A block, its transactions as hashes or whole; None for null."""
    if value is None:
        return None
    block = as_object(value, "block")
    fee = block.get("baseFeePerGas")
    return EvmBlock(
        number=as_quantity(block.get("number"), "number"),
        hash=as_hash(block.get("hash"), "hash"),
        parent=as_hash(block.get("parentHash"), "parentHash"),
        time_ms=as_quantity(block.get("timestamp"), "timestamp") * 1000,
        base_fee=None if fee is None else as_quantity(fee, "baseFeePerGas"),
        transactions=tuple(
            as_hash(each.get("hash") if isinstance(each, dict) else each, "transactions")
            for each in as_list(block.get("transactions"), "transactions")
        ),
    )


def read_full_block(value: object) -> tuple[EvmBlock, tuple[EvmTransactionInfo, ...]] | None:
    """A block with whole transactions; None for null."""
    block = read_block(value)
    if block is None:
        return None
    listed = as_list(as_object(value, "block")["transactions"], "transactions")
    transactions = tuple(_transaction(as_object(each, "transaction")) for each in listed)
    if any((each.block, each.block_hash) != (block.number, block.hash) for each in transactions):
        raise malformed("transactions", "transactions of this very block")
    return block, transactions


def read_transaction(value: object) -> EvmTransactionInfo | None:
    """A transaction; None for null."""
    return None if value is None else _transaction(as_object(value, "transaction"))


def read_receipt(value: object) -> EvmReceipt | None:
    """A receipt; None for null."""
    if value is None:
        return None
    receipt = as_object(value, "receipt")
    gas_used = as_quantity(receipt.get("gasUsed"), "gasUsed")
    price = as_quantity(receipt.get("effectiveGasPrice", "0x0"), "effectiveGasPrice")
    data_fee = as_quantity(receipt.get("l1Fee") or "0x0", "l1Fee")
    contract = receipt.get("contractAddress")
    return EvmReceipt(
        hash=as_hash(receipt.get("transactionHash"), "transactionHash"),
        sender=as_address(receipt.get("from"), "from"),
        to=None if receipt.get("to") is None else as_address(receipt["to"], "to"),
        block=as_quantity(receipt.get("blockNumber"), "blockNumber"),
        block_hash=as_hash(receipt.get("blockHash"), "blockHash"),
        success=as_quantity(receipt.get("status"), "status") == 1,
        gas_used=gas_used,
        fee=gas_used * price + data_fee,
        data_fee=data_fee,
        contract=None if contract is None else as_address(contract, "contractAddress"),
        logs=read_logs(receipt.get("logs")),
    )


def read_logs(value: object) -> tuple[EvmLog, ...]:
    """Logs of blocks; those of a block that was given up are left out."""
    logs = [as_object(each, "log") for each in as_list(value, "logs")]
    return tuple(_log(each) for each in logs if each.get("removed") is not True)


def read_fee_history(value: object) -> FeeHistory:
    """The answer to eth_feeHistory."""
    history = as_object(value, "fee history")
    rewards = as_list(history.get("reward") or [], "reward")
    return FeeHistory(
        base_fees=tuple(
            as_quantity(each, "baseFeePerGas") for each in as_list(history.get("baseFeePerGas"), "baseFeePerGas")
        ),
        rewards=tuple(_quantities(each) for each in rewards),
    )


def as_address(value: object, what: str) -> str:
    """An address with its checksum."""
    if not isinstance(value, str) or not is_hex_address(value) or not value.startswith("0x"):
        raise malformed(what, "an address")
    address: str = to_checksum_address(value)
    return address


def _transaction(value: JsonObject) -> EvmTransactionInfo:
    block, block_hash, to = value.get("blockNumber"), value.get("blockHash"), value.get("to")
    most_fee = value.get("maxFeePerGas") or value.get("gasPrice") or "0x0"
    return EvmTransactionInfo(
        hash=as_hash(value.get("hash"), "hash"),
        sender=as_address(value.get("from"), "from"),
        to=None if to is None else as_address(to, "to"),
        nonce=as_quantity(value.get("nonce"), "nonce"),
        value=as_quantity(value.get("value"), "value"),
        gas=as_quantity(value.get("gas"), "gas"),
        most_fee=as_quantity(most_fee, "maxFeePerGas"),
        data=as_data(value.get("input"), "input"),
        block=None if block is None else as_quantity(block, "blockNumber"),
        block_hash=None if block_hash is None else as_hash(block_hash, "blockHash"),
    )


def _log(log: JsonObject) -> EvmLog:
    return EvmLog(
        address=as_address(log.get("address"), "address"),
        topics=tuple(as_hash(each, "topics") for each in as_list(log.get("topics"), "topics")),
        data=as_data(log.get("data"), "data"),
        block=as_quantity(log.get("blockNumber"), "blockNumber"),
        block_hash=as_hash(log.get("blockHash"), "blockHash"),
        transaction=as_hash(log.get("transactionHash"), "transactionHash"),
        index=as_quantity(log.get("logIndex"), "logIndex"),
    )


def _quantities(value: object) -> tuple[int, ...]:
    listed: Sequence[object] = as_list(value, "reward")
    return tuple(as_quantity(each, "reward") for each in listed)
