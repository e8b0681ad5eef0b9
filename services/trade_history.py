"""Stored reference trades, page by page, joined with the newest ones that are not stored yet.

A row is shown only when no lower one can still appear: stored trades up to the state's `trades_through`, then those in memory as long
as their sequences follow without a hole. So nobody who reads on from a cursor misses or repeats a trade.
"""

from collections.abc import Sequence

from core.paging import Page, PageRequest
from core.vocabulary import Series, TimeOrder
from events.market import TradeAccepted
from models.market_state import MarketHistoryState, read_state
from models.trade import trades_between
from services.trades import accepted
from services.window_paging import History, read_page


class TradeHistory:
    """Pages of trades, for a process that only reads. The cursor is the sequence."""

    def __init__(self) -> None:
        self._states: dict[tuple[Series, str], MarketHistoryState] = {}

    async def page(
        self,
        series: Series,
        symbol: str,
        order: TimeOrder,
        request: PageRequest,
        newest: Sequence[TradeAccepted],
    ) -> Page[TradeAccepted]:
        """A page of a market's trades in one series. `newest`: the newest trades this process was told of, oldest first.

        Raises:
            InvalidInput: a cursor that is none of this list.
        """
        state = self._states.get((series, symbol))
        newest = [trade for trade in newest if trade.series is series and trade.symbol == symbol]
        if state is None or not _newest_page_is_in_memory(state, order, request, newest):
            state = await read_state(series, symbol)
            self._states[series, symbol] = state
        following = _following(newest, state.trades_through)
        through = state.trades_through

        async def fetch(low: int, high: int) -> list[TradeAccepted]:
            fresh = following[max(0, low - through - 1) : max(0, high - through - 1)]
            if low > through:
                return fresh
            known = [trade for trade in newest if low <= trade.sequence <= through and trade.sequence < high]
            if len(known) == min(high, through + 1) - low:
                return [*known, *fresh]
            rows = await trades_between(series, symbol, from_sequence=low, to_sequence=min(high, through + 1))
            return [*map(accepted, rows), *fresh]

        history = History(
            low=min(state.trade_marks.values(), default=1),
            high=through + len(following) + 1,
            step=1,
            fetch=fetch,
            place=lambda trade: trade.sequence,
        )
        return await read_page(history, order, request)


def _following(newest: Sequence[TradeAccepted], through: int) -> list[TradeAccepted]:
    """Trades in memory that follow the stored ones without a hole."""
    following: list[TradeAccepted] = []
    for trade in newest:
        if trade.sequence == through + len(following) + 1:
            following.append(trade)
    return following


def _newest_page_is_in_memory(
    state: MarketHistoryState, order: TimeOrder, request: PageRequest, newest: Sequence[TradeAccepted]
) -> bool:
    """Whether the known state suffices: the newest page is asked for, and memory reaches from it to what is stored, without a hole."""
    return (
        order is TimeOrder.NEWEST_FIRST
        and not request.backwards
        and request.after is None
        and request.before is None
        and len(newest) > request.size
        and newest[0].sequence <= state.trades_through + 1
        and newest[-1].sequence - newest[0].sequence == len(newest) - 1
    )
