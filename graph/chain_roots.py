"""The roots of chains: parts of the roots in `graph/schema.py`."""

import strawberry

from graph.fields import query
from graph.types.asset import Chain
from resolvers import chains as chain_resolvers


@strawberry.type
class ChainQuery:
    chains: list[Chain] | None = query(chain_resolvers.chains, "The chains that this server knows.")
    chain: Chain | None = query(chain_resolvers.chain, "One chain; null with UNKNOWN_CHAIN when there is none.")
