"""What a client may ask of markets: ids, lists, pages, formats, and every wrong value."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pymongo import monitoring

from core.clock import ManualClock
from core.database import Database
from core.ids import encode_id
from core.vocabulary import CandleInterval, MarketDataOrigin, MarketStatus, Series
from events.market import MarketStatusChanged
from graph.types.ticker import Ticker
from models.candle import CandleKey, replace_candles
from services.candles import of_provider
from services.market_history import MarketHistory
from services.sequences import Sequences
from tests.markets import BTC, ETH, NOW_MS, D, Markets, book, candle, codes, feed, levels, tick, ticker, trade
from tests.services import market_rows as rows

SYMBOLS = sorted(Markets().catalogue.markets)
EVERYTHING = """
query($s: String!) {
  market(symbol: $s) {
    id base { id networks { id chain { id } } price(quote: "USDT") { id } } quote { id } rules { id } feed { id } ticker { id }
    orderBook(depth: 1) { id } grouped: orderBook(depth: 1, grouping: "5.0") { id }
    trades(first: 1) { nodes { id } } candles(interval: HOUR_1) { nodes { id } }
  }
}
"""


def ids_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["id"]] if "id" in value else []
        return own + [found for key, inner in value.items() if key != "id" for found in ids_in(inner)]
    return [found for inner in value for found in ids_in(inner)] if isinstance(value, list) else []


# ids


@pytest.mark.usefixtures("database")
async def test_ids_are_stable_unique_and_opaque() -> None:
    markets = Markets().full(BTC, ETH)
    first = ids_in(await markets.data(EVERYTHING, s=BTC))
    markets.apply(feed(), tick(2, "200"), ticker(last="200"), book(2, levels(("50", "1"))), candle(NOW_MS, "7"))
    assert ids_in(await markets.data(EVERYTHING, s=BTC)) == first
    assert len(first) == len(set(first)) >= 12
    others = ids_in(await markets.data(EVERYTHING, s=ETH))
    assert {plain(each) for each in set(first) & set(others)} <= {"Asset", "Chain"}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in first)


def plain(opaque: str) -> str:
    return urlsafe_b64decode(opaque + "=" * (-len(opaque) % 4)).decode().split(":")[0]


@pytest.mark.usefixtures("database")
async def test_every_node_is_found_again_by_its_id() -> None:
    markets = Markets().full(BTC)
    data = await markets.data(EVERYTHING, s=BTC)
    nodes = {plain(each): each for each in ids_in(data) if plain(each) in ("Market", "Asset", "Chain", "Trade")}
    assert set(nodes) == {"Market", "Asset", "Chain", "Trade"}
    for kind, opaque in nodes.items():
        found = await markets.data("query($id: ID!) { node(id: $id) { __typename id } }", id=opaque)
        assert found["node"] == {"__typename": kind, "id": opaque}
    several = [*nodes.values(), encode_id("Market", "NO-PE"), nodes["Market"]]
    found = await markets.data("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=several)
    assert [None if node is None else node["id"] for node in found["nodes"]] == [
        *nodes.values(), None, nodes["Market"]
    ]  # fmt: skip


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "parts",
    [
        ("Market", "NO-PE"),
        ("Market", BTC, "more"),
        ("Asset", "btc"),
        ("Chain", ""),
        ("Ticker", BTC, "REFERENCE"),
        ("Nothing", "1"),
        ("__class__", "1"),
        ("Trade", "LIVE", BTC),
        ("Trade", "LIVE", BTC, "0"),
        ("Trade", "LIVE", BTC, "01"),
        ("Trade", "LIVE", BTC, "-1"),
        ("Trade", "LIVE", BTC, "٣"),
        ("Trade", "LIVE", BTC, "999999999999999"),
        ("Trade", "LIVE", BTC, "9" * 30),
        ("Trade", "LIVE", "NO-PE", "1"),
        ("Trade", "OTHER", BTC, "1"),
        ("Trade", "SIMULATED", BTC, "1"),
    ],
)
async def test_a_well_formed_id_of_nothing_is_null(parts: tuple[str, ...]) -> None:
    markets = Markets().full(BTC)
    data = await markets.data("query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }", id=encode_id(*parts))
    assert data == {"node": None, "nodes": [None]}


@pytest.mark.parametrize(
    "text", ["", "x", "BTC-USDT", "====", "TWFya2V0", "TWFya2V0OkJUQy1VU0RU=", " TWFya2V0OkJUQy1VU0RU", "é", "\x00", "\ud83d\ude00", "A" * 10_000]
)  # fmt: skip
async def test_a_malformed_id_is_refused_by_name_and_spoils_nothing_else(text: str) -> None:
    good = encode_id("Market", BTC)
    body = await Markets().ask(
        "query($id: ID!, $ids: [ID!]!) { node(id: $id) { id } nodes(ids: $ids) { id } }", id=text, ids=[good, text]
    )
    assert codes(body) == [("BAD_USER_INPUT", ["node"]), ("BAD_USER_INPUT", ["nodes", 1])]
    assert [error["extensions"]["field"] for error in body["errors"]] == [["id"], ["ids", "1"]]
    assert all("as this API returned it" in error["message"] for error in body["errors"])
    assert body["data"] == {"node": None, "nodes": [{"id": good}, None]}


async def test_at_most_100_ids() -> None:
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    asset = encode_id("Asset", "BTC")
    assert len((await Markets().data(query, ids=[asset] * 100))["nodes"]) == 100
    assert (await Markets().data(query, ids=[]))["nodes"] == []
    body = await Markets().ask(query, ids=[asset] * 101)
    assert codes(body) == [("BAD_USER_INPUT", ["nodes"])]
    assert body["errors"][0]["extensions"]["field"] == ["ids"]


# lists


def markets_with(seed: int = 1) -> Markets:
    """Tickers for most markets, some of them equal, some without figures."""
    return shuffled(Markets(), Random(seed))


def shuffled(markets: Markets, random: Random) -> Markets:
    for symbol in random.sample(SYMBOLS, len(SYMBOLS) - 6):
        value = str(random.choice([1, 2, 2, 3, 50, 1000]))
        events = ticker(symbol, last=value, opened=random.choice([None, "2", "4"]), volume=random.choice([None, value]))
        markets.apply(feed(symbol), events)
    return markets


def figure(markets: Markets, symbol: str, order: str) -> Any:
    known = markets.view.states[symbol].ticker
    if known is None:
        return None
    if order == "VOLUME_24H_DESC":
        return known.quote_volume24h
    if order == "PRICE_DESC":
        return known.last
    return None if known.open24h is None or known.last is None else (known.last - known.open24h) / known.open24h


ORDERS = ["SYMBOL", "VOLUME_24H_DESC", "CHANGE_PERCENT_24H_DESC", "CHANGE_PERCENT_24H_ASC", "PRICE_DESC"]
LIST = """
query($o: MarketOrderBy!, $first: Int, $after: String, $last: Int, $before: String, $f: MarketFilter) {
  markets(orderBy: $o, filter: $f, first: $first, after: $after, last: $last, before: $before) {
    nodes { symbol } edges { cursor node { symbol } } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def listed(markets: Markets, order: str = "SYMBOL", **variables: Any) -> Any:
    found = (await markets.data(LIST, o=order, **variables))["markets"]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    cursors = [edge["cursor"] for edge in found["edges"]]
    assert [found["pageInfo"]["startCursor"], found["pageInfo"]["endCursor"]] == (
        [cursors[0], cursors[-1]] if cursors else [None, None]
    )
    found["symbols"] = [node["symbol"] for node in found["nodes"]]
    return found


@pytest.mark.parametrize("order", ORDERS)
async def test_orders(order: str) -> None:
    markets = markets_with()
    symbols = (await listed(markets, order, first=500))["symbols"]
    assert sorted(symbols) == SYMBOLS
    if order == "SYMBOL":
        assert symbols == SYMBOLS
        return
    known = [s for s in SYMBOLS if figure(markets, s, order) is not None]
    sign = 1 if order.endswith("ASC") else -1
    expected = sorted(known, key=lambda s: (sign * figure(markets, s, order), s))
    assert symbols == expected + [s for s in SYMBOLS if s not in known]
    assert 0 < len(known) < len(SYMBOLS)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("moving", [False, True])
async def test_pages_show_every_row_once_also_while_prices_move(order: str, backwards: bool, moving: bool) -> None:
    markets, random = markets_with(), Random(7)
    at_rest = (await listed(markets, order, first=500))["symbols"]
    visited: list[str] = []
    cursor = None
    while True:
        ask = {"last": 5, "before": cursor} if backwards else {"first": 5, "after": cursor}
        page = await listed(markets, order, **ask)
        visited = page["symbols"] + visited if backwards else visited + page["symbols"]
        assert page["totalCount"] == len(SYMBOLS)
        info = page["pageInfo"]
        assert info["hasPreviousPage" if not backwards else "hasNextPage"] is (cursor is not None)
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            break
        cursor = info["startCursor" if backwards else "endCursor"]
        if moving:
            shuffled(markets, random)
    assert sorted(visited) == SYMBOLS
    assert moving or visited == at_rest


async def test_a_page_between_two_cursors_and_a_page_of_nothing() -> None:
    markets = Markets()
    whole = await listed(markets, first=500)
    cursors = [edge["cursor"] for edge in whole["edges"]]
    between = await listed(markets, first=3, after=cursors[4], before=cursors[7])
    assert between["symbols"] == SYMBOLS[5:7]
    assert between["pageInfo"]["hasNextPage"] is between["pageInfo"]["hasPreviousPage"] is True
    for ask, following, preceding in (
        ({"first": 0}, True, False),
        ({"last": 0}, False, True),
        ({"first": 5, "after": cursors[-1]}, False, True),
        ({"last": 5, "before": cursors[0]}, True, False),
        ({"first": 5, "f": {"symbols": []}}, False, False),
    ):
        page = await listed(markets, **ask)
        assert page["symbols"] == []
        assert page["pageInfo"]["hasNextPage"] is following, ask
        assert page["pageInfo"]["hasPreviousPage"] is preceding, ask


async def test_a_cursor_outlives_a_change_of_the_catalogue() -> None:
    markets = Markets()
    page = await listed(markets, first=5)
    del markets.catalogue.markets[SYMBOLS[2]]
    following = await listed(markets, first=500, after=page["pageInfo"]["endCursor"])
    assert following["symbols"] == SYMBOLS[5:]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, lambda m: True),
        ({}, lambda m: True),
        ({"symbols": [BTC, ETH, BTC, "NO-PE"]}, lambda m: m.symbol in (BTC, ETH)),
        ({"symbols": None}, lambda m: True),
        ({"base": "ETH"}, lambda m: m.base == "ETH"),
        ({"quote": "EUR"}, lambda m: m.quote == "EUR"),
        ({"base": "eth"}, lambda m: False),
        ({"base": "BTC", "quote": "USD"}, lambda m: m.symbol == "BTC-USD"),
        ({"status": ["HALTED"]}, lambda m: m.symbol == "ETH-EUR"),
        ({"status": []}, lambda m: False),
        ({"search": "  bItCoIn "}, lambda m: m.base in ("BTC", "BCH")),
        ({"search": "usdc"}, lambda m: "USDC" in m.symbol),
        ({"search": ".*"}, lambda m: False),
        ({"search": ""}, lambda m: True),
    ],
)  # fmt: skip
async def test_filters(wanted: Any, expected: Any) -> None:
    markets = Markets()
    markets.catalogue.set_status("ETH-EUR", MarketStatus.HALTED)
    found = await listed(markets, first=500, f=wanted)
    assert found["symbols"] == [s for s in SYMBOLS if expected(markets.catalogue.markets[s])]
    assert found["totalCount"] == len(found["symbols"])


async def test_assets_are_listed_filtered_and_paged() -> None:
    markets = Markets()
    known = markets.catalogue.assets
    query = """query($f: AssetFilter, $first: Int, $after: String, $last: Int, $before: String) {
      assets(filter: $f, first: $first, after: $after, last: $last, before: $before) {
        nodes { code kind } totalCount pageInfo { endCursor startCursor hasNextPage hasPreviousPage } } }"""
    cases: list[tuple[Any, Any]] = [
        ({"codes": ["ETH", "NOPE", "BTC"]}, lambda a: a.code in ("ETH", "BTC")),
        ({"kind": ["FIAT", "STABLECOIN"]}, lambda a: a.kind in ("FIAT", "STABLECOIN")),
        ({"search": "COIN"}, lambda a: "coin" in a.name.lower() or "COIN" in a.code),
        ({"kind": ["FIAT"], "codes": ["BTC"]}, lambda a: False),
    ]
    for wanted, matches in cases:
        found = (await markets.data(query, f=wanted, first=100))["assets"]
        assert [node["code"] for node in found["nodes"]] == sorted(a.code for a in known.values() if matches(a))
        assert found["totalCount"] == len(found["nodes"])
    visited: list[str] = []
    after = None
    while True:
        page = (await markets.data(query, first=7, after=after))["assets"]
        visited += [node["code"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert visited == sorted(known)
    last = (await markets.data(query, last=3))["assets"]
    assert [node["code"] for node in last["nodes"]] == sorted(known)[-3:]
    assert last["pageInfo"]["hasPreviousPage"] is True


# history


async def stored_trades(count: int) -> Sequence[Any]:
    """Trades as a worker stores them."""
    history = MarketHistory(Sequences(), ManualClock(rows.NOON_MS + rows.DAY_MS), retention_days=36_500)
    await history.load(Series.LIVE, [BTC])
    taken = [
        await history.accept(Series.LIVE, rows.trade(number, time_ms=rows.NOON_MS + number * 100, price=str(number)))
        for number in range(1, count + 1)
    ]
    await history.flush()
    return taken


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("order", ["NEWEST_FIRST", "OLDEST_FIRST"])
@pytest.mark.parametrize("backwards", [False, True])
async def test_trades_page_by_page_from_storage_and_memory(order: str, backwards: bool) -> None:
    taken = await stored_trades(50)
    markets = Markets().apply(feed(), *taken[-5:], trade(51), trade(52))
    query = """query($s: String!, $o: TimeOrder!, $first: Int, $after: String, $last: Int, $before: String) {
      market(symbol: $s) { trades(orderBy: $o, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { sequence } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } } }"""
    visited: list[int] = []
    cursor = None
    while True:
        ask: dict[str, Any] = {"last": 15, "before": cursor} if backwards else {"first": 15, "after": cursor}
        page = (await markets.data(query, s=BTC, o=order, **ask))["market"]["trades"]
        found = [edge["node"]["sequence"] for edge in page["edges"]]
        visited = found + visited if backwards else visited + found
        if not page["pageInfo"]["hasPreviousPage" if backwards else "hasNextPage"]:
            break
        cursor = page["pageInfo"]["startCursor" if backwards else "endCursor"]
    assert visited == sorted(range(1, 53), reverse=order == "NEWEST_FIRST")
    grown = markets.apply(trade(53), trade(54))
    if order == "OLDEST_FIRST":
        page = (await grown.data(query, s=BTC, o=order, after="52"))["market"]["trades"]
        assert [edge["node"]["sequence"] for edge in page["edges"]] == [53, 54]


async def store_candles(symbols: Sequence[str], count: int, interval: CandleInterval, *, end_ms: int = NOW_MS) -> None:
    newest = interval.open_time_ms(end_ms)
    await replace_candles(
        {
            CandleKey(Series.LIVE, symbol, interval, newest - age * interval.length_ms): of_provider(
                rows.provider_candle(newest - age * interval.length_ms, str(1000 - age)), interval, through_sequence=0
            )
            for symbol in symbols
            for age in range(1, count + 1)
        }
    )


@pytest.mark.usefixtures("database")
async def test_candles_in_both_directions_and_ranges() -> None:
    history = MarketHistory(Sequences(), ManualClock(rows.NOON_MS + rows.DAY_MS), retention_days=36_500)
    await history.load(Series.LIVE, [BTC])
    for number in range(120):
        await history.accept(Series.LIVE, rows.trade(number, time_ms=rows.NOON_MS + number * 60_000))
    await history.flush()
    markets = Markets().apply(feed())
    query = """query($from: DateTime, $to: DateTime, $first: Int, $after: String, $last: Int, $before: String) {
      market(symbol: "BTC-USDT") { candles(interval: MINUTE_1, from: $from, to: $to, first: $first, after: $after,
        last: $last, before: $before) { nodes { openTime } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

    async def ask(**variables: Any) -> tuple[list[str], Any]:
        page = (await markets.data(query, **variables))["market"]["candles"]
        return [node["openTime"][11:16] for node in page["nodes"]], page["pageInfo"]

    def minutes(start: int, end: int) -> list[str]:
        return [f"{12 + n // 60}:{n % 60:02}" for n in range(start, end)]

    assert (await ask())[0] == minutes(20, 120)
    visited, after = [], None
    while True:
        found, info = await ask(first=50, after=after)
        visited += found
        after = info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert visited == minutes(0, 120)
    visited, before = [], None
    while True:
        found, info = await ask(last=50, before=before)
        visited = found + visited
        before = info["startCursor"]
        if not info["hasPreviousPage"]:
            break
    assert visited == minutes(0, 120)
    bounds = {"from": "2021-01-07T12:10:00.000Z", "to": "2021-01-07T14:15:00+02:00"}
    assert (await ask(**bounds))[0] == minutes(10, 15)
    assert (await ask(**bounds, first=2))[0] == minutes(10, 12)
    assert (await ask(**{"from": bounds["from"], "to": bounds["from"]}))[0] == []


class Finds(monitoring.CommandListener):
    """Counts the reads of candles."""

    def __init__(self) -> None:
        self.count = 0
        self.on = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += self.on and event.command_name == "find" and event.command["find"] == "candles"

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to count."""


FINDS = Finds()
monitoring.register(FINDS)


@pytest.fixture
def finds(database: Database) -> Finds:
    FINDS.count, FINDS.on = 0, True
    return FINDS


async def test_the_sparklines_of_all_markets_are_one_read(finds: Finds) -> None:
    quarter = CandleInterval.MINUTE_15
    await store_candles(SYMBOLS, 5, quarter)
    markets = Markets()
    for place, symbol in enumerate(SYMBOLS):
        newest_ms = NOW_MS - place % 3 * quarter.length_ms
        markets.apply(feed(symbol), candle(newest_ms, "5000", symbol))
    query = (
        "{ markets(first: 100) { nodes { symbol sparkline few: sparkline(points: 2) none: sparkline(points: 1) } } }"
    )
    body = await markets.ask(query)
    assert finds.count == 1
    assert {code for code, _ in codes(body)} == {"BAD_USER_INPUT"}, "one wrong wish spoils no other"
    for row in body["data"]["markets"]["nodes"]:
        place = SYMBOLS.index(row["symbol"])
        stored = {age: str(1001 - age) for age in range(1, 6)} | {place % 3: "5000"}
        assert row["sparkline"] == [stored[age] for age in sorted(stored, reverse=True)]
        assert row["few"] == [stored[max(stored)], stored[min(stored)]]
        assert row["none"] is None
    await markets.data("{ markets(first: 100) { nodes { sparkline } } }")
    assert finds.count == 2, "loaders are made per operation"


async def test_a_sparkline_spans_what_it_says_and_not_more(finds: Finds) -> None:
    await store_candles([BTC, ETH], 200, CandleInterval.MINUTE_15)
    markets = Markets().apply(feed(), feed(ETH), candle(NOW_MS, "1"), candle(NOW_MS - 86_400_000, "1", ETH))
    data = await markets.data("query($s: String!) { market(symbol: $s) { sparkline(points: 200) } }", s=BTC)
    assert len(data["market"]["sparkline"]) == 97, "a day of quarters, and the open one"
    both = await markets.data('{ markets(first: 100, filter: {base: null, search: "-USDT"}) { nodes { symbol } } }')
    assert both["markets"]["nodes"]


async def test_an_event_of_a_subscription_reads_anew(finds: Finds) -> None:
    markets = Markets().apply(feed(), candle(NOW_MS, "1"))
    stream = markets.stream('subscription { marketStatusChanged(symbols: ["BTC-USDT"]) { status sparkline } }')
    first = await anext(stream)
    markets.apply(candle(NOW_MS, "2")).apply_own(MarketStatusChanged(BTC, MarketStatus.HALTED))
    second = await anext(stream)
    await stream.aclose()
    assert first["data"]["marketStatusChanged"] == {"status": "TRADING", "sparkline": ["1"]}
    assert second["data"]["marketStatusChanged"] == {"status": "HALTED", "sparkline": ["2"]}
    assert finds.count == 2


# formats


@pytest.mark.usefixtures("database")
async def test_numbers_and_times_look_as_promised() -> None:
    tiny, large = D("1E-8"), D("1.2300E+12")
    markets = Markets().apply(
        feed(),
        replace(tick(1, "0.00000001"), sequence=2**53 - 1),
        ticker(last="0.00000001", opened="3"),
        book(2**53 - 1, ((tiny, large),), ()),
        trade(1),
    )
    data = await markets.data(
        """query($s: String!) { market(symbol: $s) {
          feed { lastUpdate latencyMs }
          ticker { last changePercent24h trades24h time }
          orderBook { sequence time bids { price quantity } spread }
          trades { nodes { price quantity time sequence } }
        } asset(code: "BTC") { price(quote: "USDT") { sequence price time } } }""",
        s=BTC,
    )
    assert data == {
        "market": {
            "feed": {"lastUpdate": "2023-11-14T22:13:20.123Z", "latencyMs": 5},
            "ticker": {
                "last": "0.00000001",
                "changePercent24h": "-100",
                "trades24h": 7,
                "time": "2023-11-14T22:13:20.123Z",
            },
            "orderBook": {
                "sequence": 2**53 - 1,
                "time": "2023-11-14T22:13:20.123Z",
                "bids": [{"price": "0.00000001", "quantity": "1230000000000"}],
                "spread": None,
            },
            "trades": {
                "nodes": [{"price": "100", "quantity": "0.5", "time": "2023-11-14T22:13:21.123Z", "sequence": 1}]
            },
        },
        "asset": {"price": {"sequence": 2**53 - 1, "price": "0.00000001", "time": "2023-11-14T22:13:20.124Z"}},
    }
    assert isinstance(data["market"]["orderBook"]["sequence"], int)


def test_the_change_in_percent_is_rounded_half_to_even() -> None:
    for last, opened, expected in (("1.0000005", "1", "0.0000"), ("1.0000015", "1", "0.0002"), ("2", "3", "-33.3333")):
        assert (
            str(Ticker.of(ticker(last=last, opened=opened), MarketDataOrigin.REFERENCE).change_percent24h) == expected
        )


# wrong values

M = 'market(symbol: "BTC-USDT")'
BAD, INVALID = "BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"
LONG_LIST = '["' + '", "'.join(["BTC-USDT"] * 501) + '"]'
WRONG: list[tuple[str, str, Any, str]] = [
    ('market(symbol: "btc-usdt") { id }', "UNKNOWN_MARKET", ["symbol"], "BASE-QUOTE in capitals"),
    ('market(symbol: "") { id }', "UNKNOWN_MARKET", ["symbol"], "BASE-QUOTE in capitals"),
    ('market(symbol: "' + "x" * 5000 + '") { id }', "UNKNOWN_MARKET", ["symbol"], "BASE-QUOTE in capitals"),
    ("market(symbol: null) { id }", INVALID, None, "String!"),
    ("market(symbol: 5) { id }", INVALID, None, "String"),
    ('asset(code: "btc") { id }', "UNKNOWN_ASSET", ["code"], "in capitals"),
    ('markets(filter: {watched: true}) { nodes { id } }', "UNAUTHENTICATED", ["filter", "watched"], "sign in"),
    ('markets(filter: {search: "' + "x" * 101 + '"}) { nodes { id } }', BAD, ["filter", "search"], "at most 100"),
    ("markets(filter: {symbols: " + LONG_LIST + "}) { nodes { id } }", BAD, ["filter", "symbols"], "at most 500"),
    ("markets(filter: {nope: 1}) { nodes { id } }", INVALID, None, "nope"),
    ("markets(filter: {status: [NOPE]}) { nodes { id } }", INVALID, None, "NOPE"),
    ("markets(orderBy: NOPE) { nodes { id } }", INVALID, None, "NOPE"),
    ("markets(first: 1, last: 1) { nodes { id } }", BAD, ["last"], "not both"),
    ("markets(first: -1) { nodes { id } }", BAD, ["first"], "negative"),
    ("markets(last: -1) { nodes { id } }", BAD, ["last"], "negative"),
    ("markets(first: 501) { nodes { id } }", BAD, ["first"], "at most 500"),
    ("markets(last: 501) { nodes { id } }", BAD, ["last"], "at most 500"),
    ("markets(first: 3000000000) { nodes { id } }", INVALID, None, "32-bit"),
    ("markets(first: 1.5) { nodes { id } }", INVALID, None, "Int"),
    ('markets(after: "") { nodes { id } }', BAD, ["after"], "cursor of this list"),
    ('markets(after: "17") { nodes { id } }', BAD, ["after"], "cursor of this list"),
    ('markets(before: "!é") { nodes { id } }', BAD, ["before"], "cursor of this list"),
    ('markets(after: "' + "W1tb" * 600 + '") { nodes { id } }', BAD, ["after"], "cursor of this list"),
    ('assets(first: 501) { nodes { id } }', BAD, ["first"], "at most 500"),
    ('assets(after: "17") { nodes { id } }', BAD, ["after"], "cursor of this list"),
    ('assets(filter: {search: "' + "x" * 101 + '"}) { nodes { id } }', BAD, ["filter", "search"], "at most 100"),
    (M + "{ orderBook(depth: 0) { id } }", BAD, ["depth"], "1 to 1000"),
    (M + "{ orderBook(depth: -5) { id } }", BAD, ["depth"], "1 to 1000"),
    (M + "{ orderBook(depth: 1001) { id } }", BAD, ["depth"], "1 to 1000"),
    (M + '{ orderBook(grouping: "0") { id } }', BAD, ["grouping"], "above 0"),
    (M + '{ orderBook(grouping: "-1") { id } }', BAD, ["grouping"], "above 0"),
    (M + '{ orderBook(grouping: "NaN") { id } }', INVALID, None, "plain decimal number"),
    (M + '{ orderBook(grouping: "1e2") { id } }', INVALID, None, "plain decimal number"),
    (M + '{ orderBook(grouping: "Infinity") { id } }', INVALID, None, "plain decimal number"),
    (M + '{ orderBook(grouping: "1_0") { id } }', INVALID, None, "plain decimal number"),
    (M + '{ orderBook(grouping: true) { id } }', INVALID, None, "string"),
    (M + "{ orderBook(origin: NOPE) { id } }", INVALID, None, "NOPE"),
    (M + "{ orderBook { depthChart(points: 1) { bids { price } } } }", BAD, ["points"], "2 to 1000"),
    (M + "{ orderBook { depthChart(points: 1001) { bids { price } } } }", BAD, ["points"], "2 to 1000"),
    (M + "{ sparkline(points: 1) }", BAD, ["points"], "2 to 200"),
    (M + "{ sparkline(points: 201) }", BAD, ["points"], "2 to 200"),
    (M + "{ sparkline(range: CENTURY) }", INVALID, None, "CENTURY"),
    (M + "{ trades(first: 501) { nodes { id } } }", BAD, ["first"], "at most 500"),
    (M + '{ trades(after: "-1") { nodes { id } } }', BAD, ["after"], "cursor of this list"),
    (M + '{ trades(before: "x") { nodes { id } } }', BAD, ["before"], "cursor of this list"),
    (M + '{ trades(after: "٣") { nodes { id } } }', BAD, ["after"], "cursor of this list"),
    (M + '{ trades(after: "' + "9" * 50 + '") { nodes { id } } }', BAD, ["after"], "cursor of this list"),
    (M + "{ trades(orderBy: NOPE) { nodes { id } } }", INVALID, None, "NOPE"),
    (M + "{ candles { nodes { id } } }", INVALID, None, "interval"),
    (M + "{ candles(interval: MINUTE_2) { nodes { id } } }", INVALID, None, "MINUTE_2"),
    (M + "{ candles(interval: HOUR_1, first: 1001) { nodes { id } } }", BAD, ["first"], "at most 1000"),
    (M + '{ candles(interval: HOUR_1, from: "2024-01-02T00:00:00Z", to: "2024-01-01T00:00:00Z") { nodes { id } } }', BAD, ["to"], "before from"),
    (M + '{ candles(interval: HOUR_1, from: "2024-01-02") { nodes { id } } }', INVALID, None, "RFC 3339"),
    (M + '{ candles(interval: HOUR_1, from: "2024-01-02T00:00:00") { nodes { id } } }', INVALID, None, "offset"),
    (M + '{ candles(interval: HOUR_1, from: "0001-01-01T00:00:00+14:00") { nodes { id } } }', INVALID, None, "RFC 3339"),
    (M + "{ candles(interval: HOUR_1, from: 1700000000000) { nodes { id } } }", INVALID, None, "RFC 3339"),
    (M + "{ indicators(interval: HOUR_1, requests: [" + "{kind: OBV} " * 11 + "]) { name } }", BAD, ["requests"], "at most 10"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: NOPE}]) { name } }", INVALID, None, "NOPE"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: SMA, nope: 1}]) { name } }", INVALID, None, "nope"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: OBV}, {kind: SMA, fast: 3}]) { name } }", BAD, ["requests", "1", "fast"], "takes period"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: SMA, period: 0}]) { name } }", BAD, ["requests", "0", "period"], "1 to 500"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: RSI, period: 1}]) { name } }", BAD, ["requests", "0", "period"], "2 to 500"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: SMA, period: 501}]) { name } }", BAD, ["requests", "0", "period"], "1 to 500"),
    (M + "{ indicators(interval: HOUR_1, requests: [{kind: MACD, fast: 26}]) { name } }", BAD, ["requests", "0", "fast"], "below slow"),
    (M + '{ indicators(interval: HOUR_1, requests: [{kind: BOLLINGER, deviations: "0"}]) { name } }', BAD, ["requests", "0", "deviations"], "above 0"),
    (M + '{ indicators(interval: HOUR_1, requests: [{kind: OBV}], from: "2024-01-02T00:00:00Z", to: "2024-01-01T00:00:00Z") { name } }', BAD, ["to"], "before from"),
    (M + "{ trend(interval: NOPE) { summary } }", INVALID, None, "NOPE"),
]  # fmt: skip


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("field", "code", "names", "says"), WRONG, ids=[f"{case[0][:90]}" for case in WRONG])
async def test_a_wrong_value_is_named_with_what_would_be_right(field: str, code: str, names: Any, says: str) -> None:
    body = await Markets().full(BTC).ask("{ " + field + " }")
    error = body["errors"][0]
    assert error["extensions"]["code"] == code
    assert error["extensions"].get("field") == names
    assert says in error["message"]
    if code == INVALID:
        assert "data" not in body, "nothing was run"
    else:
        assert error["path"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("Decimal", 0.5), ("Decimal", "NaN"), ("Decimal", "sNaN"), ("Decimal", "1e400"), ("Decimal", True), ("Decimal", []),
     ("Decimal", " 1"), ("Decimal", "1\n"), ("Decimal", "١"), ("Decimal", "1" * 40), ("Decimal", "0." + "1" * 19),
     ("DateTime", 5), ("DateTime", "now"), ("DateTime", "2024-13-01T00:00:00Z"), ("DateTime", "0001-01-01T00:00:00+14:00"),
     ("DateTime", "9999-12-31T23:59:59-14:00"), ("DateTime", "2024-01-01T00:00:00Z" + " " * 100)],
)  # fmt: skip
async def test_wrong_scalars_in_variables(kind: str, value: object) -> None:
    field = (
        "orderBook(grouping: $v) { id }"
        if kind == "Decimal"
        else "candles(interval: HOUR_1, from: $v) { nodes { id } }"
    )
    body = await Markets().full(BTC).ask(f"query($v: {kind}) {{ {M} {{ {field} }} }}", v=value)
    assert [code for code, _ in codes(body)] == [BAD]
    assert "$v" in body["errors"][0]["message"]
    assert "expected" in body["errors"][0]["message"]


async def test_a_cursor_of_another_list_or_order_is_refused() -> None:
    markets = markets_with()
    asset = (await markets.data("{ assets(first: 1) { pageInfo { endCursor } } }"))["assets"]["pageInfo"]["endCursor"]
    ranked = (await listed(markets, "PRICE_DESC", first=1))["pageInfo"]["endCursor"]
    for cursor in (asset, ranked):
        body = await markets.ask("query($c: String) { markets(after: $c) { nodes { id } } }", c=cursor)
        assert codes(body) == [(BAD, ["markets"])]
        assert body["errors"][0]["extensions"]["field"] == ["after"]


async def test_a_filter_lists_a_bounded_number_of_names() -> None:
    for root, kind, name in (("markets", "MarketFilter", "symbols"), ("assets", "AssetFilter", "codes")):
        query = f"query($f: {kind}) {{ {root}(filter: $f) {{ totalCount }} }}"
        assert (await Markets().data(query, f={name: ["x"] * 500}))[root]["totalCount"] == 0
        body = await Markets().ask(query, f={name: ["x"] * 501})
        assert codes(body) == [(BAD, [root])]
        assert body["errors"][0]["extensions"]["field"] == ["filter", name]


TOO_MANY = [f"X{number}-USD" for number in range(101)]


@pytest.mark.parametrize(
    ("field", "variables", "code", "names"),
    [
        ("priceTicks(symbols: $s) { id }", {"s": []}, BAD, ["symbols"]),
        ("priceTicks(symbols: $s) { id }", {"s": TOO_MANY}, BAD, ["symbols"]),
        ("priceTicks(symbols: $s) { id }", {"s": [BTC, "NO-PE"]}, "UNKNOWN_MARKET", ["symbols", "1"]),
        ("priceTicks(symbols: $s) { id }", {"s": [None]}, BAD, None),
        ("tickers(symbols: $s) { id }", {"s": []}, BAD, ["symbols"]),
        ("tickers(symbols: $s) { id }", {"s": ["NO-PE"]}, "UNKNOWN_MARKET", ["symbols", "0"]),
        ("tickers(symbols: $s, origin: EXCHANGE) { id }", {"s": ["NO-PE"]}, "UNKNOWN_MARKET", ["symbols", "0"]),
        ("marketStatusChanged(symbols: $s) { id }", {"s": []}, BAD, ["symbols"]),
        ("marketStatusChanged(symbols: $s) { id }", {"s": TOO_MANY}, BAD, ["symbols"]),
        ("marketStatusChanged(symbols: $s) { id }", {"s": ["NO-PE"]}, "UNKNOWN_MARKET", ["symbols", "0"]),
        ('trades(symbol: "NO-PE") { id }', {}, "UNKNOWN_MARKET", ["symbol"]),
        ('trades(symbol: "NO-PE", origin: EXCHANGE) { id }', {}, "UNKNOWN_MARKET", ["symbol"]),
        ('candles(symbol: "NO-PE", interval: HOUR_1) { id }', {}, "UNKNOWN_MARKET", ["symbol"]),
        ('candles(symbol: "BTC-USDT", interval: NOPE) { id }', {}, INVALID, None),
        ('orderBook(symbol: "NO-PE") { __typename }', {}, "UNKNOWN_MARKET", ["symbol"]),
        ('orderBook(symbol: "BTC-USDT", depth: 0) { __typename }', {}, BAD, ["depth"]),
        ('orderBook(symbol: "BTC-USDT", depth: 1001) { __typename }', {}, BAD, ["depth"]),
        ('orderBook(symbol: "BTC-USDT", grouping: "0") { __typename }', {}, BAD, ["grouping"]),
        ('orderBook(symbol: "BTC-USDT", origin: EXCHANGE, depth: 0) { __typename }', {}, BAD, ["depth"]),
    ],
)  # fmt: skip
async def test_a_wrong_subscription_is_refused_by_name_and_leaves_nothing(
    field: str, variables: dict[str, Any], code: str, names: Any
) -> None:
    markets = Markets().full(BTC)
    head = "subscription($s: [String!]!)" if "s" in variables else "subscription"
    nullable = head.replace("]!", "]") if "marketStatus" in field else head
    answers = [answer async for answer in markets.stream(f"{nullable} {{ {field} }}", **variables)]
    assert len(answers) == 1
    error = answers[0]["errors"][0]
    assert (error["extensions"]["code"], error["extensions"].get("field")) == (code, names)
    for view in (markets.view, markets.exchange_view):
        for watchers in (view.ticks, view.tickers, view.trades, view.candles, view.statuses, view.window_updates):
            assert len(watchers) == 0


async def test_a_symbol_given_twice_is_watched_once() -> None:
    markets = Markets().full(BTC)
    stream = markets.stream("subscription($s: [String!]!) { priceTicks(symbols: $s) { sequence } }", s=[BTC, BTC])
    assert (await anext(stream))["data"] == {"priceTicks": {"sequence": 1}}
    markets.apply(tick(2))
    assert (await anext(stream))["data"] == {"priceTicks": {"sequence": 2}}
    assert len(markets.view.ticks) == 1
    await stream.aclose()
    assert len(markets.view.ticks) == 0


# cost


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ("{ markets(first: 100) { nodes { symbol ticker { last } feed { status } rules { tickSize } } } }", 1 + 100 * 4),
        ("{ markets(first: 100) { edges { node { ticker { last } feed { sources { source } } rules { id } } } } }", 1 + 100 * 15),
        ("{ markets(first: 100) { nodes { sparkline(points: 200) } } }", 1 + 100 * 3),
        (f"{{ {M} {{ orderBook(depth: 1000) {{ bids {{ price }} asks {{ price }} }} }} }}", 1 + 5 + 2000),
        (f"{{ {M} {{ trades(first: 500) {{ nodes {{ price }} }} }} }}", 1 + 5 + 500),
        (f"{{ {M} {{ candles(interval: HOUR_1, first: 1000) {{ nodes {{ close }} }} }} }}", 1 + 5 + 1000),
        (f"{{ {M} {{ indicators(interval: HOUR_1, requests: [{{kind: OBV}}, {{kind: VWAP}}]) {{ name }} }} }}", 1 + 2 * 20),
    ],
)  # fmt: skip
async def test_what_pages_cost(query: str, points: int) -> None:
    assert Markets().pipeline.estimate(query).points == points <= 10_000
