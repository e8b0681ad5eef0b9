"""The whole surface: the only module that knows the resolvers."""

from collections.abc import AsyncGenerator

import strawberry
from strawberry.schema.config import StrawberryConfig

from graph.directives import Cost
from graph.execution import PipelineSchema
from graph.scalars import SCALARS
from graph.types.asset import Asset
from graph.types.candle import Candle
from graph.types.connection import Connection
from graph.types.market import Market
from graph.types.node import Node
from graph.types.order_book import OrderBookUpdate
from graph.types.price import PriceTick
from graph.types.server import CostEstimate, ServerStatus
from graph.types.ticker import Ticker
from graph.types.trade import Trade
from resolvers import assets as asset_resolvers
from resolvers import markets as market_resolvers
from resolvers import nodes as node_resolvers
from resolvers import server as server_resolvers


@strawberry.type(description="Everything that can be read.")
class Query:
    node: Node | None = strawberry.field(
        resolver=node_resolvers.node, description="Any object by its id; null when there is none (any more)."
    )
    nodes: list[Node | None] | None = strawberry.field(
        resolver=node_resolvers.nodes, description="Several objects by their ids, in the order asked."
    )
    status: ServerStatus | None = strawberry.field(
        resolver=server_resolvers.status, description="The server's own state."
    )
    assets: Connection[Asset] | None = strawberry.field(
        resolver=asset_resolvers.assets, description="Assets by code. At most 500 a page, 50 without a size."
    )
    asset: Asset | None = strawberry.field(
        resolver=asset_resolvers.asset, description="One asset; null with UNKNOWN_ASSET when there is none."
    )
    markets: Connection[Market] | None = strawberry.field(
        resolver=market_resolvers.markets, description="Markets. At most 500 a page, 50 without a size."
    )
    market: Market | None = strawberry.field(
        resolver=market_resolvers.market, description="One market; null with UNKNOWN_MARKET when there is none."
    )
    estimate_cost: CostEstimate | None = strawberry.field(
        resolver=server_resolvers.estimate_cost,
        description="What an operation would cost, without running it. Costs 5 points.",
        directives=[Cost(points=5)],
    )


@strawberry.type(description="Everything that can be watched. Each stream gives the current value first, then changes.")
class Subscription:
    price_ticks: AsyncGenerator[PriceTick, None] = strawberry.subscription(
        resolver=market_resolvers.price_ticks,
        description="Prices of markets. A reader that falls behind skips to the newest of each market.",
    )
    tickers: AsyncGenerator[Ticker, None] = strawberry.subscription(
        resolver=market_resolvers.tickers,
        description="Last price, quotes and 24-hour figures. A reader that falls behind skips to the newest.",
    )
    order_book: AsyncGenerator[OrderBookUpdate, None] = strawberry.subscription(
        resolver=market_resolvers.order_book,
        description="One snapshot of the window, then deltas that link without a gap; a new snapshot after any loss. "
        "Costs 5 points, and 1 for each event.",
        directives=[Cost(points=5, per_event=1)],
    )
    trades: AsyncGenerator[Trade, None] = strawberry.subscription(
        resolver=market_resolvers.trades,
        description="Every trade; never skips. A reader too far behind is ended with READER_TOO_SLOW, and one whose "
        "trades were lost inside the server with TRADES_MISSED: read them by query and subscribe again.",
    )
    candles: AsyncGenerator[Candle, None] = strawberry.subscription(
        resolver=market_resolvers.candles,
        description="The open candle as it changes, its closing, and later corrections by late trades.",
    )
    market_status_changed: AsyncGenerator[Market, None] = strawberry.subscription(
        resolver=market_resolvers.market_status_changed,
        description="Markets whose status changes.",
    )


def build_schema() -> PipelineSchema:
    """The schema as it is served."""
    return PipelineSchema(
        query=Query,
        subscription=Subscription,
        types=[Asset, Market, Trade],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
