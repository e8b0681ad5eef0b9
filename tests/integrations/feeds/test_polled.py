"""CoinGecko, CoinMarketCap and Chainlink over HTTP: prices, keys, limits, and what goes wrong."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import encode

from core.clock import ManualClock
from core.vocabulary import PriceSource
from events.feed import FeedConnected, FeedDisconnected, FeedPrice, FeedRejected
from integrations.feeds.base import Feed, FeedMarket
from integrations.feeds.chainlink import ChainlinkFeed
from integrations.feeds.coingecko import CoinGeckoFeed
from integrations.feeds.coinmarketcap import CoinMarketCapFeed
from integrations.feeds.http import HttpPolicy
from tests.integrations.feeds.recorder import running
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request

POLICY = HttpPolicy(total_seconds=2, attempts=1, patience_seconds=0)
BTC, ETH = "0xF4030086522a5bEEa4988F8cA5B36dbC97BeE88c", "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"
NOW_MS = 1_700_000_000_000


class Pacer:
    """Sleeping that a test allows one by one: `waits` says how long each poll is apart."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.waits: list[float] = []
        self._asleep = asyncio.Event()
        self._go = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._asleep.set()
        await self._go.acquire()
        self.clock.advance(seconds)

    async def next_poll(self) -> None:
        """Let the current wait pass, and return when the next begins."""
        await self.polled()
        self._asleep.clear()
        self._go.release()
        await self.polled()

    async def polled(self) -> None:
        """Return once a wait has begun."""
        async with asyncio.timeout(10):
            await self._asleep.wait()


@pytest.fixture
async def venue() -> AsyncIterator[HttpVenue]:
    venue = HttpVenue(lambda request: Reply(status=500))
    async with venue.listening():
        yield venue


@pytest.fixture
def pacer() -> Pacer:
    return Pacer(ManualClock(NOW_MS))


Build = Callable[..., Feed]


@pytest.fixture
def build(venue: HttpVenue, pacer: Pacer) -> Build:
    common: dict[str, Any] = {
        "clock": pacer.clock,
        "http_policy": POLICY,
        "randomness": random.Random(1),
        "sleep": pacer.sleep,
    }

    def make(source: PriceSource, *markets: tuple[str, str], **more: Any) -> Feed:
        named = [FeedMarket(*market) for market in markets]
        if source is PriceSource.COINGECKO:
            return CoinGeckoFeed(named, url=more.pop("url", venue.url), **common, **more)
        if source is PriceSource.COINMARKETCAP:
            return CoinMarketCapFeed(named, url=venue.url, api_key="cmc-key", **common, **more)
        return ChainlinkFeed(named, rpc_url=f"{venue.url}/v3/key", **common, **more)

    return make


def replies(venue: HttpVenue, *answers: Reply | Callable[[Request], Reply]) -> None:
    """Answer in turn; the last one for ever."""
    waiting = list(answers)

    def answer(request: Request) -> Reply:
        current = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return current if isinstance(current, Reply) else current(request)

    venue.answer = answer


# CoinGecko: the worked example of its documentation of /simple/price.
GECKO = {
    "bitcoin": {"usd": Decimal("67187.3358936566"), "eur": Decimal("61800.5"), "last_updated_at": 1711356300},
    "ethereum": {"usd": Decimal("3412.1"), "last_updated_at": 1711356301},
}
GECKO_MARKETS = (("BTC-USD", "bitcoin/usd"), ("BTC-EUR", "bitcoin/eur"), ("ETH-USD", "ethereum/usd"))


async def test_coingecko_asks_for_all_markets_at_once(venue: HttpVenue, build: Build, pacer: Pacer) -> None:
    replies(venue, Reply(GECKO))
    async with running(build(PriceSource.COINGECKO, *GECKO_MARKETS, api_key="demo")) as seen:
        await pacer.next_poll()
    assert len(venue.requests) == 2
    assert venue.requests[0].path == "/simple/price"
    assert venue.requests[0].query == {
        "ids": "bitcoin,ethereum",
        "vs_currencies": "eur,usd",
        "include_last_updated_at": "true",
        "precision": "18",
    }
    assert venue.requests[0].headers["x-cg-demo-api-key"] == "demo"
    source = PriceSource.COINGECKO
    assert seen.messages[:4] == [
        FeedConnected(source),
        FeedPrice(source, "BTC-USD", Decimal("67187.3358936566"), 1711356300000),
        FeedPrice(source, "BTC-EUR", Decimal("61800.5"), 1711356300000),
        FeedPrice(source, "ETH-USD", Decimal("3412.1"), 1711356301000),
    ]
    assert len(seen.of(FeedConnected)) == 1


@pytest.mark.parametrize(
    ("more", "most_polls_a_month"),
    [({"api_key": "demo"}, 10_000), ({}, 5 * 60 * 24 * 31), ({"api_key": "pro", "url": "pro"}, 500_000)],
    ids=str,
)
async def test_coingecko_keeps_within_its_plan(
    venue: HttpVenue, build: Build, pacer: Pacer, more: dict[str, str], most_polls_a_month: int
) -> None:
    replies(venue, Reply(GECKO))
    is_pro = "url" in more
    if is_pro:
        more = {**more, "url": f"{venue.url}/pro-api.coingecko.com"}
    async with running(build(PriceSource.COINGECKO, *GECKO_MARKETS, **more)):
        await pacer.polled()
    assert 31 * 86_400 / pacer.waits[0] <= most_polls_a_month
    assert ("x-cg-pro-api-key" in venue.requests[0].headers) == is_pro


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        {},
        {"usd": None, "last_updated_at": 1711356300},
        {"usd": "NaN", "last_updated_at": 1711356300},
        {"usd": -5, "last_updated_at": 1711356300},
        {"usd": 0, "last_updated_at": 1711356300},
        {"usd": Decimal("1E+30"), "last_updated_at": 1711356300},
        {"usd": True, "last_updated_at": 1711356300},
        {"usd": 5, "last_updated_at": None},
        {"usd": 5, "last_updated_at": -1},
        {"usd": 5, "last_updated_at": 10**13},
    ],
    ids=str,
)
async def test_coingecko_rejects_one_market_alone(venue: HttpVenue, build: Build, pacer: Pacer, entry: object) -> None:
    replies(venue, Reply({**GECKO, "bitcoin": entry}))
    async with running(build(PriceSource.COINGECKO, GECKO_MARKETS[0], GECKO_MARKETS[2])) as seen:
        await pacer.polled()
    assert [price.symbol for price in seen.of(FeedPrice)] == ["ETH-USD"]
    assert [rejected.reason[:8] for rejected in seen.of(FeedRejected)] == ["BTC-USD:"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"<html>", b'{"bitcoin": NaN}'], ids=str)
async def test_an_unusable_answer_is_a_disconnect_and_tried_again(
    venue: HttpVenue, build: Build, pacer: Pacer, body: bytes
) -> None:
    replies(venue, Reply(GECKO), Reply(body), Reply(GECKO))
    async with running(build(PriceSource.COINGECKO, *GECKO_MARKETS)) as seen:
        await pacer.next_poll()
        assert isinstance(seen.messages[-1], FeedDisconnected)
        assert pacer.waits[-1] <= 5
        await pacer.next_poll()
    assert len(seen.of(FeedConnected)) == 2


@pytest.mark.parametrize("source", [PriceSource.COINGECKO, PriceSource.COINMARKETCAP, PriceSource.CHAINLINK])
async def test_too_many_requests_is_waited_out_as_asked(
    venue: HttpVenue, build: Build, pacer: Pacer, source: PriceSource
) -> None:
    names = {PriceSource.COINGECKO: "bitcoin/usd", PriceSource.COINMARKETCAP: "1/USD", PriceSource.CHAINLINK: BTC}
    replies(venue, Reply(status=429, headers={"Retry-After": "777"}), Reply(status=503))
    async with running(build(source, ("BTC-USD", names[source]))) as seen:
        await pacer.next_poll()
        await pacer.next_poll()
    assert pacer.waits[0] >= 777
    assert all(wait < 777 for wait in pacer.waits[1:])
    assert [gone.reason for gone in seen.of(FeedDisconnected)[:2]] == [
        "the provider asked to wait 777 s",
        "the provider answered with status 503",
    ]
    assert not seen.of(FeedConnected)


CMC = {
    "status": {"error_code": 0, "credit_count": 1},
    "data": {
        "1": {
            "symbol": "BTC",
            "quote": {
                "USD": {"price": Decimal("6602.6070112345678901234"), "last_updated": "2018-08-09T21:56:28.000Z"}
            },
        },
        "74": {
            "symbol": "DOGE",
            "quote": {
                "USD": {"price": Decimal("0.0000123456789012345678"), "last_updated": "2018-08-09T21:56:28.000Z"}
            },
        },
    },
}


async def test_coinmarketcap_asks_once_per_currency(venue: HttpVenue, build: Build, pacer: Pacer) -> None:
    replies(venue, Reply(CMC))
    source = PriceSource.COINMARKETCAP
    markets = (("BTC-USD", "1/USD"), ("DOGE-USD", "74/USD"), ("BTC-EUR", "1/EUR"))
    async with running(build(source, *markets)) as seen:
        await pacer.polled()
    assert [(request.path, request.query["id"], request.query["convert"]) for request in venue.requests] == [
        ("/v2/cryptocurrency/quotes/latest", "1,74", "USD"),
        ("/v2/cryptocurrency/quotes/latest", "1", "EUR"),
    ]
    assert venue.requests[0].headers["x-cmc_pro_api_key"] == "cmc-key"
    assert seen.of(FeedPrice) == [
        FeedPrice(source, "BTC-USD", Decimal("6602.607011234567890123"), 1533851788000),
        FeedPrice(source, "DOGE-USD", Decimal("0.000012345678901235"), 1533851788000),
    ]
    assert [rejected.reason for rejected in seen.of(FeedRejected)] == ["BTC-EUR: EUR: expected an object"]
    assert 2 * 31 * 86_400 / pacer.waits[0] <= 10_000


@pytest.mark.parametrize(
    "quote",
    [
        {"price": "NaN"},
        {"price": -1},
        {"price": 0},
        {"price": 10**20},
        {"price": None},
        {"price": []},
        {"last_updated": 5},
    ],
    ids=str,
)
async def test_coinmarketcap_rejects_wrong_numbers(
    venue: HttpVenue, build: Build, pacer: Pacer, quote: dict[str, object]
) -> None:
    good = {"price": 5, "last_updated": "2018-08-09T21:56:28.000Z"}
    replies(venue, Reply({"data": {"1": {"quote": {"USD": {**good, **quote}}}}}))
    async with running(build(PriceSource.COINMARKETCAP, ("BTC-USD", "1/USD"))) as seen:
        await pacer.polled()
    assert [type(message) for message in seen.messages] == [FeedRejected]


class Chain:
    """A node that serves price contracts: address to (decimals, round), a round being the five values of latestRoundData."""

    def __init__(self, contracts: dict[str, tuple[int, tuple[int, int, int, int, int]]]) -> None:
        self.contracts = contracts
        self.calls: list[list[str]] = []

    def __call__(self, request: Request) -> Reply:
        assert isinstance(request.body, list)
        self.calls.append([call["params"][0]["data"] for call in request.body])
        return Reply([self._result(call) for call in reversed(request.body)])

    def _result(self, call: dict[str, Any]) -> dict[str, object]:
        to, data = call["params"][0]["to"], call["params"][0]["data"]
        if to not in self.contracts:
            return {"jsonrpc": "2.0", "id": call["id"], "result": "0x"}
        decimals, values = self.contracts[to]
        if data == "0x313ce567":
            result = encode(["uint8"], [decimals])
        else:
            result = encode(["uint80", "int256", "uint256", "uint256", "uint80"], values)
        return {"jsonrpc": "2.0", "id": call["id"], "result": "0x" + result.hex()}


SECOND = NOW_MS // 1000
FRESH = (7, 6_543_210_000_000, SECOND - 100, SECOND - 90, 7)


async def test_chainlink_reads_decimals_once_and_rounds_in_a_batch(
    venue: HttpVenue, build: Build, pacer: Pacer
) -> None:
    chain = Chain({BTC: (8, FRESH), ETH: (18, (1, 3 * 10**21 + 1, 0, SECOND, 1))})
    venue.answer = chain
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", BTC), ("ETH-USD", f"{ETH}/86400"))) as seen:
        await pacer.next_poll()
    assert chain.calls == [["0x313ce567"] * 2, ["0xfeaf968c"] * 2, ["0xfeaf968c"] * 2]
    assert venue.requests[0].path == "/v3/key"
    source = PriceSource.CHAINLINK
    assert seen.messages[:3] == [
        FeedConnected(source),
        FeedPrice(source, "BTC-USD", Decimal("65432.1"), (SECOND - 90) * 1000),
        FeedPrice(source, "ETH-USD", Decimal("3000.000000000000000001"), SECOND * 1000),
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((7, 0, 1, SECOND, 7), "answer: not above zero"),
        ((7, -5, 1, SECOND, 7), "answer: not above zero"),
        ((7, 2**255 - 1, 1, SECOND, 7), "answer: expected at most 34 digits"),
        ((7, 10**25, 1, SECOND, 7), "answer: number out of range"),
        ((7, 5, 1, 0, 7), "the round is not complete"),
        ((7, 5, 1, SECOND, 6), "the round is not complete"),
        ((7, 5, 1, SECOND - 4501, 7), "the round is stale: 4501 s old"),
        ((7, 5, 1, 2**200, 7), "updatedAt: time out of range"),
    ],
)
async def test_chainlink_rejects_a_round_that_cannot_be_trusted(
    venue: HttpVenue, build: Build, pacer: Pacer, values: tuple[int, int, int, int, int], reason: str
) -> None:
    venue.answer = Chain({BTC: (8, values), ETH: (8, FRESH)})
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", BTC), ("ETH-USD", ETH))) as seen:
        await pacer.polled()
    assert [price.symbol for price in seen.of(FeedPrice)] == ["ETH-USD"]
    assert [rejected.reason for rejected in seen.of(FeedRejected)] == [f"BTC-USD: {reason}"]


async def test_a_heartbeat_decides_what_is_stale(venue: HttpVenue, build: Build, pacer: Pacer) -> None:
    venue.answer = Chain({BTC: (8, (7, 5, 1, SECOND - 100_000, 7))})
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", f"{BTC}/86400"))) as seen:
        await pacer.polled()
    assert seen.of(FeedPrice)


async def test_chainlink_asks_again_for_a_contract_that_did_not_answer(
    venue: HttpVenue, build: Build, pacer: Pacer
) -> None:
    chain = Chain({ETH: (8, FRESH)})
    venue.answer = chain
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", BTC), ("ETH-USD", ETH))) as seen:
        await pacer.polled()
        assert [rejected.reason for rejected in seen.of(FeedRejected)] == ["BTC-USD: the contract gave no result"]
        chain.contracts[BTC] = (19, FRESH)
        await pacer.next_poll()
        assert seen.of(FeedRejected)[-1].reason == "BTC-USD: decimals: expected at most 18"
        chain.contracts[BTC] = (8, FRESH)
        await pacer.next_poll()
    assert {price.symbol for price in seen.of(FeedPrice)} == {"BTC-USD", "ETH-USD"}


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "batch not supported"}, "id": None},
        [5],
        "text",
    ],
    ids=str,
)
async def test_a_node_that_refuses_is_a_disconnect(venue: HttpVenue, build: Build, pacer: Pacer, body: object) -> None:
    replies(venue, Reply(body))
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", BTC))) as seen:
        await pacer.polled()
    assert [type(message) for message in seen.messages] == [FeedDisconnected]


@pytest.mark.parametrize("result", [None, 5, "0x", "0xzz", "0x00", "0x" + "ff" * 32, "1234"], ids=str)
async def test_an_unusable_result_is_rejected(venue: HttpVenue, build: Build, pacer: Pacer, result: object) -> None:
    replies(venue, Reply([{"jsonrpc": "2.0", "id": 0, "result": result}]))
    async with running(build(PriceSource.CHAINLINK, ("BTC-USD", BTC))) as seen:
        await pacer.polled()
    assert {type(message) for message in seen.messages} == {FeedRejected}


async def test_a_malformed_provider_symbol_is_refused(build: Build) -> None:
    for source, name in [
        (PriceSource.COINGECKO, "bitcoin"),
        (PriceSource.COINGECKO, "bitcoin,ethereum/usd"),
        (PriceSource.COINMARKETCAP, "/USD"),
        (PriceSource.CHAINLINK, "0x12"),
        (PriceSource.CHAINLINK, f"{BTC}/daily"),
    ]:
        with pytest.raises(ValueError, match="expected"):
            build(source, ("BTC-USD", name))
