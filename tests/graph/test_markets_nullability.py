"""Each source of a market's page is taken away in turn: its field is null and coded, everything else stays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.clock import SystemClock
from core.database import Database
from core.ids import encode_id
from core.settings import Settings
from core.vocabulary import FeedStatus
from events.market import BookLost, FeedChanged
from models import DOCUMENTS
from tests import components
from tests.markets import BTC, ETH, Markets, book, codes, feed, tick, ticker

PAGE = """
fragment page on Market {
  symbol status base { code } rules { tickSize }
  feed { status source sources { source healthy } }
  ticker { last bid change24h }
  orderBook { sequence bids { price total } mid imbalance depthChart { bids { price } } }
}
query($symbols: [String!]) { markets(filter: {symbols: $symbols}) { nodes { ...page } totalCount } }
"""
HISTORY = """
query($symbols: [String!]) {
  markets(filter: {symbols: $symbols}) { nodes {
    symbol
    ticker { last }
    sparkline
    trades(first: 2) { nodes { sequence } }
    candles(interval: HOUR_1) { nodes { close } }
    indicators(interval: HOUR_1, requests: [{kind: SMA, period: 1}]) { name }
    trend { summary }
  } }
}
"""
STORED = ("sparkline", "trades", "candles", "indicators", "trend")


async def page(markets: Markets, query: str = PAGE) -> tuple[dict[str, Any], list[Any]]:
    body = await markets.ask(query, symbols=[BTC, ETH])
    return {row["symbol"]: row for row in body["data"]["markets"]["nodes"]}, codes(body)


WHOLE: Any = {
    "symbol": BTC,
    "status": "TRADING",
    "base": {"code": "BTC"},
    "rules": {"tickSize": "0.01"},
    "feed": {"status": "LIVE", "source": "BINANCE", "sources": [{"source": "BINANCE", "healthy": True}]},
    "ticker": {"last": "100", "bid": "99", "change24h": "20"},
    "orderBook": {
        "sequence": 1,
        "bids": [{"price": "99", "total": "1"}, {"price": "98", "total": "3"}],
        "mid": "100",
        "imbalance": "0",
        "depthChart": {"bids": [{"price": "99"}, {"price": "98"}]},
    },
}


async def test_nothing_is_missing_where_every_source_delivers() -> None:
    rows, errors = await page(Markets().full(BTC, ETH))
    assert errors == []
    assert rows[BTC] == WHOLE
    assert None not in rows[ETH].values()


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        pytest.param([], ["feed", "ticker", "orderBook"], id="nothing at all"),
        pytest.param([feed()], ["ticker", "orderBook"], id="no price yet"),
        pytest.param([feed(), tick(1), ticker()], ["orderBook"], id="no book yet"),
        pytest.param([feed(), tick(1), ticker(), book(1), BookLost(BTC, "a gap")], ["orderBook"], id="book lost"),
        pytest.param([feed(), tick(1), book(1)], ["ticker"], id="no ticker yet"),
    ],
)
async def test_exactly_the_field_of_a_source_that_is_away_is_null(events: list[object], missing: list[str]) -> None:
    rows, errors = await page(Markets().full(ETH).apply(*events))
    place = list(rows).index(BTC)
    assert errors == [("FEED_UNAVAILABLE", ["markets", "nodes", place, field]) for field in missing]
    assert rows[BTC] == WHOLE | dict.fromkeys(missing)
    assert None not in rows[ETH].values()


async def test_figures_that_are_not_known_are_null_without_an_error_and_never_0() -> None:
    markets = Markets().apply(feed(), tick(1), ticker(last=None, opened=None, volume=None), book(1, bids=()))
    data = await markets.data(
        """query($s: String!) { market(symbol: $s) {
          ticker { last open24h change24h changePercent24h quoteVolume24h spread }
          orderBook { bids { price } mid spread imbalance }
        } }""",
        s=BTC,
    )
    assert data["market"] == {
        "ticker": {
            "last": None,
            "open24h": None,
            "change24h": None,
            "changePercent24h": None,
            "quoteVolume24h": None,
            "spread": "2",
        },
        "orderBook": {"bids": [], "mid": None, "spread": None, "imbalance": "-1"},
    }


async def test_an_empty_book_has_no_imbalance() -> None:
    data = (
        await Markets()
        .apply(feed(), book(1, (), ()))
        .data("query($s: String!) { market(symbol: $s) { orderBook { imbalance checksum } } }", s=BTC)
    )
    assert data["market"]["orderBook"] == {"imbalance": None, "checksum": "0"}


@pytest.mark.usefixtures("database")
async def test_the_exchange_is_null_with_a_code_before_its_first_word() -> None:
    body = (
        await Markets()
        .full(BTC)
        .ask(
            """query($s: String!) { market(symbol: $s) {
          symbol
          ticker(origin: EXCHANGE) { last }
          orderBook(origin: EXCHANGE) { sequence }
          trades(origin: EXCHANGE) { nodes { id } }
          candles(origin: EXCHANGE, interval: HOUR_1) { nodes { id } }
          reference: ticker { last }
        } }""",
            s=BTC,
        )
    )
    assert codes(body) == [("EXCHANGE_UNAVAILABLE", ["market", field]) for field in ("ticker", "orderBook")]
    nothing: dict[str, Any] = {"nodes": []}
    assert body["data"]["market"] == {
        "symbol": BTC, "ticker": None, "orderBook": None, "trades": nothing, "candles": nothing, "reference": {"last": "100"},
    }  # fmt: skip


async def test_an_unknown_root_object_is_null_beside_the_others() -> None:
    body = await Markets().ask(
        '{ market(symbol: "NO-PE") { symbol } asset(code: "NOPE") { code } other: asset(code: "BTC") { code } }'
    )
    assert codes(body) == [("UNKNOWN_MARKET", ["market"]), ("UNKNOWN_ASSET", ["asset"])]
    assert body["data"] == {"market": None, "asset": None, "other": {"code": "BTC"}}


async def test_history_of_a_market_without_a_feed_is_null_beside_the_others(database: Database) -> None:
    rows, errors = await page(Markets().full(ETH), HISTORY)
    place = list(rows).index(BTC)
    assert sorted(errors) == sorted(
        ("FEED_UNAVAILABLE", ["markets", "nodes", place, field]) for field in ("ticker", *STORED)
    )
    assert rows[BTC] == {"symbol": BTC, "ticker": None, **dict.fromkeys(STORED)}
    assert rows[ETH] == {
        "symbol": ETH,
        "ticker": {"last": "100"},
        "sparkline": ["100"],
        "trades": {"nodes": [{"sequence": 3}, {"sequence": 2}]},
        "candles": {"nodes": [{"close": "100"}]},
        "indicators": [{"name": "SMA(1)"}],
        "trend": None,
    }


@pytest.fixture
async def stopped_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database that was connected and whose server has ended since."""
    settings = Settings(_env_file=None, mongo_timeout_ms=200, mongo_database="stopped")
    async with components.secantus(tmp_path) as (_, url):
        database = Database(url, settings, SystemClock())
        await database.connect(DOCUMENTS)
    yield database
    await database.close()


@pytest.mark.usefixtures("stopped_database")
async def test_a_database_that_is_away_takes_history_alone_with_it() -> None:
    markets = Markets().full(BTC, ETH)
    with capture_logs() as logs:
        rows, errors = await page(markets, HISTORY)
    places = {symbol: place for place, symbol in enumerate(rows)}
    assert sorted(errors) == sorted(
        ("DATABASE_UNAVAILABLE", ["markets", "nodes", places[symbol], field])
        for symbol in (BTC, ETH)
        for field in STORED
    )
    for symbol in (BTC, ETH):
        assert rows[symbol] == {"symbol": symbol, "ticker": {"last": "100"}, **dict.fromkeys(STORED)}
    body = await markets.ask(HISTORY, symbols=[BTC])
    for error in body["errors"]:
        assert error["message"] == "the database does not answer; try again in a moment"
        assert set(error["extensions"]) == {"code", "requestId"}
    assert {line["log_level"] for line in logs} == {"warning"}
    assert {line["request_id"] for line in logs} == {"request-1"}


@pytest.mark.usefixtures("stopped_database")
async def test_a_stored_object_is_null_with_a_code_while_the_database_is_away() -> None:
    markets = Markets().full(BTC)
    data = await Markets().full(BTC).data("{ assets(first: 1) { nodes { id } } }")
    query = 'query($id: ID!) { node(id: $id) { id } asset(code: "BTC") { code } }'
    body = await markets.ask(query, id=encode_id("Trade", "LIVE", BTC, 999))
    assert codes(body) == [("DATABASE_UNAVAILABLE", ["node"])]
    assert body["data"] == {"node": None, "asset": {"code": "BTC"}}
    assert (await markets.data("query($id: ID!) { node(id: $id) { id } }", id=data["assets"]["nodes"][0]["id"]))["node"]


def feeds(*statuses: tuple[str, FeedStatus]) -> list[FeedChanged]:
    return [feed(symbol, status) for symbol, status in statuses]


@pytest.mark.parametrize("status", list(FeedStatus))
async def test_a_price_is_stale_exactly_when_its_feed_is(status: FeedStatus) -> None:
    markets = Markets().apply(feed(), tick(1), feed(status=status))
    data = await markets.data(
        'query($s: String!) { market(symbol: $s) { feed { status } } asset(code: "BTC") { price(quote: "USDT") { stale } } }',
        s=BTC,
    )
    assert data["market"]["feed"]["status"] == status
    assert data["asset"]["price"]["stale"] is (status in ("STALE", "DOWN"))


async def test_an_asset_is_priced_in_the_first_usual_quote_that_is_current() -> None:
    query = '{ asset(code: "BTC") { price { symbol stale price } } }'
    markets = Markets()
    body = await markets.ask(query)
    assert codes(body) == [("FEED_UNAVAILABLE", ["asset", "price"])]
    for events, expected in (
        ([feed("BTC-USDC"), tick(1, "1", "BTC-USDC")], ("BTC-USDC", False, "1")),
        ([feed(BTC), tick(1, "2", BTC)], (BTC, False, "2")),
        ([feed("BTC-USD"), tick(1, "3", "BTC-USD")], ("BTC-USD", False, "3")),
        (feeds(("BTC-USD", FeedStatus.STALE)), (BTC, False, "2")),
        (feeds((BTC, FeedStatus.STALE)), ("BTC-USDC", False, "1")),
        (feeds(("BTC-USDC", FeedStatus.STALE)), ("BTC-USD", True, "3")),
    ):
        price = (await markets.apply(*events).data(query))["asset"]["price"]
        assert (price["symbol"], price["stale"], price["price"]) == expected


async def test_a_quote_that_nobody_trades_is_named() -> None:
    markets = Markets().full("BTC-USD")
    body = await markets.ask(
        '{ asset(code: "BTC") { code a: price(quote: "XYZ") { price } b: price(quote: "") { price } c: price { price } } '
        'usd: asset(code: "USD") { price { price } } }'
    )
    assert codes(body) == [
        ("UNKNOWN_MARKET", ["asset", "a"]),
        ("UNKNOWN_MARKET", ["asset", "b"]),
        ("UNKNOWN_MARKET", ["usd", "price"]),
    ]
    assert [error["extensions"].get("field") for error in body["errors"]] == [["quote"], ["quote"], None]
    assert body["data"]["asset"] == {"code": "BTC", "a": None, "b": None, "c": {"price": "100"}}
