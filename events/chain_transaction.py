"""What is known of a transaction on its chain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.wallet_vocabulary import ChainTxStatus


@dataclass(frozen=True, slots=True)
class ChainTransactionState:
    """`fee` in the chain's coin, once it is in a block. `error` says why it did nothing: an English template and what stands in it. `version` rises with every
    change of one that was sent here, and is 0 for any other; `over`: nothing is expected to change any more."""

    chain: str
    hash: str
    status: ChainTxStatus
    confirmations: int = 0
    block: int | None = None
    fee: Decimal | None = None
    error: str | None = None
    error_values: Mapping[str, str | int] = field(default_factory=dict)
    replaced_by: str | None = None
    version: int = 0
    over: bool = False


def chain_transaction_topic(chain: str, hash_: str) -> str:
    """Where changes of a transaction that was sent here are published."""
    return f"chain-transactions.{chain}.{hash_}"


def sent_topic(sender: str) -> str:
    """Where it is published, on whatever chain, that an address has sent something from here, and every change of what it has sent."""
    return f"chain-transactions-of.{sender}"
