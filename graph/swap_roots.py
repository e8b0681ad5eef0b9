"""The roots of swaps: parts of the roots in `graph/schema.py`."""

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import query
from graph.types.swap import SwapQuote
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
