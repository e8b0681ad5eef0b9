"""What is known about a withdrawal before it is asked for: what it would be, what speaks against it, and what is left of the day."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from core.clock import Clock
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode, WithdrawalStatus
from models import user, withdrawal
from models.withdrawal import WithdrawalDocument
from services.catalogue import Catalogue
from services.trading_accounts import TradingAccounts
from services.viewer import Viewer
from services.withdrawal_addresses import WithdrawalAddresses
from services.withdrawal_rules import Circumstances, Route, Wish, refusals, route

S = WithdrawalStatus
DAY_MS = 86_400_000
_WORTH_QUOTE = "USD"
Worth = Callable[[str, Decimal], Decimal | None]
"""What an amount of an asset is worth in US dollars now; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class WithdrawalRules:
    """What the configuration decides, in US dollars: what an account may withdraw a day (UTC), and from where on an operator looks at it."""

    daily: Decimal
    review_from: Decimal


@dataclass(frozen=True, slots=True)
class Preview:
    """What a withdrawal would be: its fee, what arrives, and everything that speaks against it now."""

    fee: Decimal | None
    received: Decimal | None
    review_required: bool
    held_until_ms: int | None
    refusals: tuple[WalletRefused, ...]


@dataclass(frozen=True, slots=True)
class DailyLimit:
    """What may be withdrawn in a day (UTC), in US dollars."""

    quote: str
    daily: Decimal
    used: Decimal
    resets_ms: int


class WithdrawalOutlook:
    """One per process. `served` are the chains this installation signs for."""

    def __init__(
        self,
        *,
        accounts: TradingAccounts,
        worth: Worth,
        catalogue: Catalogue,
        book: WithdrawalAddresses,
        clock: Clock,
        rules: WithdrawalRules,
        served: frozenset[str],
    ) -> None:
        self._accounts = accounts
        self._worth = worth
        self._catalogue = catalogue
        self._book = book
        self._clock = clock
        self._rules = rules
        self._served = served

    async def preview(self, viewer: Viewer, wish: Wish) -> Preview:
        """What would become of a wish now, without doing it."""
        try:
            way = route(self._catalogue, wish, self._served)
        except WalletRefused as refused:
            return Preview(None, None, review_required=False, held_until_ms=None, refusals=(refused,))
        met = await self.circumstances(viewer.user_id, way, wish, number=None)
        held_ms = met.person.withdrawals_held_until_ms or 0
        return Preview(
            fee=way.fee,
            received=max(Decimal(0), wish.amount - way.fee),
            review_required=self.is_reviewed(met.worth),
            held_until_ms=held_ms if held_ms > met.now_ms else None,
            refusals=tuple(refusals(way, wish, met)),
        )

    async def limit(self, user_id: str) -> DailyLimit:
        """What the account has used of today's limit."""
        now_ms = self._clock.now_ms()
        used = await self._used(user_id, now_ms, number=None)
        return DailyLimit(_WORTH_QUOTE, self._rules.daily, used, _today(now_ms) + DAY_MS)

    async def circumstances(self, user_id: str, way: Route, wish: Wish, *, number: int | None) -> Circumstances:
        """What is known of a wish now; of today's others those before this `number` count, None: all. Raises WalletRefused."""
        person = await user.by_id(user_id)
        if person is None:
            text = "there is no such withdrawal"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_WITHDRAWAL, field=["by"])
        now_ms = self._clock.now_ms()
        return Circumstances(
            person=person,
            account=await self._accounts.read(user_id),
            entry=await self._book.own(user_id, wish.address_id),
            worth=self._worth(way.asset.code, wish.amount),
            used=await self._used(user_id, now_ms, number=number),
            daily=self._rules.daily,
            now_ms=now_ms,
        )

    def is_reviewed(self, worth: Decimal | None) -> bool:
        """Whether an operator looks at a withdrawal of this worth first."""
        return worth is None or worth >= self._rules.review_from

    async def _used(self, user_id: str, now_ms: int, *, number: int | None) -> Decimal:
        """The worth of what was asked for today and not given back, of rows before this number."""
        rows = await withdrawal.since(user_id, _today(now_ms))
        counted = (row for row in rows if not _returned(row) and (number is None or row.number < number))
        return sum((row.worth for row in counted if row.worth is not None), Decimal(0))


def _today(now_ms: int) -> int:
    return now_ms // DAY_MS * DAY_MS


def _returned(row: WithdrawalDocument) -> bool:
    return row.status in {S.CANCELED, S.REJECTED, S.FAILED}
