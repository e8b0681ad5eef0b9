"""Balances and portfolios as they change: the current value first, then what the exchange's log and the prices make of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing

from core.bus import Bus
from core.errors import InvalidInput
from events.funds import PortfolioState
from events.trading import BalanceState, LoggedBalance
from services.account_events import interleaved
from services.balances import balance, balances, wanted_assets
from services.catalogue import Catalogue
from services.exchange_log import ExchangeLog, Missed
from services.portfolio import Portfolios, same_figures
from services.trading_accounts import ReadMarks, TradingAccount, TradingAccounts

SLOWEST_SECONDS = 60
Pause = Callable[[float], Awaitable[None]]


class FundsStreams:
    """One per process. `pause` is how a stream waits between two portfolios."""

    def __init__(
        self,
        *,
        accounts: TradingAccounts,
        portfolios: Portfolios,
        catalogue: Catalogue,
        bus: Bus,
        marks: ReadMarks,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._accounts = accounts
        self._portfolios = portfolios
        self._catalogue = catalogue
        self._bus = bus
        self._marks = marks
        self._pause = pause

    async def balances(self, account_id: str, assets: Collection[str] | None) -> AsyncGenerator[BalanceState, None]:
        """The balances of these assets, or of all there is something of, and every change of them. One who was too far behind is given
        the current balances again. Raises UnknownAsset, InvalidInput."""
        wanted = wanted_assets(assets, self._catalogue)
        account = await self._accounts.read(account_id)
        for state in self._current(account, wanted):
            yield state
        async with aclosing(ExchangeLog(account_id, self._bus, self._marks).follow(account.logged)) as events:
            async for happened in events:
                if isinstance(happened, Missed):
                    for state in self._current(await self._accounts.read(account_id), wanted):
                        yield state
                elif isinstance(happened.event, LoggedBalance):
                    state = happened.event.balance
                    if wanted is None or state.asset in wanted:
                        yield state

    async def portfolio(self, account_id: str, quote: str, every_seconds: int) -> AsyncGenerator[PortfolioState, None]:
        """The portfolio, and again when a figure of it changed, at most once in so many seconds. Raises UnknownAsset, InvalidInput."""
        if not 1 <= every_seconds <= SLOWEST_SECONDS:
            raise InvalidInput(
                f"expected 1 to {SLOWEST_SECONDS} seconds",
                field=["everySeconds"],
                limit=SLOWEST_SECONDS,
                actual=every_seconds,
            )
        self._portfolios.quote(quote)
        account = await self._accounts.read(account_id)
        shown = self._portfolios.present(account, quote)
        yield shown
        moved = False
        async with aclosing(interleaved([self._moves(account), self._beats(every_seconds)])) as signals:
            async for is_move in signals:
                if is_move:
                    moved = True
                    continue
                if moved:
                    account, moved = await self._accounts.read(account_id), False
                state = self._portfolios.present(account, quote)
                if not same_figures(state, shown):
                    shown = state
                    yield state

    def _current(self, account: TradingAccount, wanted: frozenset[str] | None) -> list[BalanceState]:
        if wanted is None:
            return balances(account, self._catalogue, non_zero=True)
        return [balance(account, self._catalogue, asset) for asset in self._catalogue.assets if asset in wanted]

    async def _moves(self, account: TradingAccount) -> AsyncGenerator[bool, None]:
        """True whenever a balance changed."""
        async with aclosing(ExchangeLog(account.account, self._bus, self._marks).follow(account.logged)) as events:
            async for happened in events:
                if isinstance(happened, Missed) or isinstance(happened.event, LoggedBalance):
                    yield True

    async def _beats(self, seconds: int) -> AsyncGenerator[bool, None]:
        """False, once in so many seconds: valuing an account costs less than waking up for every price."""
        while True:
            await self._pause(seconds)
            yield False
