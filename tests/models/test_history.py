from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from core.database import Database
from core.vocabulary import CandleInterval, OrderSide, PriceSource, Series
from models.candle import Candle, CandleKey, candles_at, candles_between, delete_candles, replace_candles
from models.market_state import MarketHistoryState, read_sequences, read_state, write_sequences, write_states
from models.trade import TradeDocument, TradeEntry, delete_trades, insert_trades, trades_between

MINUTE = CandleInterval.MINUTE_1
BTC = CandleKey(Series.LIVE, "BTC-USDT", MINUTE, 60_000)
CANDLE = Candle(
    open_time_ms=60_000,
    open=Decimal("0.000000000000000001"),
    high=Decimal("99999999999999999999.99999999"),
    low=Decimal("0.000000000000000001"),
    close=Decimal("1.50"),
    volume=Decimal(7),
    quote_volume=None,
    trades=None,
    first=(60_000, 4),
    last=(60_001, 2**52),
    through_sequence=2**52,
    closed=True,
    from_provider=True,
)
TRADE = TradeEntry(
    series=Series.LIVE,
    symbol="BTC-USDT",
    sequence=5,
    source=PriceSource.KRAKEN,
    trade_id="k-1",
    price=Decimal("39432.480000000000000001"),
    quantity=Decimal("0.00031099999999999997"),
    taker_side=None,
    time_ms=60_000,
    expires_at=datetime(2100, 1, 1, tzinfo=UTC),
)


async def test_candles_come_back_as_they_were(database: Database) -> None:
    other = replace(CANDLE, open_time_ms=120_000, quote_volume=Decimal("1E-10"), trades=3)
    await replace_candles({BTC: CANDLE, BTC._replace(open_time_ms=120_000): other})
    assert await candles_between(Series.LIVE, "BTC-USDT", MINUTE, from_ms=60_000, to_ms=120_000) == [CANDLE]
    assert await candles_between(Series.LIVE, "BTC-USDT", MINUTE, from_ms=60_001, to_ms=None) == [other]
    assert await candles_at([BTC, BTC._replace(open_time_ms=0)]) == {BTC: CANDLE}
    assert await candles_at([]) == {}
    await replace_candles({BTC: replace(CANDLE, close=Decimal(2))})
    assert (await candles_at([BTC]))[BTC].close == 2


async def test_series_markets_and_intervals_are_never_mixed(database: Database) -> None:
    keys = [
        BTC,
        BTC._replace(series=Series.REPLAY),
        BTC._replace(symbol="ETH-USDT"),
        BTC._replace(interval=CandleInterval.MINUTE_5),
    ]
    await replace_candles({key: replace(CANDLE, trades=n) for n, key in enumerate(keys)})
    for n, key in enumerate(keys):
        (found,) = await candles_between(key.series, key.symbol, key.interval, from_ms=0, to_ms=None)
        assert found.trades == n
    await delete_candles(Series.LIVE, "BTC-USDT")
    assert set(await candles_at(keys)) == {keys[1], keys[2]}


async def test_a_sum_of_more_digits_than_storage_has_is_rounded_half_even(database: Database) -> None:
    long = Decimal("1234567890123456789012345678901234.5")
    await replace_candles({BTC: replace(CANDLE, volume=long, quote_volume=long + 1)})
    stored = (await candles_at([BTC]))[BTC]
    assert (stored.volume, stored.quote_volume) == (
        Decimal("1234567890123456789012345678901234"),
        Decimal("1234567890123456789012345678901236"),
    )


async def test_trades_come_back_as_they_were_and_the_first_of_a_sequence_stays(database: Database) -> None:
    second = replace(TRADE, sequence=6, taker_side=OrderSide.SELL)
    await insert_trades([TRADE])
    await insert_trades([replace(TRADE, price=Decimal(1)), second])
    assert await trades_between(Series.LIVE, "BTC-USDT", from_sequence=5, to_sequence=7) == [TRADE, second]
    assert await trades_between(Series.LIVE, "BTC-USDT", from_sequence=6, to_sequence=7) == [second]
    assert await trades_between(Series.REPLAY, "BTC-USDT", from_sequence=0, to_sequence=9) == []
    await delete_trades(Series.LIVE, "BTC-USDT")
    assert await trades_between(Series.LIVE, "BTC-USDT", from_sequence=0, to_sequence=9) == []


async def test_trades_expire_by_an_index(database: Database) -> None:
    indexes = await TradeDocument.get_pymongo_collection().index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0


async def test_states_and_counters_come_back_as_they_were(database: Database) -> None:
    fresh = await read_state(Series.LIVE, "BTC-USDT")
    assert fresh == MarketHistoryState(series=Series.LIVE, symbol="BTC-USDT")
    state = MarketHistoryState(
        series=Series.LIVE,
        symbol="BTC-USDT",
        trades_through=2**52,
        candles_through=4,
        complete_until_ms=60_000,
        earliest={MINUTE: 60_000},
        latest={MINUTE: 120_000},
        trade_marks={"3600000": 1},
    )
    await write_states([state])
    await write_states([])
    assert await read_state(Series.LIVE, "BTC-USDT") == state
    assert await read_state(Series.REPLAY, "BTC-USDT") != state
    await write_sequences({"a": 5, "b": 2**52})
    await write_sequences({"a": 6})
    assert await read_sequences(["a", "b", "c"]) == {"a": 6, "b": 2**52}
