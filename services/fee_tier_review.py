"""When accounts are given the fees of their tier: soon after they traded, and once a day, since old volume stops counting."""

import asyncio
from collections.abc import Iterable

import structlog
from pymongo.errors import PyMongoError

from core.cancellation import raise_if_cancelled
from core.clock import Clock
from models import trading_account
from services.fee_tiers import FeeTiers

log = structlog.get_logger(__name__)

REVIEW_SECONDS = 60.0
_DAY_MS = 86_400_000


class FeeTierReview:
    """Runs where the journal is projected. Accounts that wait when it ends are reviewed the next day, or when they trade again."""

    def __init__(self, tiers: FeeTiers, clock: Clock) -> None:
        self._tiers = tiers
        self._clock = clock
        self._traded: dict[str, None] = {}
        self._day = clock.now_ms() // _DAY_MS

    def traded(self, accounts: Iterable[str]) -> None:
        """These accounts have traded."""
        self._traded.update(dict.fromkeys(accounts))

    async def run(self) -> None:
        """Review once a minute until cancelled."""
        while True:
            await asyncio.sleep(REVIEW_SECONDS)
            try:
                await self.review()
            except PyMongoError as error:
                raise_if_cancelled()
                log.warning("fee_tiers.not_reviewed", reason=type(error).__name__)

    async def review(self) -> int:
        """Give everybody who waits the fees of their tier; how many changed. Raises PyMongoError."""
        today = self._clock.now_ms() // _DAY_MS
        if today != self._day:
            async for row in trading_account.everybody():
                if row.get("maker_ppm") is not None:
                    self._traded[row["_id"]] = None
            self._day = today
        waiting, self._traded = self._traded, {}
        return sum([await self._tiers.assign(account) for account in waiting])
