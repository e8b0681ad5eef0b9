"""Test funds: what people try the exchange with, where nothing is real.

A claim moves funds from the house's account to the person's under the client's key. Within a day (UTC) an account gets so much of each asset, by
what it is worth at that moment; it is counted from the account's statement, so that two processes which are asked at one time may both
give it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from hashlib import sha256
from weakref import WeakValueDictionary

from core.account_vocabulary import UserStatus
from core.clock import Clock
from core.money import CONTEXT, canonical
from core.order_vocabulary import OrderErrorCode, TransactionKind
from core.refusals import OrderRefused
from core.vocabulary import AssetKind
from events.commands import MoveFunds
from events.trading import BalanceState
from models import client_key
from models.asset import AssetEntry
from services.balances import balance
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.markets import DEFAULT_QUOTES
from services.order_refusals import checked_key
from services.statements import received_since
from services.trading_accounts import ReadMarks, TradingAccounts
from services.valuation import Valuation
from services.viewer import Viewer

HOUSE = "house:test-funds"
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Claimed:
    """A balance after a claim; `replayed`: the same claim was made before."""

    balance: BalanceState
    replayed: bool


class SandboxFunds:
    """One per process. `daily_worth` is in USD, for each asset; `allowed` says whether this server deals in test funds at all."""

    def __init__(
        self,
        *,
        gateway: ExchangeGateway,
        accounts: TradingAccounts,
        marks: ReadMarks,
        valuation: Valuation,
        catalogue: Catalogue,
        clock: Clock,
        allowed: bool,
        daily_worth: Decimal,
    ) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._marks = marks
        self._valuation = valuation
        self._catalogue = catalogue
        self._clock = clock
        self._allowed = allowed
        self._daily_worth = daily_worth
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def claim(self, viewer: Viewer, key: str, code: str, amount: Decimal) -> Claimed:
        """Give an account test funds. Raises OrderRefused."""
        account_id = viewer.user_id
        if viewer.status is not UserStatus.ACTIVE:
            raise OrderRefused(OrderErrorCode.ACCOUNT_FROZEN)
        if not viewer.email_verified:
            raise OrderRefused(OrderErrorCode.EMAIL_NOT_VERIFIED)
        if not self._allowed:
            raise OrderRefused(OrderErrorCode.NOT_SANDBOX)
        checked_key(key, "clientClaimId")
        asset = self._catalogue.assets.get(code)
        if asset is None:
            raise OrderRefused(OrderErrorCode.INVALID_INPUT, field=["asset"])
        units = _units(asset, amount)
        digest = _digest(asset, amount)
        async with self._one_at_a_time(account_id):
            if not await self._is_used(account_id, key):
                await self._check_limit(account_id, asset, amount)
            answer = await self._gateway.ask(MoveFunds(account_id, HOUSE, asset.code, units, key, digest))
        if answer.refusal is not None:
            raise OrderRefused(
                answer.refusal.code,
                field=["clientClaimId"] if answer.refusal.code is OrderErrorCode.IDEMPOTENCY_MISMATCH else None,
                limit=answer.refusal.limit,
                actual=answer.refusal.actual,
            )
        self._marks.raise_to(account_id, answer.sequence)
        account = await self._accounts.read(account_id)
        return Claimed(balance(account, self._catalogue, asset.code), answer.replayed)

    async def _is_used(self, account_id: str, key: str) -> bool:
        """Whether the key was used: then the exchange judges it, and the limit was kept when it was."""
        await self._marks.wait(account_id)
        return bool(await client_key.find_keys([(account_id, key)]))

    async def _check_limit(self, account_id: str, asset: AssetEntry, amount: Decimal) -> None:
        most = self._most(asset)
        account = await self._accounts.read(account_id)
        today_ms = self._clock.now_ms() // _DAY_MS * _DAY_MS
        had = await received_since(account, TransactionKind.TEST_FUNDS, asset.code, today_ms)
        left = max(Decimal(0), most - had)
        if amount > left:
            raise OrderRefused(OrderErrorCode.QUANTITY_TOO_LARGE, field=["amount"], limit=left, actual=amount)

    def _most(self, asset: AssetEntry) -> Decimal:
        """How much of an asset a day's worth is now, rounded down to its units; where nobody says what a dollar is in stablecoins, it is one."""
        one = next((rate for quote in DEFAULT_QUOTES if (rate := self._valuation.rates(quote).get(asset.code))), None)
        if one is None and asset.kind is AssetKind.STABLECOIN:
            return self._daily_worth
        if one is None:
            raise OrderRefused(OrderErrorCode.PRICE_STALE, field=["asset"])
        quantum = Decimal(1).scaleb(-asset.decimals)
        most = CONTEXT.divide(self._daily_worth, one.price)
        return most.quantize(quantum, rounding=ROUND_DOWN, context=CONTEXT)

    @asynccontextmanager
    async def _one_at_a_time(self, account_id: str) -> AsyncGenerator[None, None]:
        lock = self._locks.setdefault(account_id, asyncio.Lock())
        async with lock:
            yield


def _units(asset: AssetEntry, amount: Decimal) -> int:
    scaled = CONTEXT.scaleb(amount, asset.decimals)
    if amount <= 0 or scaled != scaled.to_integral_value():
        raise OrderRefused(OrderErrorCode.MALFORMED_NUMBER, field=["amount"])
    return int(scaled)


def _digest(asset: AssetEntry, amount: Decimal) -> str:
    """Of the claim as it was meant: 1.0 and 1 are one."""
    return sha256(f"claimTestFunds:{asset.code}:{canonical(amount)}".encode()).hexdigest()
