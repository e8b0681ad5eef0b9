"""Prices: ticks, and the feed they come from."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import FeedStatus, PriceSource
from events.market import FeedChanged, SourceHealth, TickAccepted
from graph.public_data import public_attributes
from graph.scalars import Long


@public_attributes
@strawberry.type(description="The aggregated price of a market at a moment.")
class PriceTick:
    id: strawberry.ID = strawberry.field(description="Stable per market, so that a cache keeps the newest tick.")
    symbol: str = strawberry.field(description="The market.")
    price: Decimal = strawberry.field(description="Median of the sources that are live and agree, in quote.")
    bid: Decimal | None = strawberry.field(description="Best bid, in quote.")
    ask: Decimal | None = strawberry.field(description="Best ask, in quote.")
    source: PriceSource = strawberry.field(description="The source whose message moved the price.")
    time: datetime = strawberry.field(description="When the source says it happened.")
    sequence: Long = strawberry.field(description="+1 for every accepted tick of this market.")
    stale: bool = strawberry.field(description="True when no source delivers any more: do not take it for current.")

    @staticmethod
    def of(tick: TickAccepted, *, stale: bool) -> "PriceTick":
        """The tick as clients see it."""
        return PriceTick(
            id=strawberry.ID(encode_id("PriceTick", tick.symbol)),
            symbol=tick.symbol,
            price=tick.price,
            bid=tick.bid,
            ask=tick.ask,
            source=tick.source,
            time=to_datetime(tick.time_ms),
            sequence=Long(tick.sequence),
            stale=stale,
        )


@public_attributes
@strawberry.type(description="One source's health, for one market or for the whole server.")
class PriceSourceHealth:
    source: PriceSource = strawberry.field(description="The source.")
    healthy: bool = strawberry.field(description="Whether its prices are used.")
    last_price: Decimal | None = strawberry.field(description="Its last price, in quote; null for the whole server.")
    last_update: datetime | None = strawberry.field(description="When it last delivered.")
    deviation: Decimal | None = strawberry.field(description="Distance from the median as a fraction.")
    error: str | None = strawberry.field(description="Why it is not used.")

    @staticmethod
    def of(health: SourceHealth) -> "PriceSourceHealth":
        """The health as clients see it."""
        return PriceSourceHealth(
            source=health.source,
            healthy=health.healthy,
            last_price=health.last_price,
            last_update=None if health.last_update_ms is None else to_datetime(health.last_update_ms),
            deviation=health.deviation,
            error=health.error,
        )


@public_attributes
@strawberry.type(description="Where a market's prices come from, and how well.")
class PriceFeed:
    id: strawberry.ID = strawberry.field(description="Stable per market.")
    source: PriceSource | None = strawberry.field(
        description="The leading source: its trades, book and figures are shown."
    )
    status: FeedStatus = strawberry.field(description="State of the feed.")
    last_update: datetime | None = strawberry.field(description="When any used source last delivered.")
    latency_ms: int | None = strawberry.field(description="From the leader's own time to its arrival, in milliseconds.")
    sources: list[PriceSourceHealth] = strawberry.field(description="Every configured source of this market.")

    @staticmethod
    def of(feed: FeedChanged) -> "PriceFeed":
        """The feed as clients see it."""
        return PriceFeed(
            id=strawberry.ID(encode_id("PriceFeed", feed.symbol)),
            source=feed.source,
            status=feed.status,
            last_update=None if feed.last_update_ms is None else to_datetime(feed.last_update_ms),
            latency_ms=feed.latency_ms,
            sources=[PriceSourceHealth.of(health) for health in feed.sources],
        )
