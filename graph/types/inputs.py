"""Filters of the lists of assets and markets."""

import strawberry

from core.vocabulary import AssetKind, MarketStatus


@strawberry.input(description="What a market must be to be listed; what is left out does not matter.")
class MarketFilter:
    symbols: list[str] | None = strawberry.field(default=None, description="One of these symbols.")
    base: str | None = strawberry.field(default=None, description="This base asset.")
    quote: str | None = strawberry.field(default=None, description="This quote asset.")
    status: list[MarketStatus] | None = strawberry.field(default=None, description="One of these states.")
    search: str | None = strawberry.field(default=None, description="Part of the symbol or of the base's name.")
    watched: bool | None = strawberry.field(default=None, description="On the viewer's watch list, or not.")


@strawberry.input(description="What an asset must be to be listed; what is left out does not matter.")
class AssetFilter:
    codes: list[str] | None = strawberry.field(default=None, description="One of these codes.")
    kind: list[AssetKind] | None = strawberry.field(default=None, description="One of these kinds.")
    search: str | None = strawberry.field(default=None, description="Part of the code or of the name.")
