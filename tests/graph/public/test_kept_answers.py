"""Answers that are kept: never older than the data, never with an error, the same bytes as without keeping."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random

import orjson
import pytest

from core.request_id import request_scope
from core.vocabulary import FeedStatus, MarketStatus, Series
from events.market import MarketStatusChanged
from graph.request import QUERIES, GraphQLRequest
from graph.response_cache import Encoded, ResponseCache
from graph.schema import build_schema
from services.read_marks import Reader
from tests.graph.public.asking import TEXTS, PublicDocuments, Weather, data_of, executed, kept, without_cost
from tests.markets import BTC, CALLER, ETH, Markets, book, feed, tick, ticker

SCHEMA = build_schema()._schema
BOTH = '{ markets(filter: {symbols: ["BTC-USDT", "ETH-USDT"]}) { nodes { symbol ticker { last } } } }'


@pytest.mark.parametrize("seed", range(6))
async def test_kept_answers_are_those_of_an_execution_whatever_happens(seed: int) -> None:
    chance = Random(seed)
    markets = Markets().full(BTC, ETH).apply_own(ticker(BTC), ticker(ETH))
    documents = PublicDocuments(SCHEMA, chance, texts=TEXTS)
    asked = [documents.operation() for _ in range(8)]
    while len(asked) < 24:
        text, variables = documents.operation()
        if b'"errors"' not in await executed(markets, text, variables):
            asked.append((text, variables))
    weather = Weather(markets, chance)
    with request_scope("request-1"):
        for _ in range(60):
            for text, variables in chance.sample(asked, 5):
                found, expected = await kept(markets, text, variables), await executed(markets, text, variables)
                assert without_cost(found) == without_cost(expected), text
                assert data_of(found) == data_of(expected), text
            weather.change()
    assert markets.pipeline.answers.hits > 10
    assert markets.pipeline.answers.misses > 10


CHANGES: dict[str, tuple[Callable[[Markets], object], str]] = {
    "a tick": (
        lambda markets: markets.apply(tick(9, "7")),
        '{ asset(code: "BTC") { price(quote: "USDT") { price } } }',
    ),
    "staleness": (
        lambda markets: markets.apply(feed(BTC, FeedStatus.DOWN)),
        '{ asset(code: "BTC") { price(quote: "USDT") { stale } } }',
    ),
    "a ticker": (lambda markets: markets.apply(ticker(BTC, "7")), '{ market(symbol: "BTC-USDT") { ticker { last } } }'),
    "an order by tickers": (
        lambda markets: markets.apply(ticker(ETH, "7777")),
        "{ markets(orderBy: PRICE_DESC, first: 1) { nodes { symbol } } }",
    ),
    "another series": (
        lambda markets: markets.apply(feed(BTC, series=Series.SIMULATED)),
        '{ market(symbol: "BTC-USDT") { ticker { last } } }',
    ),
    "a feed": (
        lambda markets: markets.apply(feed(BTC, FeedStatus.DEGRADED)),
        '{ market(symbol: "BTC-USDT") { feed { status } } }',
    ),
    "silence": (lambda markets: markets.view._mark_stale(), '{ market(symbol: "BTC-USDT") { feed { status } } }'),
    "an own ticker": (
        lambda markets: markets.apply_own(ticker(BTC, "7")),
        '{ market(symbol: "BTC-USDT") { ticker(origin: EXCHANGE) { last } } }',
    ),
    "own quotes": (
        lambda markets: markets.apply_own(book(3)),
        '{ market(symbol: "BTC-USDT") { ticker(origin: EXCHANGE) { bid } } }',
    ),
    "silence of the exchange": (
        lambda markets: markets.apply_own(book(3)).exchange_view._mark_stale(),
        '{ market(symbol: "BTC-USDT") { ticker(origin: EXCHANGE) { bid time } } }',
    ),
    "a status": (
        lambda markets: markets.apply_own(MarketStatusChanged(BTC, MarketStatus.HALTED)),
        '{ market(symbol: "BTC-USDT") { status } }',
    ),
}
"""Every way in which a source changes, and a question whose answer is another one then."""


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_changes_an_answer_ends_the_one_that_is_kept(change: str) -> None:
    happens, query = CHANGES[change]
    markets = Markets().full(BTC, ETH).apply_own(ticker(BTC, "5"))
    before = data_of(await kept(markets, query, {}))
    assert data_of(await kept(markets, query, {})) == before
    assert markets.pipeline.answers.hits == 1
    happens(markets)
    after = data_of(await kept(markets, query, {}))
    assert after == data_of(await executed(markets, query, {}))
    assert after != before or change == "silence of the exchange"


async def test_after_one_tick_one_market_is_encoded_again() -> None:
    markets = Markets().full(BTC, ETH)
    await kept(markets, BOTH, {})
    store = markets.pipeline._judging._fragments
    assert store is not None
    (held,) = store._selections
    before = dict(held.markets)
    markets.apply(ticker(ETH, "7"))
    assert orjson.loads(await kept(markets, BOTH, {}))["data"]["markets"]["nodes"][1]["ticker"]["last"] == "7"
    assert held.markets[BTC] is before[BTC]
    assert held.markets[ETH] is not before[ETH]


async def test_fragments_are_bounded() -> None:
    markets = Markets().full(BTC, ETH)
    store = markets.pipeline._judging._fragments
    assert store is not None
    store._bytes_held = 500
    for number in range(20):
        query = f"{{ markets(first: 50) {{ nodes {{ a{number}: symbol status }} }} }}"
        assert data_of(await kept(markets, query, {})) == data_of(await executed(markets, query, {}))
        assert sum(len(held.markets) for held in store._selections) < 40


async def test_an_answer_with_an_error_is_not_kept() -> None:
    markets = Markets().full(BTC)
    query = "{ markets { nodes { symbol ticker { last } } } }"
    for _ in range(3):
        assert b"FEED_UNAVAILABLE" in await kept(markets, query, {})
    assert markets.pipeline.answers.hits == 0
    with request_scope("request-2"):
        caller = replace(CALLER, client=replace(CALLER.client, request_id="request-2"))
        told = orjson.loads(await kept(markets, query, {}, caller))
    assert {error["extensions"]["requestId"] for error in told["errors"]} == {"request-2"}
    unknown = '{ market(symbol: "NONE") { symbol } }'
    for _ in range(2):
        assert b"UNKNOWN_MARKET" in await kept(markets, unknown, {})
    assert markets.pipeline.answers.hits == 0


async def test_each_caller_is_told_its_own_cost_and_marks() -> None:
    markets = Markets().full(BTC)
    query = '{ market(symbol: "BTC-USDT") { symbol } }'
    ann, bob = (replace(CALLER, limit_key=name, reader=Reader()) for name in ("ann", "bob"))
    bob.reader.see(77)
    first, second, other = [orjson.loads(await kept(markets, query, {}, each)) for each in (ann, ann, bob)]
    assert markets.pipeline.answers.hits == 2
    left = [answer["extensions"]["cost"]["remaining"] for answer in (first, second, other)]
    assert left[0] - left[1] == first["extensions"]["cost"]["requested"] == 1
    assert left[2] == left[0]
    assert "exchangeSequence" not in second["extensions"]
    assert other["extensions"]["exchangeSequence"] == 77


async def test_variables_and_operations_are_told_apart() -> None:
    markets = Markets().full(BTC, ETH)
    query = "query A($s: String!) { market(symbol: $s) { symbol } } query B($s: String!) { market(symbol: $s) { id } }"
    for _ in range(2):
        for symbol in (BTC, ETH):
            for name in ("A", "B"):
                request = GraphQLRequest(query, operation_name=name, variables={"s": symbol})
                answer = await markets.pipeline.execute(request, CALLER, allowed=QUERIES, encoded=True)
                assert answer.encoded is not None
                found = orjson.loads(b"".join(answer.encoded.parts(zipped=False)))["data"]["market"]
                assert found == ({"symbol": symbol} if name == "A" else {"id": found.get("id")})
    assert markets.pipeline.answers.hits == 4


def test_the_least_recently_used_answers_go_first() -> None:
    cache = ResponseCache(bytes_held=4_000)
    for name in "abc":
        cache.keep(name, Encoded((1,), b"x" * 400))
    assert cache.find("a", lambda: (1,)) is not None
    cache.keep("d", Encoded((1,), b"x" * 400))
    assert [name for name in "abcd" if cache.find(name, lambda: (1,))] == ["a", "c", "d"]
    assert cache.find("a", lambda: (2,)) is None
    cache.keep("huge", Encoded((1,), b"x" * 4_000))
    assert not [name for name in ("a", "c", "d", "huge") if cache.find(name, lambda: (1,))]


@pytest.mark.parametrize("size", [0, 1, 1_000, 70_000])
def test_a_compressed_answer_is_one_member_of_gzip(size: int) -> None:
    encoded = Encoded((1,), orjson.dumps("é" * size))
    for extensions in (b'{"cost":{"remaining":1}}', b'{"cost":{"remaining":22}}'):
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert reader.decompress(b"".join(encoded.gzipped(extensions))) == b"".join(encoded.plain(extensions))
        assert reader.eof
        assert not reader.unused_data
        some, none = (len(b"".join(encoded.gzipped(each))) for each in (b"{}", b""))
        assert some - none == 2, "callers' own part is as long as it is"
