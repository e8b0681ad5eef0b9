"""Markets: the page most clients open first."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.paging import MAX_CANDLE_PAGE_SIZE, PageRequest
from core.vocabulary import (
    CandleInterval,
    HistoryRange,
    MarketDataOrigin,
    MarketStatus,
    TimeOrder,
)
from graph.context import Context
from graph.directives import Cost
from graph.public_data import MarketSource, public, public_attributes
from graph.remembered import Remembered
from graph.types.asset import Asset
from graph.types.candle import Candle
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.indicator import IndicatorInput, IndicatorLine, IndicatorPoint, IndicatorSeries, MarketTrend
from graph.types.node import Node
from graph.types.order_book import OrderBook
from graph.types.price import PriceFeed
from graph.types.ticker import Ticker
from graph.types.trade import Trade
from models.market import MarketEntry, MarketRulesEntry

Info = strawberry.Info[Context, None]

DEFAULT_CANDLES = 100
_TICKERS = {
    MarketDataOrigin.REFERENCE: MarketSource.TICKER,
    MarketDataOrigin.EXCHANGE: MarketSource.EXCHANGE_TICKER,
}

Origin = Annotated[
    MarketDataOrigin,
    strawberry.argument(description="Whose data: the reference venues', or this exchange's own."),
]
Interval = Annotated[CandleInterval, strawberry.argument(description="Length of a candle.")]
From = Annotated[
    datetime | None, strawberry.argument(name="from", description="Not before this moment; without it, no limit.")
]
To = Annotated[datetime | None, strawberry.argument(description="Before this moment; without it, no limit.")]


@public_attributes
@strawberry.type(description="What an order in a market must keep to.")
class MarketRules:
    id: strawberry.ID = strawberry.field(description="Stable per market.")
    tick_size: Decimal = strawberry.field(description="Prices are multiples of this, in quote.")
    lot_size: Decimal = strawberry.field(description="Quantities are multiples of this, in base.")
    min_quantity: Decimal = strawberry.field(description="Smallest quantity, in base.")
    max_quantity: Decimal | None = strawberry.field(description="Largest quantity, in base.")
    min_notional: Decimal = strawberry.field(description="Smallest price times quantity, in quote.")
    max_open_orders: int = strawberry.field(description="Open orders an account may have here.")
    price_band: Decimal | None = strawberry.field(description="Farthest a limit may lie from the mark, as a fraction.")
    maker_fee: Decimal = strawberry.field(description="Fee of the maker as a fraction: 0.001 is 0.1 %.")
    taker_fee: Decimal = strawberry.field(description="Fee of the taker as a fraction.")

    @staticmethod
    def of(symbol: str, rules: MarketRulesEntry) -> "MarketRules":
        """The rules of a market as clients see them."""
        return _RULES.of(
            symbol,
            rules,
            lambda: MarketRules(
                id=strawberry.ID(encode_id("MarketRules", symbol)),
                tick_size=rules.tick_size,
                lot_size=rules.lot_size,
                min_quantity=rules.min_quantity,
                max_quantity=rules.max_quantity,
                min_notional=rules.min_notional,
                max_open_orders=rules.max_open_orders,
                price_band=rules.price_band,
                maker_fee=rules.maker_fee,
                taker_fee=rules.taker_fee,
            ),
        )


_RULES: Remembered[MarketRulesEntry, MarketRules] = Remembered()


@public_attributes
@strawberry.type(description="A pair that can be watched and traded.")
class Market(Node):
    entry: strawberry.Private[MarketEntry]
    symbol: str = strawberry.field(description="BASE-QUOTE, such as `BTC-USDT`.")

    @strawberry.field(description="The asset that is bought and sold.", metadata=public(MarketSource.CATALOGUE))
    def base(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.entry.base))

    @strawberry.field(description="The asset that prices are in.", metadata=public(MarketSource.CATALOGUE))
    def quote(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.entry.quote))

    @strawberry.field(description="What the market accepts.", metadata=public(MarketSource.CATALOGUE))
    def status(self, info: Info) -> MarketStatus:
        return info.context.catalogue.market(self.symbol).status

    @strawberry.field(description="What an order here must keep to.", metadata=public(MarketSource.CATALOGUE))
    def rules(self, info: Info) -> MarketRules:
        return MarketRules.of(self.symbol, info.context.catalogue.market(self.symbol).rules)

    @strawberry.field(
        description="Whether it is on the viewer's watch list. Null when nobody is signed in, and for everybody until there are watch lists."
    )
    def watched(self) -> bool | None:
        return None

    @strawberry.field(
        description="Where its prices come from, and how well. Null with FEED_UNAVAILABLE before the first report.",
        metadata=public(MarketSource.FEED, of_one_market=True),
    )
    def feed(self, info: Info) -> PriceFeed | None:
        return PriceFeed.of(info.context.market_data.feed(self.symbol))

    @strawberry.field(
        description="Last price, quotes and 24-hour figures. Null with FEED_UNAVAILABLE before the first price; of this "
        "exchange null with EXCHANGE_UNAVAILABLE before its first word, and null `last` before its first trade.",
        metadata=public(by_origin=_TICKERS, of_one_market=True),
    )
    def ticker(self, info: Info, origin: Origin = MarketDataOrigin.REFERENCE) -> Ticker | None:
        return Ticker.of(info.context.market_data.ticker(self.symbol, origin), origin)

    @strawberry.field(
        description="Closing prices over a range, oldest first: as many as there are candles, at most `points`. "
        "Costs 2 points.",
        directives=[Cost(points=2)],
    )
    async def sparkline(
        self,
        info: Info,
        range: Annotated[HistoryRange, strawberry.argument(description="Span that ends now.")] = HistoryRange.DAY,
        points: Annotated[int, strawberry.argument(description="Prices at most, 2 to 200.")] = 24,
    ) -> list[Decimal] | None:
        return await info.context.loaders.sparkline(self.symbol, range, points)

    @strawberry.field(
        description="The order book. Null with FEED_UNAVAILABLE (EXCHANGE_UNAVAILABLE) while there is no trustworthy one. "
        "This exchange's own holds people's orders and what the house quotes, at most 200 levels of each side. "
        "Costs 5 points beside what is selected.",
        directives=[Cost(points=5)],
    )
    def order_book(
        self,
        info: Info,
        origin: Origin = MarketDataOrigin.REFERENCE,
        depth: Annotated[int, strawberry.argument(description="Levels of each side, 1 to 1000.")] = 50,
        grouping: Annotated[
            Decimal | None, strawberry.argument(description="Merge levels to multiples of this price step.")
        ] = None,
    ) -> OrderBook | None:
        window = info.context.market_data.order_book(self.symbol, origin, depth, grouping)
        return OrderBook.of(window, origin, depth=depth, grouping=grouping)

    @strawberry.field(
        description="Public trades: of the feed that leads now, or of this exchange since its beginning. At most 500 a page, 50 without a size. "
        "Costs 5 points beside what is selected.",
        directives=[Cost(points=5)],
    )
    async def trades(
        self,
        info: Info,
        origin: Origin = MarketDataOrigin.REFERENCE,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Trade] | None:
        page = await info.context.market_data.trades(
            self.symbol, origin, order_by, PageRequest(first, after, last, before)
        )
        return connect(page, node=Trade.of, cursor=lambda trade: str(trade.sequence))

    @strawberry.field(
        description=(
            "Candles, oldest first, the open one included. Without `first` or `last` the newest 100. "
            "At most 1000 a page. Costs 5 points beside what is selected."
        ),
        directives=[Cost(points=5)],
    )
    async def candles(
        self,
        info: Info,
        interval: Interval,
        origin: Origin = MarketDataOrigin.REFERENCE,
        from_: From = None,
        to: To = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Candle] | None:
        if first is None and last is None and after is None:
            last = DEFAULT_CANDLES
        request = PageRequest(first, after, last, before, max_size=MAX_CANDLE_PAGE_SIZE)
        page = await info.context.market_data.candles(self.symbol, origin, interval, request, from_=from_, to=to)
        return connect(page, node=Candle.of, cursor=lambda candle: str(candle.open_time_ms))

    @strawberry.field(
        description="Technical indicators over candles; a point is null while its indicator warms up. "
        "Each costs 20 points beside what is selected.",
        directives=[Cost(points=20)],
    )
    async def indicators(
        self,
        info: Info,
        interval: Interval,
        requests: Annotated[list[IndicatorInput], strawberry.argument(description="Which, at most 10.")],
        from_: From = None,
        to: To = None,
    ) -> list[IndicatorSeries] | None:
        found = await info.context.market_data.indicators(self.symbol, interval, requests, from_=from_, to=to)
        return [
            IndicatorSeries(
                kind=indicator.kind,
                name=indicator.name,
                lines=[
                    IndicatorLine(
                        name=line.name,
                        points=[
                            IndicatorPoint(time=to_datetime(time_ms), value=value) for time_ms, value in line.points
                        ],
                    )
                    for line in indicator.lines
                ],
            )
            for indicator in found
        ]

    @strawberry.field(
        description="Where the price has been heading, in numbers and in words. Costs 5 points.",
        directives=[Cost(points=5)],
    )
    async def trend(self, info: Info, interval: Interval = CandleInterval.HOUR_1) -> MarketTrend | None:
        trend = await info.context.market_data.trend(self.symbol, interval)
        if trend is None:
            return None
        return MarketTrend(
            direction=trend.direction, strength=trend.strength, volatility=trend.volatility, summary=trend.summary
        )

    @staticmethod
    def of(market: MarketEntry) -> "Market":
        """The market as clients see it."""
        return _MARKETS.of(
            market.symbol,
            market,
            lambda: Market(id=strawberry.ID(encode_id("Market", market.symbol)), entry=market, symbol=market.symbol),
        )


_MARKETS: Remembered[MarketEntry, Market] = Remembered()
