"""The emergency lock: a frozen account has no sessions and no keys, and nothing of it moves until its owner unfreezes it.

An operator's suspension is the same, but only an operator lifts it.
"""

from core.account_vocabulary import AuditAction, AuditActor, AuthErrorCode, UserStatus
from core.clock import Clock
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused, UnknownObject
from models import user
from models.user import UserDocument
from services import one_time_tokens
from services.account_states import AccountStates
from services.accounts import Accounts
from services.api_keys import ApiKeys
from services.audit import AuditLog
from services.frozen_accounts import FrozenAccounts
from services.mail import Mailbox
from services.one_time_tokens import TokenPurpose
from services.sessions import Sessions
from services.throttles import TOKEN, Throttles
from services.viewer import Client, Viewer


class NotFrozen(AuthRefused):
    """There is nothing to unfreeze, or only an operator may."""

    code = AuthErrorCode.ACCOUNT_FROZEN


class Freezes:
    """Freezes and lifts."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        api_keys: ApiKeys,
        states: AccountStates,
        frozen: FrozenAccounts,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._api_keys = api_keys
        self._states = states
        self._frozen = frozen
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._clock = clock

    async def by_owner(self, viewer: Viewer, client: Client) -> None:
        """Freeze the viewer's own account; the session that asks ends, too."""
        await self._freeze(viewer.user_id, AuditActor.OWNER, client)

    async def by_mail(self, token: str, client: Client) -> None:
        """Freeze the account whose owner was mailed this link; a failure does not use it up. Raises TokenInvalid, TokenExpired, RateLimited."""
        await self._throttles.of_stranger(TOKEN, client, token[:100])
        row = await one_time_tokens.find(token, TokenPurpose.FREEZE, clock=self._clock)
        await self._freeze(row.user_id, AuditActor.MAIL_LINK, client)
        await one_time_tokens.redeem(token, TokenPurpose.FREEZE, clock=self._clock)

    async def unfreeze(self, viewer: Viewer, client: Client) -> UserDocument:
        """Lift the owner's own freeze, once it is proven that they are there. Raises NotFrozen."""
        now_ms = self._clock.now_ms()
        lifted = await user.set_status(
            viewer.user_id, UserStatus.ACTIVE, was=[UserStatus.FROZEN], now_ms=now_ms, frozen_ms=None
        )
        if not lifted:
            raise NotFrozen("the account is not frozen, or was suspended by an operator")
        await self._states.changed(viewer.user_id)
        await self._frozen.tell(viewer.user_id)
        await self._audit.record(viewer.user_id, AuditAction.UNFROZEN, client=client)
        await self._mailbox.send(MailKind.ACCOUNT_UNFROZEN, user_id=viewer.user_id, ip=client.address)
        return await _person(viewer.user_id)

    async def by_operator(
        self, operator: Viewer, user_id: str, status: UserStatus, reason: str, client: Client
    ) -> UserDocument:
        """Suspend an account, freeze it, or make it active again. Raises UnknownObject."""
        person = await _person(user_id)
        frozen = status is not UserStatus.ACTIVE
        was = [each for each in UserStatus if each not in (status, UserStatus.DELETED)]
        now_ms = self._clock.now_ms()
        frozen_ms = (person.frozen_ms or now_ms) if frozen else None
        if not await user.set_status(user_id, status, was=was, now_ms=now_ms, frozen_ms=frozen_ms):
            raise UnknownObject("the account is deleted, or in this state already", field=["status"])
        await self._states.changed(user_id)
        if frozen:
            await self._end_everything(user_id, "an operator has stopped the account")
        await self._frozen.tell(user_id)
        await self._audit.record(
            user_id,
            AuditAction.FROZEN if frozen else AuditAction.UNFROZEN,
            client=None,
            actor=AuditActor.OPERATOR,
            detail={"status": status.value, "reason": reason},
        )
        await self._audit.record(
            operator.user_id,
            AuditAction.OPERATED,
            client=client,
            detail={"account": user_id, "status": status.value, "reason": reason},
        )
        kind = MailKind.ACCOUNT_SUSPENDED if status is UserStatus.SUSPENDED else MailKind.ACCOUNT_FROZEN
        await self._mailbox.send(kind if frozen else MailKind.ACCOUNT_UNFROZEN, user_id=user_id)
        return await _person(user_id)

    async def _freeze(self, user_id: str, actor: AuditActor, client: Client) -> None:
        now_ms = self._clock.now_ms()
        frozen = await user.set_status(
            user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms
        )
        if frozen:
            await self._states.changed(user_id)
        await self._end_everything(user_id, "the account was frozen")
        await self._frozen.tell(user_id)
        if frozen:
            await self._audit.record(user_id, AuditAction.FROZEN, client=client, actor=actor)
            await self._mailbox.send(MailKind.ACCOUNT_FROZEN, user_id=user_id, ip=client.address)

    async def _end_everything(self, user_id: str, reason: str) -> None:
        await self._sessions.end_all(user_id, reason)
        await self._api_keys.end_all(user_id)
        await self._accounts.forget_pending_email(user_id)


async def _person(user_id: str) -> UserDocument:
    person = await user.by_id(user_id)
    if person is None:
        raise UnknownObject("there is no such account", field=["id"])
    return person
