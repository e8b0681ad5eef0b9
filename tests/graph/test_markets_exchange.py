"""This exchange's own data beside the reference's: the same fields, told apart by origin, null where nothing is known."""

from dataclasses import replace
from typing import Any

import pytest

from core.vocabulary import CandleInterval, PriceSource, Series
from events.market import BookChanged, BookReset, CandleChanged, TickerChanged, TradeAccepted
from tests.markets import BTC, NOW_MS, Markets, book, candle, levels, ticker, trade

EVERYTHING = """
query($s: String!, $origin: MarketDataOrigin!) {
  market(symbol: $s) {
    ticker(origin: $origin) { id origin last bid ask spread volume24h trades24h }
    orderBook(origin: $origin, depth: 2) { id origin mid bids { price quantity total orders } asks { price orders } }
    grouped: orderBook(origin: $origin, grouping: "5") { id bids { price orders } }
    trades(origin: $origin, first: 1) { nodes { id origin sequence price takerSide } }
    candles(origin: $origin, interval: HOUR_1) { nodes { id origin close } }
  }
}
"""


def own_trade(number: int, price: str = "50") -> TradeAccepted:
    return replace(
        trade(number, series=Series.EXCHANGE, price=price), source=PriceSource.EXCHANGE, trade_id=str(number)
    )


def own_candle(close: str = "50") -> CandleChanged:
    return candle(NOW_MS, close, series=Series.EXCHANGE, interval=CandleInterval.HOUR_1)


def own_book(sequence: int = 7) -> BookReset:
    return replace(
        book(sequence, levels(("49", "1"), ("48", "2"), ("44", "5")), levels(("51", "3"))), bid_orders=(2, 0, 1), ask_orders=(4,)
    )  # fmt: skip


def empty_ticker() -> TickerChanged:
    return TickerChanged(BTC, NOW_MS, None, None, None, None, None, None, None, None, None, None)


def traded() -> Markets:
    """A market with data of both origins."""
    return Markets().full(BTC).apply_own(own_book(), own_trade(1), own_candle(), ticker(last="50"))


@pytest.mark.usefixtures("database")
async def test_own_data_is_told_apart_by_its_origin_and_its_ids() -> None:
    markets = traded()
    own = (await markets.data(EVERYTHING, s=BTC, origin="EXCHANGE"))["market"]
    reference = (await markets.data(EVERYTHING, s=BTC, origin="REFERENCE"))["market"]
    assert own["ticker"] | {"id": ""} == {
        "id": "", "origin": "EXCHANGE", "last": "50", "bid": "49", "ask": "51", "spread": "2", "volume24h": "3", "trades24h": 7
    }  # fmt: skip
    assert own["orderBook"] | {"id": ""} == {
        "id": "",
        "origin": "EXCHANGE",
        "mid": "50",
        "bids": [
            {"price": "49", "quantity": "1", "total": "1", "orders": 2},
            {"price": "48", "quantity": "2", "total": "3", "orders": 0},
        ],
        "asks": [{"price": "51", "orders": 4}],
    }
    assert own["grouped"]["bids"] == [{"price": "45", "orders": 2}, {"price": "40", "orders": 1}]
    assert [one["origin"] for one in own["trades"]["nodes"]] == ["EXCHANGE"]
    assert own["candles"]["nodes"][0]["close"] == "50"
    assert reference["ticker"]["last"] == "100"
    assert reference["orderBook"]["bids"][0]["orders"] is None
    first, second = ids(own), ids(reference)
    assert len(first) == len(second) == 5
    assert not first & second


def ids(market: dict[str, Any]) -> set[str]:
    lists = (*market["trades"]["nodes"], *market["candles"]["nodes"])
    return {each["id"] for each in (market["ticker"], market["orderBook"], market["grouped"], *lists)}


@pytest.mark.usefixtures("database")
async def test_a_trade_of_each_origin_is_found_again_by_its_id() -> None:
    markets = traded()
    for origin, price in (("EXCHANGE", "50"), ("REFERENCE", "100")):
        data = await markets.data(EVERYTHING, s=BTC, origin=origin)
        wanted = data["market"]["trades"]["nodes"][0]["id"]
        found = await markets.data("query($id: ID!) { node(id: $id) { id ... on Trade { origin price } } }", id=wanted)
        assert found["node"] == {"id": wanted, "origin": origin, "price": price}


@pytest.mark.usefixtures("database")
async def test_an_empty_market_has_an_empty_book_and_a_ticker_of_nothing() -> None:
    markets = Markets().apply_own(book(1, (), ()), empty_ticker())
    data = (await markets.data(EVERYTHING, s=BTC, origin="EXCHANGE"))["market"]
    assert {name: value for name, value in data["ticker"].items() if value is not None} == {
        "id": data["ticker"]["id"],
        "origin": "EXCHANGE",
    }
    assert data["orderBook"] | {"id": ""} == {"id": "", "origin": "EXCHANGE", "mid": None, "bids": [], "asks": []}
    assert (data["trades"], data["candles"]) == ({"nodes": []}, {"nodes": []})


STREAMS = {
    "tickers": (
        'tickers(symbols: ["BTC-USDT"], origin: EXCHANGE) { origin last }',
        {"origin": "EXCHANGE", "last": "50"},
    ),
    "trades": ('trades(symbol: "BTC-USDT", origin: EXCHANGE) { origin price }', {"origin": "EXCHANGE", "price": "50"}),
    "candles": (
        'candles(symbol: "BTC-USDT", interval: HOUR_1, origin: EXCHANGE) { origin close }',
        {"origin": "EXCHANGE", "close": "50"},
    ),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_gives_what_holds_now_then_changes_of_its_origin_alone(name: str) -> None:
    field, first = STREAMS[name]
    markets = traded()
    stream = markets.stream(f"subscription {{ {field} }}")
    assert (await anext(stream))["data"] == {name: first}
    markets.apply(ticker(last="101"), trade(4, price="101"), candle(NOW_MS, "101", interval=CandleInterval.HOUR_1))
    markets.apply_own(ticker(last="52"), own_trade(2, "52"), own_candle("52"))
    changed = {key: "52" if value == "50" else value for key, value in first.items()}
    assert (await anext(stream))["data"] == {name: changed}
    await stream.aclose()


async def test_the_own_book_streams_with_its_orders() -> None:
    markets = traded()
    fields = "bids { price quantity orders } sequence"
    stream = markets.stream(
        'subscription { orderBook(symbol: "BTC-USDT", origin: EXCHANGE, depth: 2) '
        f"{{ ... on OrderBookSnapshot {{ {fields} }} ... on OrderBookDelta {{ previousSequence {fields} }} }} }}"
    )
    first = (await anext(stream))["data"]["orderBook"]
    assert [level["orders"] for level in first["bids"]] == [2, 0]
    markets.apply_own(BookChanged(BTC, 8, levels(("49", "1"), ("48", "0")), (), NOW_MS, (1, 0), ()))
    assert (await anext(stream))["data"]["orderBook"] == {
        "previousSequence": 7,
        "sequence": 8,
        "bids": [
            {"price": "49", "quantity": "1", "orders": 1},
            {"price": "48", "quantity": "0", "orders": 0},
            {"price": "44", "quantity": "5", "orders": 1},
        ],
    }
    await stream.aclose()
