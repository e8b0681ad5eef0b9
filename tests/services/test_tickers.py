from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.vocabulary import PriceSource
from events.feed import FeedStats24h
from events.market import TickerChanged
from models.candle import Candle
from services.candles import MINUTE, of_provider, of_trade
from services.tickers import Figures, RollingDay, change_24h, ticker, vwap
from tests.services import market_rows as rows
from tests.services.market_rows import DAY_MS, MINUTE_MS, NOON_MS, SYMBOL


def minute(open_ms: int, *, low: int, high: int, volume: int, known: bool = True) -> Candle:
    one = of_trade(rows.taken(1, rows.trade(1, time_ms=open_ms)))
    return replace(
        one,
        open=Decimal(low),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(high),
        volume=Decimal(volume) / 8,
        quote_volume=Decimal(volume) * low if known else None,
        trades=volume if known else None,
    )


steps = st.lists(
    st.tuples(
        st.integers(0, 3 * 1440),
        st.integers(1, 50),
        st.integers(0, 50),
        st.integers(1, 9),
        st.integers(0, 12).map(bool),
    ),
    max_size=60,
)


@given(steps)
def test_the_rolling_figures_are_those_of_the_last_day(steps: list[tuple[int, int, int, int, bool]]) -> None:
    day = RollingDay()
    known: dict[int, Candle] = {}
    now_ms = NOON_MS
    for place, low, height, volume, has_all in steps:
        candle = minute(NOON_MS + place * MINUTE_MS, low=low, high=low + height, volume=volume, known=has_all)
        known[candle.open_time_ms] = candle
        now_ms = max(now_ms, candle.open_time_ms)
        day.advance(now_ms)
        day.put(candle)
        window = [known[open_ms] for open_ms in sorted(known) if open_ms >= now_ms - DAY_MS]
        figures = day.figures()
        assert figures.open == window[0].open
        assert figures.high == max(c.high for c in window)
        assert figures.low == min(c.low for c in window)
        assert figures.volume == sum((c.volume for c in window), Decimal(0))
        quotes = [c.quote_volume for c in window]
        assert figures.quote_volume == (None if None in quotes else sum((q for q in quotes if q), Decimal(0)))
        counts = [c.trades for c in window]
        assert figures.trades == (None if None in counts else sum(n for n in counts if n))


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 100)), min_size=1, max_size=200))
def test_a_growing_minute_keeps_the_extremes(trades: list[tuple[int, int]]) -> None:
    day = RollingDay()
    day.put(minute(NOON_MS - MINUTE_MS, low=400, high=500, volume=1))
    low, high = trades[0][0], trades[0][0]
    for price, volume in trades:
        low, high = min(low, price), max(high, price)
        day.put(minute(NOON_MS, low=low, high=high, volume=volume))
        assert day.figures().low == min(low, 400)
        assert day.figures().high == max(high, 500)


def test_nothing_known_is_not_a_zero() -> None:
    day = RollingDay()
    assert day.figures() == Figures()
    day.put(minute(NOON_MS, low=1, high=1, volume=1))
    day.advance(NOON_MS + DAY_MS + MINUTE_MS)
    assert day.figures() == Figures()


def test_the_window_is_a_day_of_whole_minutes_and_the_running_one() -> None:
    day = RollingDay()
    for place in range(2000):
        day.put(of_provider(rows.provider_candle(NOON_MS + place * MINUTE_MS, "10"), MINUTE, through_sequence=0))
    day.advance(NOON_MS + 1999 * MINUTE_MS + 30_000)
    assert day.figures().volume == 1441


def test_vwap_is_rounded_half_even_to_twelve_digits_and_unknown_without_volume() -> None:
    assert vwap(quote_volume=Decimal(2), volume=Decimal(3)) == Decimal("0.666666666667")
    assert vwap(quote_volume=Decimal(1), volume=Decimal(0)) is None
    assert vwap(quote_volume=None, volume=Decimal(1)) is None
    assert vwap(quote_volume=Decimal("0.00000000000000000149"), volume=Decimal(1)) == Decimal("1E-18")


OWN = Figures(Decimal(1), Decimal(2), Decimal(3), Decimal(4), Decimal(5), Decimal(6), 7)


def made(provider: FeedStats24h | None, *, now_ms: int = NOON_MS) -> TickerChanged:
    return ticker(
        SYMBOL, now_ms=now_ms, last=Decimal(110), bid=Decimal(109), ask=Decimal(111), own=OWN, provider=provider
    )


def test_a_providers_fresh_figures_win_field_by_field() -> None:
    stats = FeedStats24h(
        PriceSource.BINANCE, SYMBOL, NOON_MS, open=Decimal(100), volume=Decimal(10), quote_volume=Decimal(1050)
    )
    changed = made(stats)
    assert (changed.open24h, changed.volume24h, changed.quote_volume24h) == rows.numbers(100, 10, 1050)
    assert (changed.high24h, changed.low24h, changed.trades24h) == rows.numbers(2, 3, 7)
    assert changed.vwap24h == 105
    assert made(replace(stats, vwap=Decimal(104))).vwap24h == 104
    assert made(replace(stats, quote_volume=None)).vwap24h == 6
    assert made(replace(stats, trades=0)).trades24h == 0


def test_stale_figures_of_a_provider_do_not_count() -> None:
    stats = FeedStats24h(PriceSource.BINANCE, SYMBOL, NOON_MS, open=Decimal(100))
    assert made(stats, now_ms=NOON_MS + MINUTE_MS).open24h == 100
    assert made(stats, now_ms=NOON_MS + MINUTE_MS + 1).open24h == 1
    assert made(None).open24h == 1


def test_the_change_is_against_the_open() -> None:
    changed = made(FeedStats24h(PriceSource.BINANCE, SYMBOL, NOON_MS, open=Decimal(96)))
    assert change_24h(changed) == (Decimal(14), Decimal("14.5833333333"))
    assert change_24h(replace(changed, last=None)) is None
    assert change_24h(replace(changed, open24h=Decimal(0))) is None
