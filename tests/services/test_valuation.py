"""What things are worth: the shortest way, then the freshest; nothing that is stale or unknown."""

from decimal import Decimal

import pytest

from core.database import Database
from core.vocabulary import CandleInterval, FeedStatus, Series
from models.candle import Candle, CandleKey, replace_candles
from services.valuation import PastValue, Quotation, Rate, Valuation, rates_into, value_at
from tests.markets import NOW_MS, D, Markets, candle, feed, tick, ticker

MINUTE = 60_000


def quotation(symbol: str, price: str, time_ms: int = 10) -> Quotation:
    base, quote = symbol.split("-")
    return Quotation(base, quote, D(price), time_ms)


@pytest.mark.parametrize(
    ("quotations", "expected"),
    [
        ([], None),
        ([quotation("BTC-USD", "100")], Rate(D(100), 10)),
        ([quotation("USD-BTC", "0.01")], Rate(D(100), 10)),
        ([quotation("BTC-USDT", "100"), quotation("USDT-USD", "0.5", 7)], Rate(D(50), 7)),
        ([quotation("BTC-USD", "100", 1), quotation("BTC-X", "2"), quotation("X-USD", "7")], Rate(D(100), 1)),
        (
            [quotation("BTC-A", "1"), quotation("A-USD", "5", 3), quotation("BTC-B", "1", 4), quotation("B-USD", "6")],
            Rate(D(6), 4),
        ),
        ([quotation("BTC-USD", "0")], None),
        ([quotation("A-USD", "1"), quotation("B-A", "1"), quotation("C-B", "1"), quotation("E-C", "1"), quotation("BTC-E", "1")], None),
    ],
)  # fmt: skip
def test_which_way_a_rate_goes(quotations: list[Quotation], expected: Rate | None) -> None:
    assert rates_into("USD", quotations, 20).get("BTC") == expected
    assert rates_into("USD", quotations, 20)["USD"] == Rate(D(1), 20)


def test_values_are_rounded_half_even() -> None:
    rates = {"A": Rate(D("0.000000005"), 1), "B": Rate(D("0.000000015"), 1)}
    assert value_at(rates, "A", D(1)) == 0
    assert value_at(rates, "B", D(1)) == D("0.00000002")
    assert value_at(rates, "C", D(1)) is None
    assert value_at(rates, "C", D(0)) == 0


def test_stale_prices_do_not_count() -> None:
    markets = Markets().apply(feed("BTC-USDT"), tick(1, "50"), feed("ETH-BTC"), tick(1, "0.1", "ETH-BTC"))
    valuation = Valuation(markets.catalogue, markets.view)
    assert valuation.value("ETH", D(2), "USDT") == 10
    assert valuation.value("USDT", D(100), "BTC") == 2
    markets.apply(feed("BTC-USDT", FeedStatus.STALE))
    assert valuation.value("ETH", D(2), "USDT") is None
    assert valuation.value("SOL", D(1), "USDT") is None


def test_rates_of_a_day_ago_need_an_open_price() -> None:
    markets = Markets().apply(
        feed("BTC-USDT"), tick(1, "100"), ticker(opened="80"), feed("ETH-USDT"), tick(1, "9", "ETH-USDT")
    )
    rates = Valuation(markets.catalogue, markets.view).rates_day_ago("USDT")
    assert {asset: rate.price for asset, rate in rates.items()} == {"USDT": 1, "BTC": 80}


def stored(close: str) -> Candle:
    price = D(close)
    return Candle(0, price, price, price, price, D(1), D(1), 1, (0, 0), (0, 0))


async def store(symbol: str, open_ms: int, close: str) -> None:
    row = stored(close)
    await replace_candles({CandleKey(Series.LIVE, symbol, CandleInterval.MINUTE_1, open_ms): row})


async def test_values_of_the_past_are_closes_of_their_minutes(database: Database) -> None:
    minute = NOW_MS - NOW_MS % MINUTE - 100 * MINUTE
    for symbol in ("BTC-USDT", "ETH-BTC", "ETH-USDT", "USDC-USDT"):
        await store(symbol, minute, {"BTC-USDT": "50", "ETH-BTC": "0.1", "ETH-USDT": "6", "USDC-USDT": "0.5"}[symbol])
    await store("ETH-BTC", minute + MINUTE, "0.2")
    await store("BTC-USDT", minute + MINUTE, "40")
    markets = Markets().apply(*[feed(symbol) for symbol in ("BTC-USDT", "ETH-BTC", "ETH-USDT", "USDC-USDT")])
    valuation = Valuation(markets.catalogue, markets.view)
    wanted = [
        PastValue("ETH", "USDT", minute),
        PastValue("ETH", "USDT", minute + MINUTE + 59_999),
        PastValue("USDT", "BTC", minute + 5),
        PastValue("BTC", "USDC", minute),
        PastValue("BTC", "USDT", minute - 1),
        PastValue("BTC", "BTC", minute - 1),
    ]
    found = [None if rate is None else rate.price for rate in await valuation.values_at(wanted)]
    assert found == [6, 8, Decimal("0.02"), 100, None, 1]


async def test_the_open_minute_is_read_from_memory(database: Database) -> None:
    markets = Markets().apply(feed(), candle(NOW_MS, "70", interval=CandleInterval.MINUTE_1))
    (rate,) = await Valuation(markets.catalogue, markets.view).values_at([PastValue("BTC", "USDT", NOW_MS)])
    assert rate is not None
    assert rate.price == 70
