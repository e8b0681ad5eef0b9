"""Markets for tests: events as a worker publishes them, and a pipeline on a real view that is fed with them."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from core.budget import MemoryBudget
from core.bus import MemoryBus
from core.cache import MemoryCache
from core.clock import ManualClock
from core.settings import Settings
from core.vocabulary import CandleInterval, FeedStatus, MarketDataOrigin, OrderSide, PriceSource, Series
from events.journal import MarketConfigured
from events.market import (
    BookChanged,
    BookReset,
    CandleChanged,
    FeedChanged,
    SourceHealth,
    TickAccepted,
    TickerChanged,
    TradeAccepted,
)
from graph.context import Services
from graph.request import ALL_OPERATIONS, QUERIES_AND_MUTATIONS, Caller, GraphQLRequest
from server.graphql_app import build_pipeline
from services import catalogue
from services.catalogue import Catalogue
from services.chains import Chains
from services.exchange_gateway import NoExchange
from services.exchange_rules import market_rules
from services.funds_services import FundsParts, FundsRules, build_funds_services
from services.liabilities import Liabilities
from services.liability_key import LiabilityKey
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads
from services.server_status import ServerState
from services.trading_accounts import NoMarks, TradingAccounts
from services.trading_services import build_trading_services
from services.transfer_services import build_transfer_services
from services.wallet_views import build_wallet_views
from tests.accounts import BOX, CLIENT, NoLimits, build_accounts
from tests.custody import build_custody
from tests.swaps import build_swaps

BTC, ETH = "BTC-USDT", "ETH-USDT"
NOW_MS = 1_700_000_000_123
"""2023-11-14T22:13:20.123Z."""
D = Decimal
Levels = tuple[tuple[Decimal, Decimal], ...]
PROCESS = "this process"


def rules_of(known: Catalogue, symbol: str) -> MarketConfigured:
    """A market of the catalogue as the exchange counts in it; no fees, no band."""
    return market_rules(known.market(symbol), known.assets)._replace(
        min_lots=1, max_lots=0, min_value=0, max_open_orders=1000, band_ppm=0, maker_ppm=0, taker_ppm=0
    )


class Losses:
    """An observer that adds up."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def conflated(self, stream: str, messages: int = 1) -> None:
        self.counts["conflated", stream] += messages

    def dropped(self, stream: str, messages: int = 1) -> None:
        self.counts["dropped", stream] += messages

    def bus_gap(self) -> None:
        self.counts["bus", "gap"] += 1


def levels(*pairs: tuple[str, str]) -> Levels:
    return tuple((D(price), D(quantity)) for price, quantity in pairs)


def feed(symbol: str = BTC, status: FeedStatus = FeedStatus.LIVE, series: Series | None = Series.LIVE) -> FeedChanged:
    source = PriceSource.SIMULATED if series is Series.SIMULATED else PriceSource.BINANCE
    leader = None if series is None or status in (FeedStatus.STALE, FeedStatus.DOWN) else source
    health = SourceHealth(source, leader is not None, D(100), NOW_MS, D(0), None)
    return FeedChanged(symbol, status, leader, series, NOW_MS, 5, (health,))


def tick(
    sequence: int, price: str = "100", symbol: str = BTC, source: PriceSource = PriceSource.BINANCE
) -> TickAccepted:
    return TickAccepted(symbol, D(price), D(price) - 1, D(price) + 1, source, NOW_MS + sequence, sequence)


def ticker(
    symbol: str = BTC, last: str | None = "100", opened: str | None = "80", volume: str | None = "5"
) -> TickerChanged:
    known = [None if text is None else D(text) for text in (last, opened, volume)]
    return TickerChanged(symbol, NOW_MS, known[0], D(99), D(101), known[1], D(120), D(70), D(3), known[2], D(90), 7)


def trade(sequence: int, symbol: str = BTC, series: Series = Series.LIVE, price: str = "100") -> TradeAccepted:
    return TradeAccepted(
        symbol=symbol,
        series=series,
        source=PriceSource.BINANCE,
        trade_id=f"t{sequence}",
        price=D(price),
        quantity=D("0.50"),
        taker_side=OrderSide.BUY,
        time_ms=NOW_MS + sequence * 1000,
        sequence=sequence,
    )


def candle(
    open_time_ms: int,
    close: str = "100",
    symbol: str = BTC,
    series: Series = Series.LIVE,
    interval: CandleInterval = CandleInterval.MINUTE_15,
) -> CandleChanged:
    price = D(close)
    return CandleChanged(
        symbol, series, interval, interval.open_time_ms(open_time_ms), price, price + 1, price - 1, price, D(2), D(200), 3, False
    )  # fmt: skip


def book(sequence: int, bids: Levels | None = None, asks: Levels | None = None, symbol: str = BTC) -> BookReset:
    return BookReset(
        symbol,
        sequence,
        levels(("99", "1"), ("98", "2")) if bids is None else bids,
        levels(("101", "1"), ("102", "2")) if asks is None else asks,
        NOW_MS,
    )


def book_change(sequence: int, bids: Levels = (), asks: Levels = (), symbol: str = BTC) -> BookChanged:
    return BookChanged(symbol, sequence, bids, asks, NOW_MS + sequence)


_SETTINGS = Settings(_env_file=None)


class Markets:
    """A process that only reads: its view, and the real schema in front of it."""

    def __init__(self, *, market_data: MarketDataReads | None = None) -> None:
        self.bus = MemoryBus()
        self.losses = Losses()
        self.catalogue = catalogue.read_files()
        self.view, self.exchange_view = (
            MarketView(self.bus, self.catalogue, process=PROCESS, observer=self.losses, origin=origin)
            for origin in (MarketDataOrigin.REFERENCE, MarketDataOrigin.EXCHANGE)
        )
        self.market_data = market_data or MarketDataReads(self.view, self.exchange_view)
        accounts = build_accounts()
        self.pipeline = build_pipeline(
            settings=_SETTINGS,
            clock=ManualClock(),
            cache=MemoryCache(ManualClock()),
            services=Services(
                catalogue=self.catalogue,
                view=self.view,
                exchange_view=self.exchange_view,
                markets=MarketReads(self.catalogue, self.view),
                market_data=self.market_data,
                accounts=accounts,
                trading=build_trading_services(
                    gateway=NoExchange(),
                    bus=self.bus,
                    cache=MemoryCache(ManualClock()),
                    clock=ManualClock(),
                    catalogue=self.catalogue,
                    audit=accounts.audit,
                ),
                funds=build_funds_services(
                    FundsRules(test_funds_allowed=False, test_funds_daily=D(0)),
                    FundsParts(NoExchange(), NoMarks(), self.bus, ManualClock(), self.catalogue, self.view),
                ),
                liabilities=Liabilities(LiabilityKey(BOX)),
                custody=build_custody(
                    gateway=NoExchange(),
                    accounts=TradingAccounts(NoMarks()),
                    marks=NoMarks(),
                    catalogue=self.catalogue,
                    bus=self.bus,
                    clock=ManualClock(),
                    audit=accounts.audit,
                ),
                chains=(chains := Chains(self.catalogue.chains, {}, ManualClock())),
                wallet_views=(views := build_wallet_views(self.catalogue, chains, self.bus, ManualClock())),
                transfers=(
                    sending := build_transfer_services(
                        chains, views.tokens, lambda *_: None, limits=NoLimits(), bus=self.bus, clock=ManualClock()
                    )
                ),
                swaps=build_swaps(
                    catalogue=self.catalogue,
                    chains=chains,
                    clock=ManualClock(),
                    limits=NoLimits(),
                    sending=sending,
                    bus=self.bus,
                ),
                server_status=_no_status,
            ),
            budget=MemoryBudget(ManualClock(), per_minute=60_000_000),
        )

    def apply(self, *events: object) -> "Markets":
        for event in events:
            self.view.apply(event)
        return self

    def apply_own(self, *events: object) -> "Markets":
        """Events of this exchange's own."""
        for event in events:
            self.exchange_view.apply(event)
        return self

    def full(self, *symbols: str) -> "Markets":
        """Everything is known of these markets."""
        for symbol in symbols:
            self.apply(feed(symbol), tick(1, symbol=symbol), ticker(symbol), book(1, symbol=symbol))
            self.apply(*(trade(number, symbol) for number in range(1, 4)))
            self.apply(*(candle(NOW_MS, symbol=symbol, interval=interval) for interval in CandleInterval))
        return self

    def context(self) -> object:
        """What resolvers get of a stranger's operation."""
        return self.pipeline._context_factory(CALLER)

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The whole answer."""
        answer = await self.pipeline.execute(
            GraphQLRequest(query, variables=variables), CALLER, allowed=QUERIES_AND_MUTATIONS
        )
        return answer.body

    async def data(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of an answer without errors."""
        body = await self.ask(query, **variables)
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    async def stream(self, query: str, **variables: object) -> AsyncGenerator[dict[str, Any], None]:
        """Answers of a subscription."""
        request = GraphQLRequest(query, variables=variables)
        async with aclosing(self.pipeline.stream(request, CALLER, allowed=ALL_OPERATIONS)) as answers:
            async for answer in answers:
                yield answer.body


CALLER = Caller(CLIENT)


def codes(body: dict[str, Any]) -> list[tuple[str, Sequence[str | int]]]:
    """Code and path of every error."""
    return [(error["extensions"]["code"], error.get("path", ())) for error in body.get("errors", [])]


async def _no_status() -> ServerState:
    raise LookupError("no test asks for the server's state here")
