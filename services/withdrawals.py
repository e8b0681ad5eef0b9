"""Withdrawals as their owners and operators deal with them: asked for, confirmed by mail, canceled, reviewed.

A row is stored before the exchange is asked to hold its funds, under the client's key, and shown once they are held. Whoever dies in between leaves a row
that `services/withdrawal_steps.py` finishes: the same question again has the same answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from core.account_vocabulary import AuditAction, AuditActor
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MailKind
from core.money import CONTEXT, canonical
from core.order_vocabulary import OrderErrorCode
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode, WithdrawalStatus
from events.answers import Answer
from events.commands import HoldWithdrawal
from models import withdrawal
from models.chain import ChainEntry
from models.mail import MailDocument
from models.withdrawal import WithdrawalDocument
from services import one_time_tokens
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.mail import Mailbox
from services.one_time_tokens import TokenPurpose
from services.trading_accounts import ReadMarks
from services.viewer import Client, Viewer
from services.withdrawal_outlook import WithdrawalOutlook
from services.withdrawal_rules import Circumstances, Route, Wish, checked_key, known_route, of_limit, refusals, route
from services.withdrawal_states import WithdrawalChanges, cancelable

S = WithdrawalStatus
UNFINISHED_MS = 30_000
"""A row whose hold is not known after this long is finished by the worker."""
CONFIRM_MS = 86_400_000
"""How long the owner has to follow the link in the mail."""
_OF_EXCHANGE = {
    OrderErrorCode.ACCOUNT_FROZEN: WalletErrorCode.ACCOUNT_FROZEN,
    OrderErrorCode.IDEMPOTENCY_MISMATCH: WalletErrorCode.IDEMPOTENCY_MISMATCH,
    OrderErrorCode.DEBT_OUTSTANDING: WalletErrorCode.DEBT_OUTSTANDING,
    OrderErrorCode.INSUFFICIENT_FUNDS: WalletErrorCode.INSUFFICIENT_FUNDS,
}
Prove = Callable[[], Awaitable[None]]
"""Demands the owner's step-up proof. Raises AuthRefused."""
RequireControl = Callable[[str, ChainEntry, str], Awaitable[None]]
"""Whether an account still controls the wallet of an address on a chain, where it has linked it. Raises WalletRefused."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A withdrawal that was asked for; `replayed`: under this key it had been before."""

    row: WithdrawalDocument
    replayed: bool


@dataclass(frozen=True, slots=True)
class Ref:
    """A withdrawal by its id or its client's key; one of them."""

    id: str | None = None
    client_id: str | None = None


class Withdrawals:
    """One per process. `served` are the chains this installation signs for."""

    def __init__(
        self,
        *,
        gateway: ExchangeGateway,
        marks: ReadMarks,
        outlook: WithdrawalOutlook,
        catalogue: Catalogue,
        changes: WithdrawalChanges,
        audit: AuditLog,
        mailbox: Mailbox,
        clock: Clock,
        served: frozenset[str],
        in_control: RequireControl,
    ) -> None:
        self._gateway = gateway
        self._marks = marks
        self._outlook = outlook
        self._catalogue = catalogue
        self._changes = changes
        self._audit = audit
        self._mailbox = mailbox
        self._clock = clock
        self._served = served
        self._in_control = in_control

    async def request(self, viewer: Viewer, key: str, wish: Wish, client: Client, prove: Prove) -> Requested:
        """Ask for a withdrawal. A session's is confirmed by mail; an API key's needs no mail. Raises WalletRefused, AuthRefused."""
        checked_key(key)
        known = await withdrawal.by_client_id(viewer.user_id, key)
        if known is not None:
            if known.digest != wish.digest:
                raise _mismatch()
            if known.asked:
                return Requested(known, replayed=True)
            row = known
        else:
            way = route(self._catalogue, wish, self._served)
            met = await self._outlook.circumstances(viewer.user_id, way, wish, number=None)
            for refusal in refusals(way, wish, met):
                raise refusal
            if met.entry is not None:
                await self._in_control(viewer.user_id, way.chain, met.entry.address)
            await prove()
            row = await self._stored(viewer, key, wish, way, met)
        asked = await self.finish(row, client)
        return Requested(asked, replayed=False)

    async def finish(self, row: WithdrawalDocument, client: Client | None) -> WithdrawalDocument:
        """Have the exchange hold the funds of a stored row, and show it; takes the row back when that is refused. Raises WalletRefused.

        The mail is accepted in the transaction that shows the row: without it nobody could confirm. Its line in the audit log comes before, so that none is
        missing; of somebody who dies in between there are two.
        """
        way = known_route(self._catalogue, row.asset, row.chain)
        answer = await self._gateway.ask(
            HoldWithdrawal(row.user_id, row.asset, _units(row.amount, way), row.client_id, row.digest)
        )
        if answer.refusal is not None:
            if answer.refusal.code is not OrderErrorCode.OUTCOME_UNKNOWN:
                await withdrawal.forget(row)
            raise _refused(answer)
        self._marks.raise_to(row.user_id, answer.sequence)
        now_ms = self._clock.now_ms()
        status = self._first_status(row)
        await self._record(row, "requested", client, AuditActor.OWNER if row.by_key is None else AuditActor.API_KEY)
        letter = self._letter(row, status, client)
        asked = await self._changes.move(
            row,
            status,
            now_ms,
            due_ms=now_ms + CONFIRM_MS if status is S.AWAITING_CONFIRMATION else _due(status, now_ms),
            also=lambda session: self._mailbox.accept(letter, session),
            hold=answer.made,
        )
        if asked is None:  # somebody else finished it at the same time
            return await self._again(row)
        self._mailbox.announce(letter)
        return asked

    async def confirm(self, token: str, ref: Ref | None = None) -> WithdrawalDocument:
        """What the link in the mail does. Raises WalletRefused, TokenInvalid, TokenExpired."""
        found = await one_time_tokens.find(token, TokenPurpose.CONFIRM_WITHDRAWAL, clock=self._clock)
        row = await withdrawal.by_id(found.subject or "")
        if row is None or row.user_id != found.user_id or (ref is not None and not _is_meant(row, ref)):
            raise _unknown()
        if row.status is S.AWAITING_CONFIRMATION:
            await self.require_control(row)
            now_ms = self._clock.now_ms()
            status = S.IN_REVIEW if self._outlook.is_reviewed(row.worth) else S.APPROVED
            row = await self._changes.move(row, status, now_ms, due_ms=_due(status, now_ms)) or await self._again(row)
        if row.status is S.AWAITING_CONFIRMATION or row.status is S.CANCELED:
            text = "this withdrawal was canceled; ask for a new one"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_CANCELABLE, field=["by"])
        await one_time_tokens.redeem(token, TokenPurpose.CONFIRM_WITHDRAWAL, clock=self._clock)
        return row

    async def require_control(self, row: WithdrawalDocument) -> None:
        """That its account still controls the wallet it goes to, where that is a linked one. Raises WalletRefused."""
        await self._in_control(row.user_id, self._catalogue.chains[row.chain], row.address)

    async def cancel(self, viewer: Viewer, ref: Ref, client: Client) -> WithdrawalDocument:
        """Take a withdrawal back, until it is about to be signed. Raises WalletRefused."""
        while True:
            row = await self.own(viewer.user_id, ref)
            if row is None:
                raise _unknown()
            if row.status is S.CANCELED:
                return row
            if not cancelable(row):
                text = "it is too late to cancel this withdrawal"
                raise WalletRefused(text, reason=WalletErrorCode.NOT_CANCELABLE, field=["by"])
            now_ms = self._clock.now_ms()
            canceled = await self._changes.move(row, S.CANCELED, now_ms, detail="canceled by its owner", due_ms=now_ms)
            if canceled is not None:
                await self._record(canceled, "canceled", client, _actor(viewer))
                return canceled

    async def review(
        self, operator: Viewer, row_id: str, *, approve: bool, reason: str, client: Client
    ) -> WithdrawalDocument:
        """An operator's word on a withdrawal in review. Raises WalletRefused."""
        row = await withdrawal.by_id(row_id)
        if row is None or not row.asked:
            raise _unknown()
        if row.user_id == operator.user_id:
            text = "nobody reviews a withdrawal of their own"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["id"])
        if row.status is not S.IN_REVIEW:
            text = "this withdrawal is not in review any more"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_CANCELABLE, field=["id"])
        now_ms = self._clock.now_ms()
        status = S.APPROVED if approve else S.REJECTED
        decided = await self._changes.move(row, status, now_ms, detail=reason, due_ms=now_ms)
        if decided is None:
            return await self.review(operator, row_id, approve=approve, reason=reason, client=client)
        done = "approved" if approve else "rejected"
        await self._record(decided, done, None, AuditActor.OPERATOR)
        await self._audit.record(
            operator.user_id,
            AuditAction.OPERATED,
            client=client,
            detail={"withdrawal": row.id, "account": row.user_id, "done": done, "reason": reason},
        )
        return decided

    async def own(self, user_id: str, ref: Ref) -> WithdrawalDocument | None:
        """The account's withdrawal that is meant."""
        if ref.id is not None:
            row = await withdrawal.by_id(ref.id)
        else:
            row = await withdrawal.by_client_id(user_id, ref.client_id or "")
        return row if row is not None and row.user_id == user_id and row.asked else None

    async def _stored(self, viewer: Viewer, key: str, wish: Wish, way: Route, met: Circumstances) -> WithdrawalDocument:
        """The row of a new wish; kept within the limit also when several are asked for at once: of two, the later one is refused."""
        now_ms = self._clock.now_ms()
        row = WithdrawalDocument(
            id=random_id(),
            user_id=viewer.user_id,
            number=await withdrawal.last_number(viewer.user_id) + 1,
            client_id=key,
            digest=wish.digest,
            asset=way.asset.code,
            chain=way.chain.key,
            address_id=wish.address_id,
            address="" if met.entry is None else met.entry.address,
            amount=wish.amount,
            fee=way.fee,
            worth=met.worth,
            by_key=viewer.api_key_id,
            status=S.AWAITING_CONFIRMATION,
            created_ms=now_ms,
            updated_ms=now_ms,
            due_ms=now_ms + UNFINISHED_MS,
        )
        if not await withdrawal.insert(row):
            known = await withdrawal.by_client_id(viewer.user_id, key)
            if known is None:
                return await self._stored(viewer, key, wish, way, met)
            if known.digest != wish.digest:
                raise _mismatch()
            return known
        met = await self._outlook.circumstances(viewer.user_id, way, wish, number=row.number)
        for refusal in of_limit(met):
            await withdrawal.forget(row)
            raise refusal
        return row

    def _first_status(self, row: WithdrawalDocument) -> WithdrawalStatus:
        if row.by_key is None:
            return S.AWAITING_CONFIRMATION
        return S.IN_REVIEW if self._outlook.is_reviewed(row.worth) else S.APPROVED

    async def _again(self, row: WithdrawalDocument) -> WithdrawalDocument:
        found = await withdrawal.by_id(row.id)
        if found is None:
            raise _unknown()
        return found

    def _letter(self, row: WithdrawalDocument, status: WithdrawalStatus, client: Client | None) -> MailDocument:
        """What its owner is told of one that was asked for: how to confirm it, or that it was."""
        return self._mailbox.written(
            MailKind.WITHDRAWAL_CONFIRM if status is S.AWAITING_CONFIRMATION else MailKind.WITHDRAWAL_ASKED,
            user_id=row.user_id,
            amount=f"{canonical(row.amount)} {row.asset}",
            chain=self._catalogue.chains[row.chain].name,
            address=row.address,
            ip=None if client is None else client.address,
            withdrawal=row.id,
        )

    async def _record(self, row: WithdrawalDocument, done: str, client: Client | None, actor: AuditActor) -> None:
        await self._audit.record(
            row.user_id,
            AuditAction.WITHDRAWAL,
            client=client,
            actor=actor,
            detail={
                "withdrawal": row.id,
                "done": done,
                "amount": canonical(row.amount),
                "asset": row.asset,
                "chain": row.chain,
                "address": row.address,
            },
        )


def _units(amount: Decimal, way: Route) -> int:
    return int(CONTEXT.scaleb(amount, way.asset.decimals))


def _due(status: WithdrawalStatus, now_ms: int) -> int | None:
    return now_ms if status is S.APPROVED else None


def _is_meant(row: WithdrawalDocument, ref: Ref) -> bool:
    return row.id == ref.id if ref.id is not None else row.client_id == ref.client_id


def _actor(viewer: Viewer) -> AuditActor:
    return AuditActor.OWNER if viewer.session_id is not None else AuditActor.API_KEY


def _unknown() -> WalletRefused:
    return WalletRefused("there is no such withdrawal", reason=WalletErrorCode.UNKNOWN_WITHDRAWAL, field=["by"])


def _mismatch() -> WalletRefused:
    text = "this key was used before with other content; choose another key, or send the same content again"
    return WalletRefused(text, reason=WalletErrorCode.IDEMPOTENCY_MISMATCH, field=["clientWithdrawalId"])


def _refused(answer: Answer) -> WalletRefused:
    refusal = answer.refusal
    code = None if refusal is None else _OF_EXCHANGE.get(refusal.code)
    if refusal is None or code is None:
        text = "the exchange cannot be reached, or did not answer in time; try again with the same key"
        return WalletRefused(text, reason=WalletErrorCode.EXCHANGE_UNAVAILABLE)
    if code is WalletErrorCode.IDEMPOTENCY_MISMATCH:
        return _mismatch()
    text = "the exchange does not hold these funds: see the code"
    return WalletRefused(text, reason=code, limit=refusal.limit, actual=refusal.actual)
