"""The server's own state."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.settings import Mode
from graph.scalars import Long
from graph.types.asset import Chain
from graph.types.price import PriceSourceHealth


@strawberry.type(description="State of a part the server needs.")
class ComponentStatus:
    healthy: bool = strawberry.field(description="Whether it answers.")
    detail: str | None = strawberry.field(description="In words.")
    latency_ms: Decimal | None = strawberry.field(description="How long its last answer took.")
    lag: Long | None = strawberry.field(description="How far it is behind, in its own units.")


@strawberry.type(description="The server's own state.")
class ServerStatus:
    version: str = strawberry.field(description="Version of this server.")
    time: datetime = strawberry.field(description="The server's clock.")
    mode: Mode = strawberry.field(description="What kind of server this is.")
    database: ComponentStatus = strawberry.field(description="The database.")
    bus: ComponentStatus = strawberry.field(description="The bus between processes.")
    exchange: ComponentStatus | None = strawberry.field(
        description="The exchange; its lag is how many events of its journal cannot be read in orders, balances and statements yet."
    )
    feeds: list[PriceSourceHealth] = strawberry.field(description="Every price source, over all markets.")
    chains: list[Chain] | None = strawberry.field(description="The chains this server knows.")


@strawberry.type(description="What an operation would cost, before it runs.")
class CostEstimate:
    cost: int = strawberry.field(description="Points the request costs.")
    per_event: int | None = strawberry.field(description="Points of each event of a subscription; null otherwise.")
    limit: int = strawberry.field(description="Points a request may cost.")
    remaining: int = strawberry.field(description="Points left to you now.")
    restore_per_second: int = strawberry.field(description="Points that come back each second.")
