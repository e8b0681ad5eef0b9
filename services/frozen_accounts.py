"""Tells the exchange which accounts are frozen. The database decides; the exchange is told until it has confirmed.

Every change of an account's state marks it as untold in the same write. Whoever made the change tells the exchange at once; where it does
not answer, the mark stays, and `reconcile` tells it again.
"""

import asyncio

import structlog
from pymongo.errors import PyMongoError

from core.account_vocabulary import UserStatus
from core.cancellation import raise_if_cancelled
from core.clock import Clock
from events.commands import FreezeAccount
from models import user
from services.exchange_gateway import ExchangeGateway

log = structlog.get_logger(__name__)

RECONCILE_SECONDS = 5.0


class FrozenAccounts:
    """Tells, and tells again."""

    def __init__(self, gateway: ExchangeGateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    async def tell(self, user_id: str) -> bool:
        """Let the exchange freeze the account, or let it go on, as its state is now. False: it did not confirm, and is told again later.

        A state that changes meanwhile is told as well, so whoever tells last has told the newest.
        """
        while True:
            person = await user.by_id(user_id)
            if person is None:
                return True
            frozen = person.status is not UserStatus.ACTIVE
            answer = await self._gateway.ask(FreezeAccount(user_id, frozen))
            if answer.refusal is not None:
                log.warning("frozen_accounts.untold", user_id=user_id, frozen=frozen, reason=answer.refusal.code)
                return False
            if await user.freeze_told(user_id, person.status):
                return True

    async def run(self) -> None:
        """Tell what has not been confirmed, again and again, until cancelled."""
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            try:
                await self.reconcile()
            except PyMongoError as error:
                raise_if_cancelled()
                log.warning("frozen_accounts.not_read", reason=type(error).__name__)

    async def reconcile(self) -> int:
        """Tell what has not been confirmed. How many accounts are still untold."""
        untold = await user.freezes_untold(self._clock.now_ms() + 1)
        return sum([not await self.tell(user_id) for user_id in untold])
