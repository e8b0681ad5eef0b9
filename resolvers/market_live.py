"""Public streams of markets: what each tells, whoever asks."""

from collections.abc import Callable
from decimal import Decimal

from core.vocabulary import CandleInterval, MarketDataOrigin
from events.book import WindowDelta, WindowSnapshot
from events.market import CandleChanged, TickAccepted, TickerChanged, TradeAccepted
from graph.broadcast import Broadcast
from graph.types.candle import Candle
from graph.types.market import Market
from graph.types.order_book import OrderBookDelta, OrderBookSnapshot, order_book_update
from graph.types.price import PriceTick
from graph.types.ticker import Ticker
from graph.types.trade import Trade
from services import market_streams
from services.market_view import MarketView

ViewOf = Callable[[MarketDataOrigin], MarketView]
"""What this process knows of the markets of an origin: all that these streams may see."""


def price_ticks(view_of: ViewOf, symbols: list[str]) -> Broadcast[TickAccepted, PriceTick]:
    view = view_of(MarketDataOrigin.REFERENCE)

    def stale(tick: TickAccepted) -> bool:
        return view.states[tick.symbol].stale

    return Broadcast(
        market_streams.ticks(view, symbols),
        about=("priceTicks",),
        show=lambda tick: PriceTick.of(tick, stale=stale(tick)),
        version=stale,
    )


def tickers(
    view_of: ViewOf, symbols: list[str], origin: MarketDataOrigin = MarketDataOrigin.REFERENCE
) -> Broadcast[TickerChanged, Ticker]:
    return Broadcast(
        market_streams.tickers(view_of(origin), symbols),
        about=("tickers", origin),
        show=lambda ticker: Ticker.of(ticker, origin),
    )


def trades(
    view_of: ViewOf, symbol: str, origin: MarketDataOrigin = MarketDataOrigin.REFERENCE
) -> Broadcast[TradeAccepted, Trade]:
    return Broadcast(market_streams.trades(view_of(origin), symbol), about=("trades", origin, symbol), show=Trade.of)


def candles(
    view_of: ViewOf, symbol: str, interval: CandleInterval, origin: MarketDataOrigin = MarketDataOrigin.REFERENCE
) -> Broadcast[CandleChanged, Candle]:
    live = market_streams.candles(view_of(origin), symbol, interval)
    return Broadcast(live, about=("candles", origin, symbol, interval), show=Candle.of)


def order_book(
    view_of: ViewOf,
    symbol: str,
    origin: MarketDataOrigin = MarketDataOrigin.REFERENCE,
    depth: int = 50,
    grouping: Decimal | None = None,
) -> Broadcast[WindowSnapshot | WindowDelta, OrderBookSnapshot | OrderBookDelta]:
    live = market_streams.order_book(view_of(origin), symbol, depth=depth, grouping=grouping)
    return Broadcast(live, about=("orderBook", origin, symbol, depth, grouping), show=order_book_update)


def market_status_changed(view_of: ViewOf, symbols: list[str] | None = None) -> Broadcast[str, Market]:
    view = view_of(MarketDataOrigin.EXCHANGE)
    return Broadcast(
        market_streams.statuses(view, symbols),
        about=("marketStatusChanged",),
        show=lambda symbol: Market.of(view.catalogue.market(symbol)),
        version=view.catalogue.market,
    )
