"""The roots of sending from wallets of people's own: parts of the roots in `graph/schema.py`."""

from collections.abc import AsyncGenerator

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, query, subscription
from graph.types.chain_transaction import BroadcastTransactionPayload, ChainTransaction, ContractRead
from graph.types.prepared_transaction import UnsignedTransactionPayload
from resolvers import transfers as transfer_resolvers


@strawberry.type
class TransferQuery:
    contract_read: ContractRead | None = query(
        transfer_resolvers.contract_read,
        "What a contract answers now, without a transaction. ABI_INVALID names the argument that does not fit. Costs 10 points.",
        access=Access.SELF,
        scope=ApiScope.READ,
        cost=10,
    )
    chain_transaction: ChainTransaction | None = query(
        transfer_resolvers.chain_transaction,
        "A transaction of anybody's on a chain, as it is now; null when no node knows it. Of one that was sent from here more is known: what replaced it, and that "
        "it was dropped. All nodes are asked: costs 20 points.",
        access=Access.SELF,
        scope=ApiScope.READ,
        cost=20,
    )


@strawberry.type
class TransferSubscription:
    chain_transaction_updated: AsyncGenerator[ChainTransaction, None] = subscription(
        transfer_resolvers.chain_transaction_updated,
        "A transaction as it is, then whenever it changes; ends once it is over. One that was sent from here is told of as it is followed; for any other its nodes "
        "are asked about once a block, for at most 10 at a time, and one that nobody knows is waited for for a quarter of an hour. Costs 20 points.",
        access=Access.SELF,
        scope=ApiScope.READ,
        cost=20,
    )


@strawberry.type
class TransferMutation:
    prepare_transfer: UnsignedTransactionPayload = mutation(
        transfer_resolvers.prepare_transfer,
        "Prepare a transfer from a wallet for its owner to sign. Nothing is sent. Costs 30 points.",
        access=Access.VERIFIED,
        cost=30,
    )
    prepare_contract_call: UnsignedTransactionPayload = mutation(
        transfer_resolvers.prepare_contract_call,
        "Prepare a call of a contract for a wallet's owner to sign. Nothing is sent. Costs 30 points.",
        access=Access.VERIFIED,
        cost=30,
    )
    broadcast_transaction: BroadcastTransactionPayload = mutation(
        transfer_resolvers.broadcast_transaction,
        "Send a signed transaction. With `preparedId`, only if it is what was prepared. It is followed from then on. Costs 30 points.",
        access=Access.VERIFIED,
        idempotent="clientBroadcastId",
        cost=30,
    )
