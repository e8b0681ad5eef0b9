"""The roots of sending from wallets of people's own: parts of the roots in `graph/schema.py`."""

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, query
from graph.types.chain_transaction import BroadcastTransactionPayload, ChainTransaction, ContractRead
from graph.types.prepared_transaction import UnsignedTransactionPayload
from resolvers import transfers as transfer_resolvers


@strawberry.type
class TransferQuery:
    contract_read: ContractRead | None = query(
        transfer_resolvers.contract_read,
        "What a contract answers now, without a transaction. ABI_INVALID names the argument that does not fit.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )
    chain_transaction: ChainTransaction | None = query(
        transfer_resolvers.chain_transaction,
        "A transaction of anybody's on a chain, as it is now; null when no node knows it.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )


@strawberry.type
class TransferMutation:
    prepare_transfer: UnsignedTransactionPayload = mutation(
        transfer_resolvers.prepare_transfer,
        "Prepare a transfer from a wallet for its owner to sign. Nothing is sent.",
        access=Access.VERIFIED,
    )
    prepare_contract_call: UnsignedTransactionPayload = mutation(
        transfer_resolvers.prepare_contract_call,
        "Prepare a call of a contract for a wallet's owner to sign. Nothing is sent.",
        access=Access.VERIFIED,
    )
    broadcast_transaction: BroadcastTransactionPayload = mutation(
        transfer_resolvers.broadcast_transaction,
        "Send a signed transaction. With `preparedId`, only if it is what was prepared.",
        access=Access.VERIFIED,
        idempotent="clientBroadcastId",
    )
