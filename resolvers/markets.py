"""Root fields and live streams of markets."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import Annotated

import strawberry

from core.paging import PageRequest
from core.vocabulary import CandleInterval, MarketDataOrigin, MarketOrderBy
from graph.broadcast import shown
from graph.context import Context
from graph.types.candle import Candle
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.inputs import MarketFilter
from graph.types.market import Market
from graph.types.order_book import OrderBookUpdate
from graph.types.price import PriceTick
from graph.types.ticker import Ticker
from graph.types.trade import Trade
from resolvers import market_live
from services.markets import MarketCriteria, MarketPage

Info = strawberry.Info[Context, None]

Symbol = Annotated[str, strawberry.argument(description="BASE-QUOTE in capitals, such as `BTC-USDT`.")]
Symbols = Annotated[list[str], strawberry.argument(description="1 to 100 markets, BASE-QUOTE.")]
Origin = Annotated[
    MarketDataOrigin,
    strawberry.argument(description="Whose data: the reference venues', or this exchange's own."),
]


def market(info: Info, symbol: Symbol) -> Market | None:
    return Market.of(info.context.catalogue.market(symbol))


def markets(
    info: Info,
    filter: Annotated[MarketFilter | None, strawberry.argument(description="Which markets.")] = None,
    order_by: Annotated[MarketOrderBy, strawberry.argument(description="In which order.")] = MarketOrderBy.SYMBOL,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Market] | None:
    wanted = filter or MarketFilter()
    criteria = MarketCriteria(
        symbols=wanted.symbols,
        base=wanted.base,
        quote=wanted.quote,
        status=wanted.status,
        search=wanted.search,
        watched=wanted.watched,
    )
    request = PageRequest(first, after, last, before)
    return info.context.markets.show_markets(criteria, order_by, request, _connection)


def _connection(page: MarketPage, total: int) -> Connection[Market]:
    return connect(
        page, node=lambda placed: Market.of(placed.row), cursor=lambda placed: placed.cursor, total_count=total
    )


async def price_ticks(info: Info, symbols: Symbols) -> AsyncGenerator[PriceTick, None]:
    async with aclosing(shown(market_live.price_ticks(info.context.view_of, symbols))) as events:
        async for tick in events:
            yield tick


async def tickers(
    info: Info, symbols: Symbols, origin: Origin = MarketDataOrigin.REFERENCE
) -> AsyncGenerator[Ticker, None]:
    async with aclosing(shown(market_live.tickers(info.context.view_of, symbols, origin))) as events:
        async for ticker in events:
            yield ticker


async def trades(
    info: Info, symbol: Symbol, origin: Origin = MarketDataOrigin.REFERENCE
) -> AsyncGenerator[Trade, None]:
    async with aclosing(shown(market_live.trades(info.context.view_of, symbol, origin))) as events:
        async for trade in events:
            yield trade


async def candles(
    info: Info,
    symbol: Symbol,
    interval: Annotated[CandleInterval, strawberry.argument(description="Length of a candle.")],
    origin: Origin = MarketDataOrigin.REFERENCE,
) -> AsyncGenerator[Candle, None]:
    async with aclosing(shown(market_live.candles(info.context.view_of, symbol, interval, origin))) as events:
        async for candle in events:
            yield candle


async def order_book(
    info: Info,
    symbol: Symbol,
    origin: Origin = MarketDataOrigin.REFERENCE,
    depth: Annotated[int, strawberry.argument(description="Levels of each side, 1 to 1000.")] = 50,
    grouping: Annotated[
        Decimal | None, strawberry.argument(description="Merge levels to multiples of this price step.")
    ] = None,
) -> AsyncGenerator[OrderBookUpdate, None]:
    book = market_live.order_book(info.context.view_of, symbol, origin, depth, grouping)
    async with aclosing(shown(book)) as events:
        async for update in events:
            yield update


async def market_status_changed(
    info: Info,
    symbols: Annotated[list[str] | None, strawberry.argument(description="Which markets; without it, all.")] = None,
) -> AsyncGenerator[Market, None]:
    async with aclosing(shown(market_live.market_status_changed(info.context.view_of, symbols))) as events:
        async for market in events:
            yield market
