from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from pymongo.errors import AutoReconnect

from core.clock import ManualClock
from core.database import Database
from core.vocabulary import CandleInterval, PriceSource, Series
from events.feed import FeedTrade
from events.market import TradeAccepted
from integrations.feeds.base import ProviderUnavailable
from models import candle as candle_model
from models.candle import Candle, CandleKey, candles_between
from models.market_state import read_state
from models.trade import trades_between
from services import market_history, stored_history, trades
from services.market_history import MarketHistory
from services.sequences import Sequences
from services.stored_history import CANDLES_SECONDS
from services.tickers import Figures
from tests.services import market_rows as rows
from tests.services.market_rows import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, SECOND_MS, SYMBOL, FakeHistory

MINUTE, FIVE, HOUR, DAY, WEEK = (
    CandleInterval.MINUTE_1,
    CandleInterval.MINUTE_5,
    CandleInterval.HOUR_1,
    CandleInterval.DAY_1,
    CandleInterval.WEEK_1,
)
RETENTION_DAYS = 36_500
"""The tests' clocks stand in 2021; nothing may expire under them."""


class Worker:
    """One life of a worker over one market."""

    def __init__(self, clock: ManualClock, series: Series) -> None:
        self.clock = clock
        self.series = series
        self.sequences = Sequences(block=500)
        self.history = MarketHistory(self.sequences, clock, retention_days=RETENTION_DAYS)

    async def accept(self, trades: Sequence[FeedTrade]) -> list[TradeAccepted]:
        found = [await self.history.accept(self.series, trade) for trade in trades]
        return [trade for trade in found if trade is not None]

    async def stop(self) -> None:
        await self.history.flush()
        await self.sequences.close()


async def start(series: Series = Series.LIVE, now_ms: int = NOON_MS + DAY_MS) -> Worker:
    worker = Worker(ManualClock(now_ms), series)
    await worker.history.load(series, [SYMBOL])
    return worker


async def stored_candles(series: Series = Series.LIVE) -> dict[tuple[CandleInterval, int], Candle]:
    return {
        (interval, candle.open_time_ms): candle
        for interval in CandleInterval
        for candle in await candles_between(series, SYMBOL, interval, from_ms=0, to_ms=None)
    }


async def stored_figures(series: Series = Series.LIVE) -> dict[tuple[CandleInterval, int], rows.Figures]:
    return {slot: rows.figures(candle) for slot, candle in (await stored_candles(series)).items()}


async def stored_sequences(series: Series = Series.LIVE) -> list[int]:
    found = await trades_between(series, SYMBOL, from_sequence=0, to_sequence=1_000_000)
    return [trade.sequence for trade in found]


async def test_a_clean_restart_in_the_middle_continues_exactly(database: Database, shared_data: Path) -> None:
    recorded = rows.recorded_trades(shared_data)
    accepted: list[TradeAccepted] = []
    for start_at, end_at in ((0, 700), (700, 1250), (1250, 1250), (1250, 2001)):
        worker = await start(now_ms=recorded[-1].time_ms)
        accepted += await worker.accept(recorded[max(0, start_at - 100) : end_at])
        await worker.stop()
    assert [trade.sequence for trade in accepted] == list(range(1, 2002))
    assert await stored_sequences() == list(range(1, 2002))
    assert await stored_figures() == rows.expected_candles(accepted)
    worker = await start(now_ms=recorded[-1].time_ms)
    assert worker.history.figures(Series.LIVE, SYMBOL) == Figures()
    await worker.history.flush()
    day = worker.history.figures(Series.LIVE, SYMBOL)
    assert day.volume == sum((trade.quantity for trade in recorded), Decimal(0))
    assert day.trades == 2001
    assert (day.open, day.high) == (recorded[0].price, max(trade.price for trade in recorded))


async def test_a_kill_loses_what_was_not_stored_and_counts_nothing_twice(database: Database, shared_data: Path) -> None:
    recorded = rows.recorded_trades(shared_data)
    first = await start(now_ms=recorded[-1].time_ms)
    kept = await first.accept(recorded[:1000])
    await first.history.flush()
    lost = await first.accept(recorded[1000:1300])
    second = await start(now_ms=recorded[-1].time_ms)
    resent = await second.accept(recorded[900:])
    await second.stop()
    assert len(resent) == 1001
    assert {trade.sequence for trade in lost}.isdisjoint(trade.sequence for trade in resent)
    assert await stored_figures() == rows.expected_candles([*kept, *resent])
    assert len(await stored_sequences()) == 2001


@pytest.mark.parametrize("written", [0, 3, 8])
async def test_a_kill_between_trades_and_candles_is_made_good_from_the_trades(
    database: Database, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    made = [
        rows.trade(n, time_ms=NOON_MS + n * 40 * SECOND_MS, price=str(100 + n % 7), quantity=str(1 + n % 3))
        for n in range(40)
    ]
    first = await start()
    accepted = await first.accept(made[:20])
    await first.history.flush()
    accepted += await first.accept(made[20:])

    async def write_some(candles: dict[CandleKey, Candle]) -> None:
        await candle_model.replace_candles(dict(list(candles.items())[:written]))
        raise AutoReconnect("killed")

    monkeypatch.setattr(stored_history, "insert_candles", write_some)
    with pytest.raises(AutoReconnect):
        await first.history.flush()
    monkeypatch.undo()
    second = await start()
    assert [trade.sequence for trade in second.history.recent_trades(Series.LIVE, SYMBOL)] == list(range(1, 41))
    assert await second.accept(made) == []
    await second.stop()
    assert await stored_figures() == rows.expected_candles(accepted)
    assert (await read_state(Series.LIVE, SYMBOL)).trades_through == 40


async def test_candles_are_stored_less_often_than_the_trades_that_a_restart_makes_them_of(database: Database) -> None:
    worker = await start()
    await worker.accept([rows.trade(1, time_ms=worker.clock.now_ms(), price="100")])
    await worker.history.flush_due()
    await worker.accept([rows.trade(2, time_ms=worker.clock.now_ms(), price="105")])
    worker.clock.advance(CANDLES_SECONDS - 1)
    await worker.history.flush_due()
    assert {candle.trades for candle in await candles_between(Series.LIVE, SYMBOL, MINUTE, from_ms=0, to_ms=None)} == {
        1
    }
    again = await start(now_ms=worker.clock.now_ms())
    (minute,) = [c for c in again.history.newest_candles(Series.LIVE, SYMBOL) if c.interval is MINUTE]
    assert (minute.trades, minute.high) == (2, Decimal(105)), "of the stored trades"
    worker.clock.advance(1)
    await worker.history.flush_due()
    assert {candle.trades for candle in await candles_between(Series.LIVE, SYMBOL, MINUTE, from_ms=0, to_ms=None)} == {
        2
    }, "though nothing came since"


@pytest.mark.parametrize("seed", range(12))
async def test_any_course_of_trades_stops_and_kills_ends_in_the_candles_of_what_was_kept(
    database: Database, seed: int
) -> None:
    random = Random(seed)
    clock_ms = NOON_MS
    worker = await start(now_ms=clock_ms)
    kept: list[TradeAccepted] = []
    waiting: list[TradeAccepted] = []
    number = 0
    for _ in range(60):
        match random.choice(["trade"] * 5 + ["flush", "due", "stop", "kill", "time"]):
            case "trade":
                number += 1
                age_ms = random.choice([0, SECOND_MS, 3 * MINUTE_MS, 2 * HOUR_MS, 30 * HOUR_MS, 8 * DAY_MS])
                price = str(random.randrange(90, 110))
                waiting += await worker.accept([rows.trade(number, time_ms=clock_ms - age_ms, price=price)])
            case "flush":
                await worker.history.flush()
                kept += waiting
                waiting = []
            case "due":
                await worker.history.flush_due()
                kept += waiting
                waiting = []
            case "stop":
                await worker.stop()
                kept += waiting
                waiting = []
                worker = await start(now_ms=clock_ms)
            case "kill":
                waiting = []
                worker = await start(now_ms=clock_ms)
            case _:
                clock_ms += random.choice([MINUTE_MS, HOUR_MS, DAY_MS])
                worker.clock.advance((clock_ms - worker.clock.now_ms()) / 1000)
                worker.history.close_due(clock_ms)
    worker.history.close_due(clock_ms)
    await worker.stop()
    assert await stored_sequences() == sorted(trade.sequence for trade in [*kept, *waiting])
    assert await stored_figures() == rows.expected_candles([*kept, *waiting])
    day = worker.history.figures(Series.LIVE, SYMBOL)
    window = [t for t in [*kept, *waiting] if t.time_ms >= MINUTE.open_time_ms(clock_ms) - DAY_MS]
    assert day.trades == (len(window) or None)
    assert day.high == max((trade.price for trade in window), default=None)


async def test_a_candle_left_open_is_closed_after_a_restart(database: Database) -> None:
    first = await start(now_ms=NOON_MS)
    await first.accept([rows.trade(1, time_ms=NOON_MS)])
    await first.stop()
    assert not (await stored_candles())[MINUTE, NOON_MS].closed
    second = await start(now_ms=NOON_MS + HOUR_MS)
    second.history.close_due(NOON_MS + HOUR_MS)
    closed = {change.interval for change in second.history.changes() if change.closed}
    assert closed == {MINUTE, FIVE, CandleInterval.MINUTE_15, HOUR}
    await second.stop()
    candles = await stored_candles()
    assert {interval for (interval, _), candle in candles.items() if candle.closed} == closed


async def test_a_replays_candles_close_by_its_own_time(database: Database) -> None:
    worker = await start(Series.REPLAY)
    await worker.accept([rows.trade(1, time_ms=NOON_MS)])
    worker.history.close_due(NOON_MS + DAY_MS)
    assert not any(change.closed for change in worker.history.changes())


async def test_known_and_senseless_trades_change_nothing(database: Database) -> None:
    worker = await start(now_ms=NOON_MS)
    sound = rows.trade(1, time_ms=NOON_MS)
    assert len(await worker.accept([sound])) == 1
    worker.history.changes()
    refused = [
        sound,
        replace(sound, price=Decimal(999)),
        replace(sound, trade_id="a", price=Decimal(0)),
        replace(sound, trade_id="b", quantity=Decimal(-1)),
        replace(sound, trade_id="c", time_ms=0),
        replace(sound, trade_id="d", time_ms=NOON_MS + trades.MAX_AHEAD_MS + 1),
    ]
    assert await worker.accept(refused) == []
    assert worker.history.changes() == []
    other = await worker.accept([replace(sound, source=PriceSource.KRAKEN)])
    assert [trade.sequence for trade in other] == [2]


async def test_a_trade_later_than_memory_corrects_the_stored_candles(database: Database) -> None:
    old = [rows.trade(n, time_ms=NOON_MS + n * MINUTE_MS) for n in range(3)]
    first = await start(now_ms=NOON_MS + 10 * DAY_MS)
    accepted = await first.accept(old)
    accepted += await first.accept([rows.trade(10, time_ms=NOON_MS + 9 * DAY_MS)])
    await first.stop()
    second = await start(now_ms=NOON_MS + 10 * DAY_MS)
    late = [
        rows.trade(11, time_ms=NOON_MS + SECOND_MS, price="90", quantity="5"),
        rows.trade(12, time_ms=NOON_MS + SECOND_MS, price="95", quantity="5"),
        rows.trade(13, time_ms=NOON_MS + 30 * MINUTE_MS, price="80"),
    ]
    accepted += await second.accept(late)
    again = [change for change in second.history.changes() if change.open_time_ms == NOON_MS]
    assert {change.interval for change in again} == set(CandleInterval) - {DAY, WEEK}
    assert all(change.closed for change in again)
    assert await second.accept(late) == []
    await second.stop()
    assert await stored_figures() == rows.expected_candles(accepted)


async def test_a_late_trade_while_the_database_is_away_is_passed_over_and_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start(now_ms=NOON_MS + DAY_MS)
    worker.history.feed_joined(Series.LIVE, SYMBOL, NOON_MS)
    await worker.accept([rows.trade(1, time_ms=NOON_MS + DAY_MS)])

    async def away(keys: object) -> dict[CandleKey, Candle]:
        raise AutoReconnect("away")

    monkeypatch.setattr(market_history, "candles_at", away)
    worker.history.changes()
    assert await worker.accept([rows.trade(2, time_ms=NOON_MS - 2 * DAY_MS)]) == []
    assert worker.history.changes() == []


async def test_trades_wait_for_the_database_and_none_is_stored_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start()
    await worker.accept([rows.trade(n, time_ms=NOON_MS + n) for n in range(5)])

    async def away(found: object) -> None:
        raise AutoReconnect("away")

    monkeypatch.setattr(trades, "insert_trades", away)
    with pytest.raises(AutoReconnect):
        await worker.history.flush()
    assert len(worker.history.queue) == 5
    assert (await read_state(Series.LIVE, SYMBOL)).trades_through == 0
    assert await stored_candles() == {}
    monkeypatch.undo()
    await worker.history.flush()
    assert {candle.trades for candle in (await stored_candles()).values()} == {5}
    await worker.accept([rows.trade(9, time_ms=NOON_MS + 9)])
    await worker.history.flush()
    assert await stored_sequences() == [1, 2, 3, 4, 5, 6]
    assert {candle.trades for candle in (await stored_candles()).values()} == {6}


async def test_a_full_queue_gives_up_the_oldest_and_counts_them(database: Database) -> None:
    queue = trades.TradeQueue(ManualClock(NOON_MS), retention_days=RETENTION_DAYS, capacity=3)
    for n in range(1, 6):
        queue.put(rows.taken(n, rows.trade(n, time_ms=NOON_MS)))
    assert (len(queue), queue.given_up) == (3, 2)
    await queue.flush()
    assert await stored_sequences() == [3, 4, 5]
    assert len(queue) == 0


async def test_a_gap_is_filled_from_a_history_and_the_minute_of_joining_after_it_closed(database: Database) -> None:
    gap_ms = NOON_MS + 2 * MINUTE_MS
    first = await start(now_ms=gap_ms + 30_000)
    first.history.feed_joined(Series.LIVE, SYMBOL, NOON_MS - HOUR_MS)
    history = FakeHistory({MINUTE: [rows.provider_candle(NOON_MS + n * MINUTE_MS, str(100 + n)) for n in range(10)]})
    while await first.history.repair(Series.LIVE, SYMBOL, FakeHistory({}), first.clock.now_ms()):
        pass
    await first.accept([rows.trade(n, time_ms=NOON_MS + n * MINUTE_MS, price="7") for n in range(3)])
    await first.history.flush()
    joined_ms = NOON_MS + 6 * MINUTE_MS + 10_000
    second = await start(now_ms=joined_ms)
    second.history.feed_joined(Series.LIVE, SYMBOL, joined_ms)
    await second.accept([rows.trade(99, time_ms=joined_ms + 1, price="7")])
    assert await second.history.repair(Series.LIVE, SYMBOL, history, joined_ms + 2)
    assert not await second.history.repair(Series.LIVE, SYMBOL, history, joined_ms + 2)
    assert history.asked == [(MINUTE, NOON_MS + MINUTE_MS, NOON_MS + 6 * MINUTE_MS)] or history.asked == [
        (MINUTE, gap_ms, NOON_MS + 6 * MINUTE_MS)
    ]
    assert {c.open_time_ms for c in second.history.changes() if c.interval is MINUTE and c.closed} >= {gap_ms}
    await second.history.flush()
    minutes = {slot[1]: candle for slot, candle in (await stored_candles()).items() if slot[0] is MINUTE}
    assert [minutes[NOON_MS + n * MINUTE_MS].close for n in range(7)] == [7, 7, 103, 104, 105, 106, 7]
    later_ms = NOON_MS + 7 * MINUTE_MS + 3_000
    second.clock.advance((later_ms - joined_ms) / 1000)
    second.history.close_due(later_ms)
    assert await second.history.repair(Series.LIVE, SYMBOL, history, later_ms)
    assert not await second.history.repair(Series.LIVE, SYMBOL, history, later_ms)
    await second.stop()
    candles = await stored_candles()
    minutes = {slot[1]: candle for slot, candle in candles.items() if slot[0] is MINUTE}
    assert [minutes[NOON_MS + n * MINUTE_MS].close for n in range(7)] == [7, 7, 103, 104, 105, 106, 107]
    assert rows.figures(candles[FIVE, NOON_MS])[:5] == rows.numbers(7, 106, 7, 105, 5)
    hour = candles[HOUR, NOON_MS]
    assert (hour.open, hour.close, hour.high, hour.low, hour.volume, hour.trades) == rows.numbers(
        7, 107, 108, 7, 7, 2 + 5 * 3
    )
    assert rows.figures(candles[WEEK, rows.MONDAY_MS]) == rows.figures(hour)
    assert second.history.figures(Series.LIVE, SYMBOL).volume == 7


async def test_a_market_seen_first_gets_a_year_of_days_and_a_day_of_minutes(database: Database) -> None:
    now_ms = NOON_MS + 30_000
    midnight_ms = NOON_MS - 12 * HOUR_MS
    days = [rows.provider_candle(midnight_ms - n * DAY_MS, "50") for n in range(400)]
    hours = [rows.provider_candle(NOON_MS - n * HOUR_MS, "60") for n in range(100)]
    minutes = [rows.provider_candle(NOON_MS - n * MINUTE_MS, "70") for n in range(3000)]
    worker = await start(now_ms=now_ms)
    worker.history.feed_joined(Series.LIVE, SYMBOL, now_ms)
    while await worker.history.repair(
        Series.LIVE, SYMBOL, FakeHistory({DAY: days, HOUR: hours, MINUTE: minutes}), now_ms
    ):
        pass
    announced = worker.history.changes()
    assert sum(change.interval is MINUTE for change in announced) < 100
    await worker.stop()
    candles = await stored_candles()
    count = {i: sum(slot[0] is i for slot in candles) for i in CandleInterval}
    assert count[MINUTE] == 25 * 60
    assert 365 <= count[DAY] <= 373
    assert candles[HOUR, NOON_MS - HOUR_MS].volume == 60
    yesterday = candles[DAY, midnight_ms - DAY_MS]
    assert yesterday.volume == 11 + 13 * 60
    assert (yesterday.open, yesterday.close) == rows.numbers(60, 71)
    assert candles[WEEK, rows.MONDAY_MS].volume == 2 + yesterday.volume + candles[DAY, midnight_ms].volume
    assert worker.history.figures(Series.LIVE, SYMBOL).open == 70


async def test_a_history_that_does_not_answer_is_asked_again(database: Database) -> None:
    worker = await start(now_ms=NOON_MS)
    worker.history.feed_joined(Series.LIVE, SYMBOL, NOON_MS)
    history = FakeHistory({})
    history.down = True
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await worker.history.repair(Series.LIVE, SYMBOL, history, NOON_MS)
    assert history.asked[0] == history.asked[1]
    assert worker.history.changes() == []


async def test_candles_of_a_history_that_make_no_sense_are_left_out(database: Database) -> None:
    worker = await start(now_ms=NOON_MS)
    await worker.accept([rows.trade(1, time_ms=NOON_MS - 2 * MINUTE_MS)])
    worker.history.feed_joined(Series.LIVE, SYMBOL, NOON_MS)
    wrong = [
        replace(rows.provider_candle(NOON_MS - 2 * MINUTE_MS, "5"), high=Decimal(1)),
        rows.provider_candle(NOON_MS - 2 * MINUTE_MS + 1, "5"),
    ]
    while await worker.history.repair(Series.LIVE, SYMBOL, FakeHistory({MINUTE: wrong}), NOON_MS):
        pass
    assert {change.close for change in worker.history.changes()} == {100}


async def test_trades_that_come_during_a_repair_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await start(now_ms=NOON_MS + 30_000)
    worker.history.feed_joined(Series.LIVE, SYMBOL, NOON_MS + 30_000)
    number = 0

    async def read_while_trading(*args: object, **bounds: int) -> list[Candle]:
        nonlocal number
        number += 1
        found = await candles_between(*args, **bounds)  # type: ignore[arg-type]
        await worker.accept([rows.trade(number, time_ms=NOON_MS + 29_000 + number, price="200")])
        return found

    monkeypatch.setattr(market_history, "candles_between", read_while_trading)
    minutes = [rows.provider_candle(NOON_MS - n * MINUTE_MS, "70") for n in range(1, 120)]
    while await worker.history.repair(Series.LIVE, SYMBOL, FakeHistory({MINUTE: minutes}), NOON_MS + 30_000):
        await worker.history.flush()
    await worker.stop()
    assert number == 6
    candles = await stored_candles()
    assert candles[MINUTE, NOON_MS].trades == number
    assert candles[HOUR, NOON_MS].trades == number
    assert candles[DAY, NOON_MS - 12 * HOUR_MS].trades == 119 * 3 + number


async def test_a_reset_forgets_the_series_alone_and_uses_no_sequence_again(database: Database) -> None:
    live = await start()
    await live.accept([rows.trade(1, time_ms=NOON_MS)])
    await live.stop()
    replay = await start(Series.REPLAY)
    before = await replay.accept([rows.trade(n, time_ms=NOON_MS + n) for n in range(3)])
    await replay.history.flush()
    await replay.history.reset(Series.REPLAY, SYMBOL)
    assert await stored_candles(Series.REPLAY) == {}
    assert await stored_sequences(Series.REPLAY) == []
    after = await replay.accept([rows.trade(n, time_ms=NOON_MS + n) for n in range(3)])
    await replay.stop()
    assert [trade.sequence for trade in (*before, *after)] == [1, 2, 3, 4, 5, 6]
    assert await stored_figures(Series.REPLAY) == rows.expected_candles(after)
    assert len(await stored_candles(Series.LIVE)) == 7


async def test_hours_of_expired_trades_are_forgotten(database: Database) -> None:
    worker = Worker(ManualClock(NOON_MS), Series.LIVE)
    worker.history = MarketHistory(worker.sequences, worker.clock, retention_days=7)
    await worker.history.load(Series.LIVE, [SYMBOL])
    for n in range(1, 15):
        await worker.accept([rows.trade(n, time_ms=worker.clock.now_ms())])
        await worker.history.flush()
        worker.clock.advance(DAY_MS / 1000)
    marks = (await read_state(Series.LIVE, SYMBOL)).trade_marks
    assert min(marks.values()) == 6  # The trade after it has just reached its last moment.
    assert max(marks.values()) == 14
