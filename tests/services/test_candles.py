from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path
from random import Random
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import to_ms
from core.vocabulary import CandleInterval, Series
from events.market import CandleChanged, TradeAccepted
from integrations.feeds.base import ProviderCandle
from models.candle import Candle, CandleKey
from services.candles import CHILD, MINUTE, MarketCandles, fold, merge, of_provider, of_trade, usable
from tests.services import market_rows as rows
from tests.services.market_rows import HOUR_MS, MINUTE_MS, NOON_MS, SECOND_MS, SYMBOL

FIGURES = ["open", "high", "low", "close", "volume"]
ONE, FIVE, HOUR, DAY, WEEK = (
    CandleInterval.MINUTE_1,
    CandleInterval.MINUTE_5,
    CandleInterval.HOUR_1,
    CandleInterval.DAY_1,
    CandleInterval.WEEK_1,
)


def numbered(trades: list[tuple[int, str, str]]) -> list[TradeAccepted]:
    return [
        rows.taken(n, rows.trade(n, time_ms=time_ms, price=price, quantity=quantity))
        for n, (time_ms, price, quantity) in enumerate(trades, 1)
    ]


def newest_states(candles: MarketCandles) -> dict[tuple[CandleInterval, int], CandleChanged]:
    return {(change.interval, change.open_time_ms): change for change in candles.changes()}


decimals = st.decimals(min_value="0.00000001", max_value="99999.99999999", places=8)
moments = st.integers(NOON_MS - 3 * HOUR_MS, NOON_MS + 30 * HOUR_MS)
trade_lists = st.lists(st.tuples(moments, decimals.map(str), decimals.map(str)), min_size=1, max_size=60)


@given(trade_lists, st.randoms(use_true_random=False))
def test_candles_are_the_same_in_any_order_and_grouping(trades: list[tuple[int, str, str]], random: Random) -> None:
    taken = numbered(trades)
    expected = rows.expected_candles(taken)
    for interval in CandleInterval:
        groups: dict[int, list[Candle]] = {}
        for one in taken:
            minute = replace(of_trade(one), open_time_ms=interval.open_time_ms(one.time_ms))
            groups.setdefault(minute.open_time_ms, []).append(minute)
        for open_ms, parts in groups.items():
            random.shuffle(parts)
            while len(parts) > 1:
                place = random.randrange(len(parts) - 1)
                parts[place : place + 2] = [merge(parts[place], parts[place + 1])]
            assert rows.figures(parts[0]) == expected[interval, open_ms]


@given(trade_lists)
def test_a_market_gives_the_candles_of_its_trades_however_late_they_come(trades: list[tuple[int, str, str]]) -> None:
    taken = numbered(trades)
    candles = MarketCandles(Series.LIVE, SYMBOL)
    seen: dict[tuple[CandleInterval, int], CandleChanged] = {}
    stored: dict[CandleKey, Candle] = {}
    for one in taken:
        candles.apply(one, {key: stored[key] for key in candles.beyond_memory(one.time_ms) if key in stored})
        stored |= candles.take_unsaved()
        seen |= newest_states(candles)
    assert {slot: rows.figures(candle) for slot, candle in seen.items()} == rows.expected_candles(taken)


@given(trade_lists)
def test_longer_candles_are_folds_of_shorter_ones(trades: list[tuple[int, str, str]]) -> None:
    taken = numbered(trades)
    expected = rows.expected_candles(taken)
    level = [
        reduce(merge, [of_trade(one) for one in taken if MINUTE.open_time_ms(one.time_ms) == open_ms])
        for open_ms in sorted({MINUTE.open_time_ms(one.time_ms) for one in taken})
    ]
    for interval, child in CHILD.items():
        assert CandleInterval(child).length_ms < interval.length_ms
        level = fold(level, interval)
        assert {(interval, candle.open_time_ms): rows.figures(candle) for candle in level} == {
            slot: figures for slot, figures in expected.items() if slot[0] is interval
        }


def test_the_recorded_trades_make_the_same_candles_in_order_shuffled_and_repeated(shared_data: Path) -> None:
    taken = [rows.taken(n, trade) for n, trade in enumerate(rows.recorded_trades(shared_data), 1)]
    assert len(taken) == 2001
    expected = rows.expected_candles(taken)
    in_order = MarketCandles(Series.REPLAY, SYMBOL)
    for one in taken:
        in_order.apply(one)
        in_order.apply(one)
    assert {slot: rows.figures(c) for slot, c in newest_states(in_order).items()} == expected
    for seed in range(5):
        shuffled = list(taken)
        Random(seed).shuffle(shuffled)
        arrived = [replace(one, sequence=n) for n, one in enumerate(shuffled, 1)]
        candles = MarketCandles(Series.REPLAY, SYMBOL)
        for one in arrived:
            candles.apply(one)
        states = newest_states(candles)
        assert {slot: rows.figures(c) for slot, c in states.items()} == rows.expected_candles(arrived)
        assert {slot: c.volume for slot, c in states.items()} == {slot: f[4] for slot, f in expected.items()}


def exact_sum(column: "pandas.Series[Any]") -> Any:
    return sum(column, Decimal(0))


def test_recorded_minutes_roll_up_to_what_pandas_resamples(shared_data: Path) -> None:
    minutes = rows.minute_rows(shared_data)
    assert len(minutes) == 45_031
    frame = pandas.DataFrame(
        [[Decimal(row[name]) for name in FIGURES] for row in minutes],
        columns=FIGURES,
        index=pandas.to_datetime([row["timestamp"] for row in minutes], utc=True),
    )
    level = [
        of_provider(
            ProviderCandle(
                to_ms(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)),
                Decimal(row["open"]),
                Decimal(row["high"]),
                Decimal(row["low"]),
                Decimal(row["close"]),
                Decimal(row["volume"]),
                quote_volume=None,
                trades=None,
            ),
            ONE,
            through_sequence=0,
        )
        for row in minutes
    ]
    rules = {"5min": FIVE, "15min": CandleInterval.MINUTE_15, "1h": HOUR, "4h": CandleInterval.HOUR_4, "1D": DAY}
    for rule, interval in [*rules.items(), ("W-MON", WEEK)]:
        level = fold(level, interval)
        parts = frame.resample(rule, label="left", closed="left")
        resampled = pandas.concat(
            [
                parts["open"].first(),
                parts["high"].max(),
                parts["low"].min(),
                parts["close"].last(),
                parts["volume"].agg(exact_sum),
            ],
            axis=1,
        ).dropna()
        assert [(to_ms(row[0].to_pydatetime()), *row[1:]) for row in resampled.itertuples()] == [
            (c.open_time_ms, c.open, c.high, c.low, c.close, c.volume) for c in level
        ], rule
    assert len(level) >= 5


def test_weeks_begin_on_monday() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    for one in numbered([(rows.MONDAY_MS - 1, "1", "1"), (rows.MONDAY_MS, "2", "1")]):
        candles.apply(one)
    weeks = [open_ms for interval, open_ms in newest_states(candles) if interval is WEEK]
    assert weeks == [rows.MONDAY_MS - 7 * rows.DAY_MS, rows.MONDAY_MS]


def test_a_trade_closes_what_is_over_and_time_alone_does_too() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    first, second = numbered([(NOON_MS, "10", "1"), (NOON_MS + MINUTE_MS, "11", "1")])
    candles.apply(first)
    assert not any(change.closed for change in candles.changes())
    candles.apply(second)
    states = newest_states(candles)
    assert states[ONE, NOON_MS].closed
    assert not states[ONE, NOON_MS + MINUTE_MS].closed
    assert not states[FIVE, NOON_MS].closed
    candles.advance(NOON_MS + 2 * MINUTE_MS - 1)
    assert candles.changes() == []
    candles.advance(NOON_MS + 2 * MINUTE_MS)
    (closed,) = candles.changes()
    assert (closed.interval, closed.open_time_ms, closed.closed) == (ONE, NOON_MS + MINUTE_MS, True)
    candles.advance(NOON_MS + HOUR_MS)
    assert {(c.interval, c.closed) for c in candles.changes()} == {
        (FIVE, True),
        (CandleInterval.MINUTE_15, True),
        (HOUR, True),
    }


def test_minutes_without_trades_have_no_candle() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    for one in numbered([(NOON_MS, "10", "1"), (NOON_MS + 10 * MINUTE_MS, "11", "1")]):
        candles.apply(one)
    candles.advance(NOON_MS + HOUR_MS)
    assert [open_ms for interval, open_ms in newest_states(candles) if interval is ONE] == [
        NOON_MS,
        NOON_MS + 10 * MINUTE_MS,
    ]


def test_a_late_trade_corrects_its_candles_and_says_so_again() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    taken = numbered([(NOON_MS, "10", "1"), (NOON_MS + 5 * MINUTE_MS, "11", "1"), (NOON_MS + SECOND_MS, "15", "2")])
    for one in taken[:2]:
        candles.apply(one)
    candles.changes()
    candles.apply(taken[2])
    states = newest_states(candles)
    assert states[ONE, NOON_MS].closed
    assert rows.figures(states[ONE, NOON_MS]) == rows.numbers(10, 15, 10, 15, 3, 40, 2)
    assert rows.figures(states[HOUR, NOON_MS]) == rows.numbers(10, 15, 10, 11, 4, 51, 3)
    assert (ONE, NOON_MS + 5 * MINUTE_MS) not in states


def test_a_minute_of_a_providers_history_takes_no_more_trades() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    first, late = numbered([(NOON_MS + MINUTE_MS, "10", "1"), (NOON_MS + SECOND_MS, "99", "1")])
    candles.apply(first)
    provided = of_provider(rows.provider_candle(NOON_MS, "20"), ONE, through_sequence=1)
    candles.replace_candle(ONE, provided)
    candles.changes()
    candles.apply(late)
    assert candles.changes() == []


def test_what_could_not_be_stored_waits_but_never_hides_what_is_newer() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    first, second = numbered([(NOON_MS, "10", "1"), (NOON_MS + 1, "11", "1")])
    candles.apply(first)
    taken = candles.take_unsaved()
    assert len(taken) == 7
    candles.apply(second)
    candles.put_back(taken)
    assert {candle.trades for candle in candles.take_unsaved().values()} == {2}
    assert candles.take_unsaved() == {}


def test_memory_is_bounded() -> None:
    candles = MarketCandles(Series.LIVE, SYMBOL)
    for n in range(3 * 1440):
        candles.apply(rows.taken(n + 1, rows.trade(n, time_ms=NOON_MS + n * MINUTE_MS)))
        candles.take_unsaved()
        candles.changes()
    newest = candles.newest(10_000)
    assert 1441 <= sum(candle.interval is ONE for candle in newest) <= 25 * 60 + 1
    assert all(sum(candle.interval is interval for candle in newest) <= 2 for interval in CHILD)


@pytest.mark.parametrize(
    "wrong",
    [
        {"open_time_ms": NOON_MS + 1},
        {"low": Decimal(0), "open": Decimal(0)},
        {"high": Decimal(1)},
        {"low": Decimal(101)},
        {"volume": Decimal(0)},
        {"volume": Decimal(-1)},
        {"quote_volume": Decimal(-1)},
        {"trades": 0},
    ],
)
def test_a_providers_candle_that_makes_no_sense_is_not_used(wrong: dict[str, object]) -> None:
    sound = rows.provider_candle(NOON_MS, "100")
    assert usable(sound, ONE)
    assert not usable(replace(sound, **wrong), ONE)  # type: ignore[arg-type]
