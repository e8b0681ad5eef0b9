"""Sessions: opening, refreshing, listing, ending.

A refresh token is `cvr_<session>.<family>.<secret>`. Whoever shows a right family with a secret that is no longer current has had an
older token: two parties hold the session, so it ends. Whoever shows a wrong family has only guessed, and changes nothing. The token
before the current one does for GRACE_MS after a refresh, and gives the very same successor, because tabs refresh together.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from core.account_vocabulary import (
    AuditAction,
    AuditActor,
    AuditOutcome,
    AuthErrorCode,
    AuthFactor,
    SessionMethod,
    UserStatus,
)
from core.clock import Clock, to_datetime
from core.ids import random_id, random_token, token_hash
from core.mail_vocabulary import MailKind
from core.refusals import AccountFrozen, AuthRefused, UnknownObject
from core.secret_box import SecretBox
from models import session, user
from models.session import KEPT_AFTER_END_MS, SessionDocument
from models.user import Profile, UserDocument, profile_of
from services.access_tokens import AccessTokens
from services.audit import AuditLog
from services.mail import Mailbox
from services.names import visible_name
from services.one_time_tokens import TokenExpired, TokenInvalid
from services.revocations import Revocations
from services.throttles import REFRESH, Throttles
from services.viewer import Client, Viewer

GRACE_MS = 10_000
MOST_SESSIONS = 50
_START = "cvr_"
_DAY_MS = 86_400_000
_LONGEST_TOKEN = 200


class RefreshReused(AuthRefused):
    """An older refresh token was shown again, so the session was ended."""

    code = AuthErrorCode.REFRESH_REUSED


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """The two tokens of a session, and their ends in epoch milliseconds."""

    access: str
    refresh: str
    expires_ms: int
    refresh_expires_ms: int


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with its tokens, and the person it belongs to."""

    user: UserDocument
    session: SessionDocument
    tokens: IssuedTokens

    @property
    def profile(self) -> Profile:
        """What the person is shown of themselves."""
        return profile_of(self.user)


@dataclass(frozen=True, slots=True)
class SessionLife:
    """How long sessions last, in days."""

    idle_days: int
    max_days: int


class Sessions:
    """What is done to sessions."""

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        revocations: Revocations,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        clock: Clock,
        life: SessionLife,
    ) -> None:
        self._tokens = tokens
        self._revocations = revocations
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._clock = clock
        self._life = life

    async def open(
        self,
        person: UserDocument,
        method: SessionMethod,
        factors: Sequence[AuthFactor],
        client: Client,
        *,
        device_name: str | None,
        device_hash: str | None,
    ) -> OpenedSession:
        """Sign a person in. Raises AccountFrozen for one an operator has suspended, TokenInvalid when that is only just happening.

        Whoever changes a password or a state ends all sessions after it. One that was being opened meanwhile may be missed by that,
        so it looks for itself once it can be found.
        """
        if person.status is UserStatus.SUSPENDED:
            raise AccountFrozen("this account is suspended; ask support")
        now_ms = self._clock.now_ms()
        session_id, family = random_id(), random_token()
        refresh = _refresh_token(session_id, family)
        latest_ms = now_ms + self._life.max_days * _DAY_MS
        expires_ms = self._idle_end(now_ms, latest_ms)
        row = SessionDocument(
            id=session_id,
            user_id=person.id,
            open_of=person.id,
            method=method,
            factors=tuple(factors),
            created_ms=now_ms,
            authenticated_ms=now_ms,
            last_seen_ms=now_ms,
            expires_ms=expires_ms,
            latest_ms=latest_ms,
            ip=client.address,
            user_agent=client.user_agent,
            device_name=visible_name(device_name or ""),
            device_hash=device_hash,
            family_hash=token_hash(family),
            refresh_hash=token_hash(refresh),
            purge_at=to_datetime(expires_ms + KEPT_AFTER_END_MS),
        )
        await session.insert(row)
        if not await _is_still(person):
            await self._revocations.end_sessions(person.id, [session_id], "the account changed meanwhile")
            raise TokenInvalid("the session has ended; sign in again")
        await self._end_surplus(person.id)
        detail = {"method": method.value, "device": row.device_name or "", "session": session_id}
        await self._audit.record(person.id, AuditAction.LOG_IN, client=client, detail=detail)
        return OpenedSession(person, row, self._issue(row, refresh))

    async def refresh(self, refresh_token: str, client: Client) -> OpenedSession:
        """New tokens for a refresh token, once. Raises TokenInvalid, TokenExpired, RefreshReused, RateLimited."""
        row = await self._found(refresh_token)
        await self._throttles.of_stranger(REFRESH, client, row.id)
        owner = await self._owner(row)
        presented = token_hash(refresh_token)
        if row.refresh_hash == presented:
            successor = _refresh_token(row.id, _parts(refresh_token)[1])
            rotated = await self._rotate(row, refresh_token, successor, client)
            if rotated is not None:
                return OpenedSession(owner, rotated, self._issue(rotated, successor))
            row = await self._found(refresh_token)
        if row.previous_hash != presented or row.successor is None or self._grace_is_over(row):
            await self._end_reused(row, client)
            raise RefreshReused("this refresh token was used before, so the session was ended; sign in again")
        successor = _successor_box(refresh_token).open(row.successor, row.id).decode()
        return OpenedSession(owner, row, self._issue(row, successor))

    async def of_user(self, user_id: str) -> list[SessionDocument]:
        """A person's sessions that last, newest first."""
        now_ms = self._clock.now_ms()
        return [row for row in await session.open_of(user_id) if row.expires_ms > now_ms]

    async def of_viewer(self, viewer: Viewer) -> SessionDocument | None:
        """The session that signs for the viewer; None for an API key."""
        return None if viewer.session_id is None else await session.by_id(viewer.session_id)

    async def log_out(self, viewer: Viewer, client: Client, *, everywhere: bool) -> None:
        """End the viewer's session, or all of them."""
        if everywhere:
            await self.end_all(viewer.user_id, "logged out everywhere")
        elif viewer.session_id is not None:
            await self._revocations.end_sessions(viewer.user_id, [viewer.session_id], "logged out")
        await self._audit.record(viewer.user_id, AuditAction.LOG_OUT, client=client, detail={"everywhere": everywhere})

    async def forget(self, refresh_token: str, client: Client) -> None:
        """End the session of a refresh token, for a log-out after the access token has expired. A wrong token changes nothing."""
        try:
            row = await self._found(refresh_token)
        except AuthRefused:
            return
        await self._revocations.end_sessions(row.user_id, [row.id], "logged out")
        await self._audit.record(row.user_id, AuditAction.LOG_OUT, client=client, detail={"everywhere": False})

    async def revoke(self, viewer: Viewer, session_id: str, client: Client) -> None:
        """End one of the viewer's own sessions. Raises UnknownObject."""
        row = await session.by_id(session_id)
        if row is None or row.user_id != viewer.user_id or row.ended_ms is not None:
            raise UnknownObject("you have no such session", field=["id"])
        await self._revocations.end_sessions(viewer.user_id, [session_id], "revoked")
        await self._audit.record(
            viewer.user_id, AuditAction.SESSION_REVOKED, client=client, detail={"session": session_id}
        )

    async def end_all(self, user_id: str, reason: str, *, but: str | None = None) -> None:
        """End all sessions of a person, except one."""
        ids = [row.id for row in await self.of_user(user_id) if row.id != but]
        await self._revocations.end_sessions(user_id, ids, reason)

    async def _found(self, refresh_token: str) -> SessionDocument:
        session_id, family = _parts(refresh_token)
        row = await session.by_id(session_id) if session_id else None
        if row is None or not hmac.compare_digest(row.family_hash, token_hash(family)):
            raise TokenInvalid("this is no refresh token; sign in again", field=["refreshToken"])
        if row.ended_ms is not None:
            raise TokenInvalid("the session has ended; sign in again", field=["refreshToken"])
        if row.expires_ms <= self._clock.now_ms():
            raise TokenExpired("the session has expired; sign in again", field=["refreshToken"])
        return row

    async def _rotate(
        self, row: SessionDocument, presented: str, successor: str, client: Client
    ) -> SessionDocument | None:
        """The session with its next token; None when another request was faster."""
        now_ms = self._clock.now_ms()
        changes = {
            "refresh_hash": token_hash(successor),
            "expires_ms": self._idle_end(now_ms, row.latest_ms),
            "last_seen_ms": now_ms,
        }
        rotated = await session.rotate(
            row.id,
            old_hash=row.refresh_hash,
            new_hash=token_hash(successor),
            successor=_successor_box(presented).seal(successor.encode(), row.id),
            now_ms=now_ms,
            expires_ms=self._idle_end(now_ms, row.latest_ms),
            ip=client.address,
        )
        return row.model_copy(update=changes) if rotated else None

    def _grace_is_over(self, row: SessionDocument) -> bool:
        return row.rotated_ms is None or self._clock.now_ms() - row.rotated_ms > GRACE_MS

    async def _end_reused(self, row: SessionDocument, client: Client) -> None:
        if not await self._revocations.end_sessions(row.user_id, [row.id], "a refresh token was used twice"):
            return
        await self._audit.record(
            row.user_id,
            AuditAction.REFRESH_REUSED,
            client=client,
            outcome=AuditOutcome.REFUSED,
            actor=AuditActor.STRANGER,
            detail={"session": row.id},
        )
        await self._mailbox.send(
            MailKind.SESSION_REUSED, user_id=row.user_id, ip=client.address, device=row.device_name or ""
        )

    async def _owner(self, row: SessionDocument) -> UserDocument:
        person = await user.by_id(row.user_id)
        if person is None or person.status in (UserStatus.DELETED, UserStatus.SUSPENDED):
            raise TokenInvalid("the session has ended; sign in again", field=["refreshToken"])
        return person

    async def _end_surplus(self, user_id: str) -> None:
        surplus = (await self.of_user(user_id))[MOST_SESSIONS:]
        await self._revocations.end_sessions(user_id, [row.id for row in surplus], "too many sessions")

    def _issue(self, row: SessionDocument, refresh: str) -> IssuedTokens:
        access, expires_ms = self._tokens.issue(row.user_id, row.id, not_after_ms=row.expires_ms)
        return IssuedTokens(access, refresh, expires_ms, row.expires_ms)

    def _idle_end(self, now_ms: int, latest_ms: int) -> int:
        return min(now_ms + self._life.idle_days * _DAY_MS, latest_ms)


async def _is_still(person: UserDocument) -> bool:
    """Whether password and state are as they were when the person was read."""
    now = await user.by_id(person.id)
    return now is not None and (now.password_changed_ms, now.status) == (person.password_changed_ms, person.status)


def _refresh_token(session_id: str, family: str) -> str:
    return f"{_START}{session_id}.{family}.{random_token()}"


def _parts(refresh_token: str) -> tuple[str, str]:
    """Session and family of a token; empty for what has another form."""
    if len(refresh_token) > _LONGEST_TOKEN or not refresh_token.startswith(_START):
        return "", ""
    parts = refresh_token.removeprefix(_START).split(".")
    return (parts[0], parts[1]) if len(parts) == 3 else ("", "")


def _successor_box(refresh_token: str) -> SecretBox:
    """Opens only for whoever shows this token."""
    return SecretBox([sha256(refresh_token.encode()).digest()])
