"""Stored candles, page by page, with the newest ones as this process was told of them."""

from collections.abc import Sequence

from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import CandleInterval, Series, TimeOrder
from events.market import CandleChanged
from models.candle import candles_between
from models.market_state import read_state
from services.candles import changed
from services.window_paging import MAX_WINDOW, History, read_page


async def page(
    series: Series,
    symbol: str,
    interval: CandleInterval,
    request: PageRequest,
    *,
    live: Sequence[CandleChanged],
    from_ms: int | None = None,
    to_ms: int | None = None,
    order: TimeOrder = TimeOrder.OLDEST_FIRST,
) -> Page[CandleChanged]:
    """A page of candles with from_ms <= open time < to_ms; the cursor is the open time.

    `live`: the newest candles this process was told of; they stand in front of what is stored.

    Raises:
        InvalidInput: a range that ends before it begins, or a cursor that is none of this list.
    """
    if from_ms is not None and to_ms is not None and to_ms < from_ms:
        raise InvalidInput("to must not be before from", field=["to"])
    state = await read_state(series, symbol)
    fresh = {c.open_time_ms: c for c in live if (c.series, c.symbol, c.interval) == (series, symbol, interval)}
    known = [*fresh, *(s[interval] for s in (state.earliest, state.latest) if interval in s)]
    if not known:
        return Page(items=[], has_next=False, has_previous=False)

    async def fetch(low: int, high: int) -> list[CandleChanged]:
        rows = {
            candle.open_time_ms: changed(series, symbol, interval, candle)
            for candle in await candles_between(series, symbol, interval, from_ms=low, to_ms=high)
        }
        rows |= {open_ms: candle for open_ms, candle in fresh.items() if low <= open_ms < high}
        return [rows[open_ms] for open_ms in sorted(rows)]

    first_ms, end_ms = min(known), max(known) + 1
    history = History(
        low=first_ms if from_ms is None else min(max(first_ms, from_ms), end_ms),
        high=end_ms if to_ms is None else max(min(end_ms, to_ms), first_ms),
        step=interval.length_ms,
        fetch=fetch,
        place=lambda candle: candle.open_time_ms,
    )
    return await read_page(history, order, request)


async def newest(
    series: Series,
    symbol: str,
    interval: CandleInterval,
    count: int,
    *,
    live: Sequence[CandleChanged],
    to_ms: int | None = None,
) -> list[CandleChanged]:
    """The newest `count` candles that opened before `to_ms`, at most 2,000, oldest first."""
    if not 0 <= count <= MAX_WINDOW:
        raise InvalidInput(f"count must be from 0 to {MAX_WINDOW}", field=["count"], limit=MAX_WINDOW, actual=count)
    request = PageRequest(last=count, max_size=MAX_WINDOW)
    return list((await page(series, symbol, interval, request, live=live, to_ms=to_ms)).items)
