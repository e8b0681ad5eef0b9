"""What deposits and withdrawals have in common."""

from datetime import datetime

import strawberry

from core.transfer_filters import TransferCriteria


@strawberry.input(description="Which transfers; all conditions together. Times are [from, to).")
class TransferFilter:
    assets: list[str] | None = strawberry.field(default=None, description="Of these assets, at most 100.")
    chains: list[str] | None = strawberry.field(default=None, description="On these chains, at most 100.")
    statuses: list[str] | None = strawberry.field(
        default=None, description="In these states, by their names in the enum of the list; at most 100."
    )
    from_: datetime | None = strawberry.field(default=None, name="from", description="At or after this time.")
    to: datetime | None = strawberry.field(default=None, description="Before this time.")


def criteria_of(given: TransferFilter | None) -> TransferCriteria:
    """The criteria of a filter. Raises InvalidInput."""
    if given is None:
        return TransferCriteria()
    return TransferCriteria(
        assets=given.assets, chains=given.chains, statuses=given.statuses, from_=given.from_, to=given.to
    )
