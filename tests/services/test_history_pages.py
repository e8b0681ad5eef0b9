from collections.abc import Sequence
from random import Random

import pytest

from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.paging import PageRequest
from core.vocabulary import CandleInterval, Series, TimeOrder
from events.market import CandleChanged, TradeAccepted
from models.candle import CandleKey, replace_candles
from models.market_state import MarketHistoryState, write_states
from services import candle_history
from services.candles import of_provider
from services.market_history import MarketHistory
from services.sequences import Sequences
from services.trade_history import TradeHistory
from tests.services import market_rows as rows
from tests.services.market_rows import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, SYMBOL

MINUTE = CandleInterval.MINUTE_1
NEWEST, OLDEST = TimeOrder.NEWEST_FIRST, TimeOrder.OLDEST_FIRST


class Market:
    """A worker's market and what an API process has heard of it."""

    def __init__(self, block: int = 10_000) -> None:
        self.clock = ManualClock(NOON_MS + 30 * DAY_MS)
        self.block = block
        self.heard: list[TradeAccepted] = []
        self.all: list[int] = []
        self.number = 0

    async def start(self) -> None:
        self.sequences = Sequences(block=self.block)
        self.history = MarketHistory(self.sequences, self.clock, retention_days=36_500)
        await self.history.load(Series.LIVE, [SYMBOL])

    async def trade(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            taken = await self.history.accept(
                Series.LIVE, rows.trade(self.number, time_ms=NOON_MS + self.number * 7_000)
            )
            assert taken is not None
            self.heard.append(taken)
            self.all.append(taken.sequence)
        del self.heard[:-40]


async def started(count: int = 0, block: int = 10_000) -> Market:
    market = Market(block)
    await market.start()
    await market.trade(count)
    await market.history.flush()
    return market


def sequences(items: Sequence[TradeAccepted]) -> list[int]:
    return [trade.sequence for trade in items]


@pytest.mark.parametrize("order", [NEWEST, OLDEST])
@pytest.mark.parametrize("backwards", [False, True])
async def test_every_trade_is_visited_once_in_both_directions(
    database: Database, order: TimeOrder, backwards: bool
) -> None:
    market = await started(137)
    await market.trade(13)
    reader = TradeHistory()
    visited: list[int] = []
    cursor: str | None = None
    while True:
        request = PageRequest(last=20, before=cursor) if backwards else PageRequest(first=20, after=cursor)
        page = await reader.page(Series.LIVE, SYMBOL, order, request, market.heard)
        assert (page.has_next if backwards else page.has_previous) is (cursor is not None)
        found = sequences(page.items)
        assert found == sorted(found, reverse=order is NEWEST)
        visited += found[::-1] if backwards else found
        if not (page.has_previous if backwards else page.has_next):
            break
        cursor = str(found[0] if backwards else found[-1])
    assert sorted(visited) == list(range(1, 151))
    assert len(set(visited)) == 150
    assert visited == sorted(visited, reverse=(order is NEWEST) is not backwards)


@pytest.mark.parametrize("seed", range(4))
async def test_reading_on_from_a_cursor_never_misses_or_repeats_a_trade(database: Database, seed: int) -> None:
    random = Random(seed)
    market = await started(10)
    reader = TradeHistory()
    visited: list[int] = []
    cursor: str | None = None
    for _ in range(40):
        match random.choice(["trade", "trade", "flush", "forget", "read", "read", "read"]):
            case "trade":
                await market.trade(random.randrange(1, 30))
            case "flush":
                await market.history.flush()
            case "forget":
                del market.heard[: random.randrange(len(market.heard) + 1)]
            case _:
                request = PageRequest(first=random.randrange(1, 15), after=cursor)
                page = await reader.page(Series.LIVE, SYMBOL, OLDEST, request, market.heard)
                visited += sequences(page.items)
                cursor = str(visited[-1]) if visited else None
    await market.history.flush()
    page = await reader.page(Series.LIVE, SYMBOL, OLDEST, PageRequest(first=500, after=cursor), [])
    assert not page.has_next
    assert visited + sequences(page.items) == market.all


async def test_a_hole_left_by_a_kill_is_stepped_over(database: Database) -> None:
    market = await started(30, block=7_000)
    await market.start()
    await market.trade(30)
    await market.history.flush()
    assert market.all[30] == 7_001
    reader = TradeHistory()
    for order in (NEWEST, OLDEST):
        page = await reader.page(Series.LIVE, SYMBOL, order, PageRequest(first=50), market.heard)
        assert sequences(page.items) == sorted(market.all, reverse=order is NEWEST)[:50]
        assert (page.has_next, page.has_previous) == (True, False)
        rest = await reader.page(
            Series.LIVE, SYMBOL, order, PageRequest(after=str(page.items[-1].sequence)), market.heard
        )
        assert sequences(rest.items) == sorted(market.all, reverse=order is NEWEST)[50:]
        assert (rest.has_next, rest.has_previous) == (False, True)


async def test_the_newest_page_needs_no_database_once_it_is_known(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await started(60)
    reader = TradeHistory()
    request = PageRequest(first=20)
    before = await reader.page(Series.LIVE, SYMBOL, NEWEST, request, market.heard)

    async def unreachable(*args: object, **options: object) -> list[object]:
        raise AssertionError("the database was asked")

    monkeypatch.setattr("services.trade_history.read_state", unreachable)
    monkeypatch.setattr("services.trade_history.trades_between", unreachable)
    await market.trade(3)
    after = await reader.page(Series.LIVE, SYMBOL, NEWEST, request, market.heard)
    assert sequences(after.items) == [63, 62, 61, *sequences(before.items)[:17]]
    assert after.has_next


async def test_trades_of_another_series_are_never_shown(database: Database) -> None:
    market = await started(5)
    page = await TradeHistory().page(Series.SIMULATED, SYMBOL, NEWEST, PageRequest(), market.heard)
    assert (list(page.items), page.has_next, page.has_previous) == ([], False, False)


async def test_bounds_on_both_sides_and_pages_of_nothing(database: Database) -> None:
    market = await started(30)
    reader = TradeHistory()

    async def page(order: TimeOrder, request: PageRequest) -> tuple[list[int], bool, bool]:
        found = await reader.page(Series.LIVE, SYMBOL, order, request, market.heard)
        return sequences(found.items), found.has_previous, found.has_next

    assert await page(OLDEST, PageRequest(first=3, after="10", before="13")) == ([11, 12], True, True)
    assert await page(OLDEST, PageRequest(last=2, after="10", before="20")) == ([18, 19], True, True)
    assert await page(NEWEST, PageRequest(first=2, after="20", before="13")) == ([19, 18], True, True)
    assert await page(NEWEST, PageRequest(first=2, after="13", before="20")) == ([], True, True)
    assert await page(OLDEST, PageRequest(first=5, after="30")) == ([], True, False)
    assert await page(OLDEST, PageRequest(first=5, after="999999")) == ([], True, False)
    assert await page(NEWEST, PageRequest(first=5, after="1")) == ([], True, False)
    assert await page(OLDEST, PageRequest(first=0)) == ([], False, True)
    assert await page(OLDEST, PageRequest(first=30)) == (list(range(1, 31)), False, False)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.0", "٣", "9" * 17, "01"])
async def test_a_foreign_cursor_is_refused_by_name(database: Database, cursor: str) -> None:
    for field in ("after", "before"):
        request = PageRequest(first=1, **{field: cursor})  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match=field) as refusal:
            await TradeHistory().page(Series.LIVE, SYMBOL, NEWEST, request, [])
        assert refusal.value.details["field"] == [field]


async def store_minutes(places: Sequence[int]) -> None:
    candles = {
        CandleKey(Series.LIVE, SYMBOL, MINUTE, NOON_MS + n * MINUTE_MS): of_provider(
            rows.provider_candle(NOON_MS + n * MINUTE_MS, "100"), MINUTE, through_sequence=0
        )
        for n in places
    }
    await replace_candles(candles)
    state = MarketHistoryState(series=Series.LIVE, symbol=SYMBOL)
    state.earliest[MINUTE] = NOON_MS + min(places) * MINUTE_MS
    state.latest[MINUTE] = NOON_MS + max(places) * MINUTE_MS
    await write_states([state])


def minute_event(n: int, *, closed: bool = False, series: Series = Series.LIVE) -> CandleChanged:
    one = rows.taken(1, rows.trade(1, time_ms=NOON_MS), series)
    return CandleChanged(
        SYMBOL,
        series,
        MINUTE,
        NOON_MS + n * MINUTE_MS,
        *(one.price,) * 4,
        one.quantity,
        None,
        None,
        closed=closed,
    )


def places(items: Sequence[CandleChanged]) -> list[int]:
    return [(candle.open_time_ms - NOON_MS) // MINUTE_MS for candle in items]


@pytest.mark.parametrize("order", [NEWEST, OLDEST])
@pytest.mark.parametrize("backwards", [False, True])
async def test_every_candle_of_a_sparse_history_is_visited_once(
    database: Database, order: TimeOrder, backwards: bool
) -> None:
    known = [*range(15), 40, 41, 4000, 4001, *range(9000, 9010)]
    await store_minutes(known)
    live = [minute_event(9009, closed=True), minute_event(9012)]
    visited: list[int] = []
    cursor: str | None = None
    while True:
        request = PageRequest(last=6, before=cursor) if backwards else PageRequest(first=6, after=cursor)
        page = await candle_history.page(Series.LIVE, SYMBOL, MINUTE, request, live=live, order=order)
        found = places(page.items)
        assert len(found) == 6 or found[0 if backwards else -1] in (0, 9012)
        visited += found[::-1] if backwards else found
        if not (page.has_previous if backwards else page.has_next):
            break
        cursor = str(page.items[0 if backwards else -1].open_time_ms)
    assert visited == sorted([*known, 9012], reverse=(order is NEWEST) is not backwards)


async def test_candles_are_read_on_while_new_ones_come(database: Database) -> None:
    visited: list[int] = []
    cursor: str | None = None
    for newest in range(5, 60, 5):
        await store_minutes(range(newest))
        page = await candle_history.page(
            Series.LIVE, SYMBOL, MINUTE, PageRequest(first=7, after=cursor), live=[minute_event(newest)]
        )
        visited += places(page.items)
        cursor = str(page.items[-1].open_time_ms) if page.items else cursor
    assert visited == list(range(len(visited)))
    assert len(visited) >= 45


async def test_what_is_live_stands_in_front_of_what_is_stored(database: Database) -> None:
    await store_minutes(range(3))
    live = [minute_event(2), minute_event(3), minute_event(7, series=Series.REPLAY)]
    page = await candle_history.page(Series.LIVE, SYMBOL, MINUTE, PageRequest(), live=live)
    assert list(page.items)[2:] == live[:2]
    assert page.items[0].closed
    only_live = await candle_history.page(Series.REPLAY, SYMBOL, MINUTE, PageRequest(), live=live)
    assert list(only_live.items) == live[2:]
    nothing = await candle_history.page(Series.LIVE, SYMBOL, CandleInterval.DAY_1, PageRequest(), live=live)
    assert list(nothing.items) == []


async def test_a_range_bounds_the_list_itself(database: Database) -> None:
    await store_minutes(range(30))

    async def page(from_place: int | None, to_place: int | None, request: PageRequest) -> tuple[list[int], bool, bool]:
        found = await candle_history.page(
            Series.LIVE,
            SYMBOL,
            MINUTE,
            request,
            live=[],
            from_ms=None if from_place is None else NOON_MS + from_place * MINUTE_MS,
            to_ms=None if to_place is None else NOON_MS + to_place * MINUTE_MS,
        )
        return places(found.items), found.has_previous, found.has_next

    assert await page(5, 8, PageRequest()) == ([5, 6, 7], False, False)
    assert await page(5, 20, PageRequest(first=2)) == ([5, 6], False, True)
    assert await page(5, 20, PageRequest(last=2)) == ([18, 19], True, False)
    assert await page(5, 20, PageRequest(first=2, after=str(NOON_MS + 18 * MINUTE_MS))) == ([19], True, False)
    assert await page(5, 20, PageRequest(first=2, after=str(NOON_MS + HOUR_MS))) == ([], True, False)
    assert await page(28, None, PageRequest()) == ([28, 29], False, False)
    assert await page(None, 2, PageRequest()) == ([0, 1], False, False)
    assert await page(40, 50, PageRequest()) == ([], False, False)
    assert await page(-50, -40, PageRequest()) == ([], False, False)
    assert await page(5, 5, PageRequest()) == ([], False, False)
    with pytest.raises(InvalidInput, match="to must not be before from"):
        await page(6, 5, PageRequest())


async def test_the_newest_candles(database: Database) -> None:
    await store_minutes([0, 1, 2, 50, 51])
    found = await candle_history.newest(Series.LIVE, SYMBOL, MINUTE, 3, live=[minute_event(60)])
    assert places(found) == [50, 51, 60]
    earlier = await candle_history.newest(
        Series.LIVE, SYMBOL, MINUTE, 2, live=[minute_event(60)], to_ms=NOON_MS + 50 * MINUTE_MS
    )
    assert places(earlier) == [1, 2]
