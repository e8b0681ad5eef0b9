"""The roots by which people need not trust the house: parts of the roots in `graph/schema.py`."""

import strawberry

from graph.fields import query
from graph.types.liability import LiabilityReport
from resolvers import liabilities as liability_resolvers


@strawberry.type
class TrustQuery:
    liabilities: LiabilityReport | None = query(
        liability_resolvers.liabilities,
        "What the house owes people, by the newest report or that of a root; null when there is none such. "
        "`viewer { liabilityProof }` proves that your account is in it.",
    )
