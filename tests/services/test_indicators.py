from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from talipp.indicators import ADX, ATR, BB, EMA, MACD, OBV, RSI, SMA, VWAP, WMA, Stoch
from talipp.ohlcv import OHLCV

from core.database import Database
from core.errors import InvalidInput
from core.money import figure
from core.vocabulary import CandleInterval, IndicatorKind, Series
from events.market import CandleChanged
from integrations.feeds.base import ProviderCandle
from models.candle import CandleKey, replace_candles
from models.market_state import MarketHistoryState, write_states
from services import indicators
from services.candles import of_provider
from services.indicators import Indicator, IndicatorRequest, checked, compute
from tests.services import market_rows as rows
from tests.services.market_rows import MINUTE_MS, NOON_MS, SYMBOL

MINUTE = CandleInterval.MINUTE_1
Row = tuple[str, str, str, str]
"""High, low, close, volume."""


def candles(table: Sequence[Row]) -> list[CandleChanged]:
    return [
        CandleChanged(
            symbol=SYMBOL,
            series=Series.LIVE,
            interval=MINUTE,
            open_time_ms=NOON_MS + n * MINUTE_MS,
            open=Decimal(low),
            high=Decimal(high),
            low=Decimal(low),
            close=Decimal(close),
            volume=Decimal(volume),
            quote_volume=None,
            trades=None,
            closed=True,
        )
        for n, (high, low, close, volume) in enumerate(table)
    ]


def of_closes(*closes: int) -> list[CandleChanged]:
    return candles([(str(close), str(close), str(close), "1") for close in closes])


def values(indicator: Indicator, line: str = "value") -> list[Decimal | None]:
    (points,) = [found.points for found in indicator.lines if found.name == line]
    return [value for _, value in points]


def asked(kind: IndicatorKind, wanted: Sequence[CandleChanged], **parameters: Any) -> Indicator:
    return compute(kind, checked(IndicatorRequest(kind, **parameters)), [], wanted)


def test_averages_of_a_small_table() -> None:
    closes = of_closes(1, 2, 4, 8)
    # SMA: a third of 1+2+4 and of 2+4+8.
    assert values(asked(IndicatorKind.SMA, closes, period=3)) == [
        None,
        None,
        Decimal("2.33333333333"),
        Decimal("4.66666666667"),
    ]
    # WMA: a sixth of 1+2*2+4*3 and of 2+4*2+8*3.
    assert values(asked(IndicatorKind.WMA, closes, period=3)) == [
        None,
        None,
        Decimal("2.83333333333"),
        Decimal("5.66666666667"),
    ]
    # EMA: begins with the SMA, then half of 8 and half of that.
    assert values(asked(IndicatorKind.EMA, closes, period=3)) == [
        None,
        None,
        Decimal("2.33333333333"),
        Decimal("5.16666666667"),
    ]


def test_bands_of_a_small_table() -> None:
    bands = asked(IndicatorKind.BOLLINGER, of_closes(2, 4, 9), period=2, deviations=Decimal("1.5"))
    assert bands.name == "BOLLINGER(2,1.5)"
    # means 3 and 6.5, population deviations 1 and 2.5
    assert values(bands, "middle") == [None, 3, Decimal("6.5")]
    assert values(bands, "upper") == [None, Decimal("4.5"), Decimal("10.25")]
    assert values(bands, "lower") == [None, Decimal("1.5"), Decimal("2.75")]


def test_ranges_and_volumes_of_a_small_table() -> None:
    table = candles([("10", "8", "9", "100"), ("12", "9", "11", "50"), ("11", "6", "7", "30"), ("8", "7", "7", "5")])
    # true ranges 2, 3, 5, 1; ATR(2): mean 2.5, then (2.5+5)/2, (3.75+1)/2
    assert values(asked(IndicatorKind.ATR, table, period=2)) == [
        None,
        Decimal("2.5"),
        Decimal("3.75"),
        Decimal("2.375"),
    ]
    # up 50, down 30, unchanged
    assert values(asked(IndicatorKind.OBV, table)) == [100, 150, 120, 120]
    # typical prices 9, 32/3, 8, 22/3
    assert values(asked(IndicatorKind.VWAP, table)) == [
        figure(Decimal(numerator) / denominator)
        for numerator, denominator in (
            (900, 100),
            (Decimal(4300) / 3, 150),
            (Decimal(5020) / 3, 180),
            (Decimal(5130) / 3, 185),
        )
    ]
    # windows of 2: (11-8)/(12-8), (7-6)/(12-6), (7-6)/(11-6)
    stochastic = asked(IndicatorKind.STOCHASTIC, table, period=2, signal=2)
    assert values(stochastic, "k") == [None, 75, Decimal("16.6666666667"), 20]
    assert values(stochastic, "d") == [None, None, Decimal("45.8333333333"), Decimal("18.3333333333")]


def test_a_price_that_only_rises_has_an_rsi_of_100_and_a_rising_macd() -> None:
    rising = of_closes(*range(1, 30))
    assert values(asked(IndicatorKind.RSI, rising, period=5))[:7] == [None] * 5 + [100, 100]
    # both averages lag a straight line by (period-1)/2, so they differ by (slow-fast)/2
    macd = asked(IndicatorKind.MACD, rising, fast=3, slow=7, signal=2)
    assert values(macd, "macd")[:6] == [None] * 6
    assert set(values(macd, "macd")[6:]) == {Decimal(2)}
    assert values(macd, "signal")[:7] == [None] * 7
    assert set(values(macd, "histogram")[7:]) == {Decimal(0)}


def test_names_and_lines() -> None:
    flat = of_closes(*[5] * 3)
    named = {kind: asked(kind, flat) for kind in IndicatorKind}
    assert [named[kind].name for kind in IndicatorKind] == [
        "SMA(20)",
        "EMA(20)",
        "WMA(20)",
        "RSI(14)",
        "MACD(12,26,9)",
        "BOLLINGER(20,2)",
        "ATR(14)",
        "STOCHASTIC(14,3)",
        "ADX(14)",
        "OBV",
        "VWAP",
    ]
    assert {kind: [line.name for line in found.lines] for kind, found in named.items() if len(found.lines) > 1} == {
        IndicatorKind.MACD: ["macd", "signal", "histogram"],
        IndicatorKind.BOLLINGER: ["upper", "middle", "lower"],
        IndicatorKind.STOCHASTIC: ["k", "d"],
        IndicatorKind.ADX: ["adx", "plusDi", "minusDi"],
    }
    assert all(len(line.points) == 3 for found in named.values() for line in found.lines)


@pytest.mark.parametrize("kind", list(IndicatorKind))
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_flat_prices_and_few_candles_never_fail(kind: IndicatorKind, count: int) -> None:
    found = asked(kind, candles([("5", "5", "5", "1")] * count))
    assert all(len(line.points) == count for line in found.lines)
    assert all(value is None or value.is_finite() for line in found.lines for _, value in line.points)


@pytest.mark.parametrize("kind", list(IndicatorKind))
def test_every_smallest_parameter_works(kind: IndicatorKind) -> None:
    smallest = {name: 1 for name in checked(IndicatorRequest(kind)) if name in ("period", "signal")}
    if kind is IndicatorKind.RSI:
        smallest["period"] = 2
    if kind is IndicatorKind.MACD:
        smallest |= {"fast": 1, "slow": 2}
    found = asked(kind, of_closes(3, 1, 4, 1, 5, 9, 2, 6), **smallest)
    assert all(line.points[-1][1] is not None for line in found.lines)


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        (IndicatorRequest(IndicatorKind.SMA, period=0), "period", "from 1 to 500"),
        (IndicatorRequest(IndicatorKind.SMA, period=501), "period", "from 1 to 500"),
        (IndicatorRequest(IndicatorKind.RSI, period=1), "period", "from 2 to 500"),
        (IndicatorRequest(IndicatorKind.SMA, fast=3), "fast", "SMA does not use fast; it takes period"),
        (IndicatorRequest(IndicatorKind.OBV, period=3), "period", "OBV does not use period; it takes no parameters"),
        (IndicatorRequest(IndicatorKind.MACD, period=3), "period", "it takes fast and slow and signal"),
        (IndicatorRequest(IndicatorKind.MACD, fast=26), "fast", "fast must be below slow"),
        (IndicatorRequest(IndicatorKind.MACD, slow=12), "fast", "fast must be below slow"),
        (IndicatorRequest(IndicatorKind.MACD, signal=-1), "signal", "from 1 to 500"),
        (IndicatorRequest(IndicatorKind.BOLLINGER, deviations=Decimal(0)), "deviations", "above 0"),
        (IndicatorRequest(IndicatorKind.BOLLINGER, deviations=Decimal("10.1")), "deviations", "at most 10"),
        (IndicatorRequest(IndicatorKind.ATR, deviations=Decimal(1)), "deviations", "does not use deviations"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(request_: IndicatorRequest, field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refusal:
        checked(request_, 3)
    assert refusal.value.details["field"] == ["requests", "3", field]


def directly(kind: IndicatorKind, table: list[OHLCV]) -> dict[str, list[float | None]]:
    closes = [row.close for row in table]
    computed: dict[IndicatorKind, tuple[Any, dict[str, str]]] = {
        IndicatorKind.SMA: (SMA(20, closes), {}),
        IndicatorKind.EMA: (EMA(20, closes), {}),
        IndicatorKind.WMA: (WMA(20, closes), {}),
        IndicatorKind.RSI: (RSI(14, closes), {}),
        IndicatorKind.MACD: (
            MACD(12, 26, 9, closes),
            {"macd": "macd", "signal": "signal", "histogram": "histogram"},
        ),
        IndicatorKind.BOLLINGER: (BB(20, 2, closes), {"upper": "ub", "middle": "cb", "lower": "lb"}),
        IndicatorKind.ATR: (ATR(14, table), {}),
        IndicatorKind.STOCHASTIC: (Stoch(14, 3, table), {"k": "k", "d": "d"}),
        IndicatorKind.ADX: (ADX(14, 14, table), {"adx": "adx", "plusDi": "plus_di", "minusDi": "minus_di"}),
        IndicatorKind.OBV: (OBV(table), {}),
        IndicatorKind.VWAP: (VWAP(table), {}),
    }
    outputs, lines = computed[kind]
    if not lines:
        return {"value": list(outputs)}
    return {name: [one and getattr(one, raw) for one in outputs] for name, raw in lines.items()}


@pytest.mark.parametrize("kind", list(IndicatorKind))
def test_recorded_candles_give_what_the_library_gives(kind: IndicatorKind, shared_data: Path) -> None:
    minutes = rows.minute_rows(shared_data)[:500]
    table = [(row["high"], row["low"], row["close"], row["volume"]) for row in minutes]
    raw = [OHLCV(*(float(row[name]) for name in ("open", "high", "low", "close", "volume"))) for row in minutes]
    expected = directly(kind, raw)
    found = asked(kind, candles(table))
    assert {line.name: [value for _, value in line.points] for line in found.lines} == {
        name: [None if value is None else figure(Decimal(str(value))) for value in line]
        for name, line in expected.items()
    }
    assert any(value is not None for line in expected.values() for value in line)


async def store(table: Sequence[Row]) -> None:
    stored = {
        CandleKey(Series.LIVE, SYMBOL, MINUTE, c.open_time_ms): of_provider(
            ProviderCandle(c.open_time_ms, c.open, c.high, c.low, c.close, c.volume, None, None),
            MINUTE,
            through_sequence=0,
        )
        for c in candles(table)
    }
    await replace_candles(stored)
    state = MarketHistoryState(series=Series.LIVE, symbol=SYMBOL)
    state.earliest[MINUTE] = NOON_MS
    state.latest[MINUTE] = NOON_MS + (len(table) - 1) * MINUTE_MS
    await write_states([state])


async def test_values_are_warm_at_the_first_candle_asked_for(database: Database, shared_data: Path) -> None:
    minutes = rows.minute_rows(shared_data)[:1200]
    table = [(row["high"], row["low"], row["close"], row["volume"]) for row in minutes]
    await store(table)
    requests = [IndicatorRequest(kind) for kind in IndicatorKind]
    from_ms = NOON_MS + 1000 * MINUTE_MS
    whole = await indicators.indicators(
        Series.LIVE, SYMBOL, MINUTE, requests[:10], live=[], from_ms=from_ms, to_ms=from_ms + 50 * MINUTE_MS
    )
    everything = candles(table)[:1050]
    for found in whole:
        for line in found.lines:
            assert [time_ms for time_ms, _ in line.points] == [from_ms + n * MINUTE_MS for n in range(50)]
            assert all(value is not None for _, value in line.points)
        if found.kind is IndicatorKind.OBV:
            continue
        long = compute(found.kind, checked(IndicatorRequest(found.kind)), [], everything)
        for warm, full in zip(found.lines, long.lines, strict=True):
            scale = max(abs(value) for _, value in full.points if value is not None)
            for (_, a), (_, b) in zip(warm.points, full.points[1000:], strict=True):
                assert a is not None
                assert b is not None
                assert abs(a - b) <= scale * Decimal("0.0001")


async def test_without_a_range_the_newest_hundred_with_what_is_live(database: Database) -> None:
    await store([("2", "1", str(n), "1") for n in range(1, 151)])
    live = candles([("2", "1", "9", "1")] * 151)[-1:]
    (sma,) = await indicators.indicators(
        Series.LIVE, SYMBOL, MINUTE, [IndicatorRequest(IndicatorKind.SMA, period=2)], live=live
    )
    points = sma.lines[0].points
    assert len(points) == 100
    assert points[-1] == (NOON_MS + 150 * MINUTE_MS, Decimal("79.5"))
    assert points[0][1] == Decimal("51.5")


async def test_a_range_of_too_many_candles_and_too_many_requests_are_refused(database: Database) -> None:
    await store([("2", "1", "1", "1")] * 1001)
    sma = IndicatorRequest(IndicatorKind.SMA)
    with pytest.raises(InvalidInput, match="more than 1000 candles") as refusal:
        await indicators.indicators(Series.LIVE, SYMBOL, MINUTE, [sma], live=[], from_ms=NOON_MS)
    assert refusal.value.details == {"field": ["from"], "limit": 1000}
    with pytest.raises(InvalidInput, match="at most 10"):
        await indicators.indicators(Series.LIVE, SYMBOL, MINUTE, [sma] * 11, live=[])
    assert await indicators.indicators(Series.LIVE, SYMBOL, MINUTE, [], live=[]) == []


async def test_a_market_without_candles_gives_empty_lines(database: Database) -> None:
    (sma,) = await indicators.indicators(Series.REPLAY, SYMBOL, MINUTE, [IndicatorRequest(IndicatorKind.SMA)], live=[])
    assert [list(line.points) for line in sma.lines] == [[]]


def test_times_of_points_are_those_of_their_candles() -> None:
    wanted = of_closes(1, 2, 3)
    points = asked(IndicatorKind.OBV, wanted).lines[0].points
    assert [time_ms for time_ms, _ in points] == [candle.open_time_ms for candle in wanted]
    assert all(b - a == MINUTE_MS for (a, _), (b, _) in pairwise(points))
