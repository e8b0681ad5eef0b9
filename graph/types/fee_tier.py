"""What an account pays for trading."""

from decimal import Decimal

import strawberry

from core.ids import encode_id
from events.funds import TierState
from graph.context import Context
from graph.types.asset import Asset

Info = strawberry.Info[Context, None]


@strawberry.type(
    description="What an account pays for trading, by how much it traded within 30 days. Fees are of what is paid or earned."
)
class FeeTier:
    id: strawberry.ID = strawberry.field(description="Stable per account.")
    state: strawberry.Private[TierState]
    name: str = strawberry.field(description="Name of the tier, such as `Tier 1`.")
    maker: Decimal = strawberry.field(
        description="Fee of an order that rests in the book, as a fraction: 0.001 is 0.1 %."
    )
    taker: Decimal = strawberry.field(description="Fee of an order that takes from the book, as a fraction.")
    volume30d: Decimal = strawberry.field(
        description="What was traded today and on the 29 days before (UTC), in `volumeAsset`, at today's rates."
    )
    next_tier_at: Decimal | None = strawberry.field(
        description="The volume from which on the next tier counts; null in the highest."
    )

    @strawberry.field(description="What `volume30d` is in.")
    def volume_asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.volume_asset))

    @staticmethod
    def of(state: TierState) -> "FeeTier":
        """The tier as the account's owner sees it."""
        return FeeTier(
            id=strawberry.ID(encode_id("FeeTier", state.account)),
            state=state,
            name=f"Tier {state.number}",
            maker=state.maker,
            taker=state.taker,
            volume30d=state.volume,
            next_tier_at=state.next_at,
        )
