"""The roots of chains: parts of the roots in `graph/schema.py`."""

import strawberry

from graph.directives import Cost
from graph.fields import query
from graph.types.asset import Chain
from resolvers import chains as chain_resolvers


@strawberry.type
class ChainQuery:
    chains: list[Chain] | None = query(chain_resolvers.chains, "The chains that this server knows.")
    chain: Chain | None = query(chain_resolvers.chain, "One chain; null with UNKNOWN_CHAIN when there is none.")
    resolve_name: str | None = strawberry.field(
        resolver=chain_resolvers.resolve_name,
        description="The EVM address that a name of ENS stands for, with its checksum; null when it stands for none. Names are normalised by ENSIP-15. "
        "All nodes are asked, at one block: with PROVIDER_LYING when they differ, with PROVIDER_UNAVAILABLE when too few answer. With NOT_ENABLED for a name "
        "that is kept off the chain (CCIP-Read). Kept for half a minute. Costs 10 points.",
        directives=[Cost(points=10)],
    )
