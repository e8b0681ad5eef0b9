"""The roots of swaps: parts of the roots in `graph/schema.py`."""

from collections.abc import AsyncGenerator

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, query, subscription
from graph.types.prepared_transaction import UnsignedTransactionPayload
from graph.types.swap import Swap, SwapQuote
from resolvers import swaps as swap_resolvers


@strawberry.type
class SwapQuery:
    swap_quotes: list[SwapQuote] | None = query(
        swap_resolvers.swap_quotes,
        "What aggregators offer for a swap now, what gives most first. They are asked at once, which takes seconds; one that fails is left out. Null with "
        "NO_ROUTE when none knows a way, with PROVIDER_UNAVAILABLE when none answers as it should. Costs 100 points.",
        access=Access.SELF,
        scope=ApiScope.READ,
        cost=100,
    )


@strawberry.type
class SwapMutation:
    prepare_swap: UnsignedTransactionPayload = mutation(
        swap_resolvers.prepare_swap,
        "The next transaction of a swap for a wallet's owner to sign: where the aggregator's contract may take less of a token than is sold, first the approval of "
        "exactly that amount; when it is in a block, this again, for the swap itself. Nothing is sent. QUOTE_EXPIRED, SIMULATION_REVERTED: ask for new quotes. "
        "Costs 30 points.",
        access=Access.VERIFIED,
        cost=30,
    )


@strawberry.type
class SwapSubscription:
    swap_updated: AsyncGenerator[Swap, None] = subscription(
        swap_resolvers.swap_updated,
        "A swap of yours as it is, then whenever it changes, over both its chains.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )
