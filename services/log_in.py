"""Signing in: a password or a passkey, a second factor where the account has one, then a session.

Whoever does not know the right password learns nothing: not whether there is an account, nor its state. Answers to failures take the same
time and have the same form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.account_vocabulary import (
    AuditAction,
    AuditActor,
    AuditOutcome,
    AuthErrorCode,
    AuthFactor,
    SessionMethod,
    TokenDelivery,
    UserStatus,
)
from core.clock import Clock
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused
from models import passkey, user
from models.user import UserDocument
from services.audit import AuditLog
from services.challenges import ChallengeExpired, ChallengeKind, Challenges
from services.devices import Devices
from services.email_addresses import EmailInvalid, parse_email
from services.even_time import even_time
from services.log_in_guard import LogInGuard
from services.mail import Mailbox
from services.passkeys import AskedPasskey, PasskeyInvalid, Passkeys
from services.passwords import PasswordHasher
from services.sessions import OpenedSession, Sessions
from services.step_up import StepUpFactor
from services.throttles import PASSKEY, SECOND_FACTOR, Throttles
from services.turns import Turns
from services.two_factor import TwoFactor
from services.viewer import Client, Viewer

SECOND_FACTOR_SECONDS = 300
SECOND_FACTOR_TRIES = 5
AT_ONCE = 4
"""Log-ins under way for each thread that hashes: it then rests half of the time, which is everybody else's."""
MOST_WAITING = 60
"""For each of those threads: who comes later would not be served before the limit of a request."""


class InvalidCredentials(AuthRefused):
    """Address and password do not belong together. Which of them is wrong is not told."""

    code = AuthErrorCode.INVALID_CREDENTIALS


@dataclass(frozen=True, slots=True)
class AskedSecondFactor:
    """The password was right; one of these factors is to be shown with the token."""

    token: str
    factors: Sequence[AuthFactor]
    passkey_options: Mapping[str, object] | None
    expires_ms: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, how its tokens are to be delivered, and the cookie by which a page's browser will be known."""

    opened: OpenedSession
    delivery: TokenDelivery
    device_token: str | None


LogInResult = SignedIn | AskedSecondFactor


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants of the session it asks for."""

    delivery: TokenDelivery
    device_name: str | None


class LogIn:
    """Signs people in."""

    def __init__(
        self,
        *,
        hasher: PasswordHasher,
        guard: LogInGuard,
        sessions: Sessions,
        two_factor: TwoFactor,
        passkeys: Passkeys,
        challenges: Challenges,
        devices: Devices,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        clock: Clock,
        even_seconds: float,
    ) -> None:
        """`even_seconds`: a password is looked at, and a failure noted, for a multiple of this (services/even_time.py)."""
        self._hasher = hasher
        self._guard = guard
        self._sessions = sessions
        self._two_factor = two_factor
        self._passkeys = passkeys
        self._challenges = challenges
        self._devices = devices
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._clock = clock
        self._even_seconds = even_seconds
        self._turns = Turns(hasher.workers * AT_ONCE, most_waiting=hasher.workers * MOST_WAITING)

    async def with_password(
        self, email: str, password: str, wish: Wish, client: Client, viewer: Viewer | None
    ) -> LogInResult:
        """Sign in by address and password. Raises InvalidCredentials, AccountLocked, AccountFrozen, RateLimited."""
        async with self._turns:
            person = await self._identified(email, password, client, viewer)
            return await self.proceed(person, SessionMethod.PASSWORD, [AuthFactor.PASSWORD], wish, client)

    async def begin_passkey(self, client: Client) -> AskedPasskey:
        """What a passkey is to sign for a log-in. Raises RateLimited."""
        await self._throttles.of_address(PASSKEY, client)
        return await self._passkeys.begin_log_in()

    async def with_passkey(self, token: str, credential: object, wish: Wish, client: Client) -> SignedIn:
        """Sign in by a passkey, which is two factors. Raises PasskeyInvalid, ChallengeExpired, RateLimited."""
        await self._throttles.of_address(PASSKEY, client)
        used = await self._passkeys.finish_log_in(token, credential)
        person = await user.by_id(used.user_id)
        if person is None or person.status is UserStatus.DELETED:
            raise PasskeyInvalid("this passkey is not registered here", field=["credential"])
        return await self._open(person, SessionMethod.PASSKEY, [AuthFactor.PASSKEY], wish, client)

    async def proceed(
        self,
        person: UserDocument,
        method: SessionMethod,
        factors: Sequence[AuthFactor],
        wish: Wish,
        client: Client,
    ) -> LogInResult:
        """After the first factor: a session, or the question for the second where the account has codes by app."""
        if person.totp is None:
            return await self._open(person, method, factors, wish, client)
        known = await passkey.of_user(person.id)
        accepted = [AuthFactor.TOTP]
        accepted += [AuthFactor.RECOVERY_CODE] if person.recovery_hashes else []
        accepted += [AuthFactor.PASSKEY] if known else []
        facts = {
            "method": method.value,
            "factors": [factor.value for factor in factors],
            "delivery": wish.delivery.value,
            "device_name": wish.device_name or "",
            "password_changed": str(person.password_changed_ms),
        }
        token, expires_ms = await self._challenges.put(
            ChallengeKind.SECOND_FACTOR,
            person.id,
            facts,
            life_seconds=SECOND_FACTOR_SECONDS,
            tries=SECOND_FACTOR_TRIES,
        )
        options = self._passkeys.options(token, known) if known else None
        return AskedSecondFactor(token, accepted, options, expires_ms)

    async def with_second_factor(self, token: str, factor: StepUpFactor, client: Client) -> SignedIn:
        """Complete a log-in. Raises ChallengeExpired, CodeInvalid, CodeReused, PasskeyInvalid, RateLimited."""
        asked = await self._challenges.take_try(token, ChallengeKind.SECOND_FACTOR, field="challenge")
        await self._throttles.of_owner(SECOND_FACTOR, client, asked.subject)
        person = await user.by_id(asked.subject)
        if person is None or person.status is UserStatus.DELETED:
            raise InvalidCredentials("address and password do not belong together")
        if asked.text("password_changed") != str(person.password_changed_ms):
            raise ChallengeExpired("this took too long, or was tried too often; begin again", field=["challenge"])
        try:
            await self._use_factor(person, factor, token, client)
        except AuthRefused:
            if asked.tries_left == 0:
                await self._mailbox.send(MailKind.SECOND_FACTOR_FAILED, user_id=person.id, ip=client.address)
            raise
        await self._challenges.close(asked, field="challenge")
        await self._audit.record(person.id, AuditAction.TWO_FACTOR, client=client, detail={"factor": factor.kind.value})
        first = asked.facts.get("factors")
        factors = [AuthFactor(each) for each in first] if isinstance(first, list) else []
        wish = Wish(TokenDelivery(asked.text("delivery")), asked.text("device_name") or None)
        return await self._open(person, SessionMethod(asked.text("method")), [*factors, factor.kind], wish, client)

    async def _use_factor(self, person: UserDocument, factor: StepUpFactor, token: str, client: Client) -> None:
        match factor.kind:
            case AuthFactor.TOTP:
                await self._two_factor.use_code(person, factor.text, client)
            case AuthFactor.RECOVERY_CODE:
                await self._two_factor.use_recovery_code(person, factor.text, client)
            case _:
                await self._use_passkey(person, factor.credential, token, client)

    async def _use_passkey(self, person: UserDocument, credential: object, token: str, client: Client) -> None:
        try:
            await self._passkeys.verify(credential, token, user_id=person.id)
        except PasskeyInvalid:
            await self._audit.record(
                person.id,
                AuditAction.TWO_FACTOR,
                client=client,
                outcome=AuditOutcome.REFUSED,
                detail={"factor": AuthFactor.PASSKEY.value},
            )
            raise

    async def _identified(self, email: str, password: str, client: Client, viewer: Viewer | None) -> UserDocument:
        """The person whose address and password these are."""
        try:
            email_key = parse_email(email).key
        except EmailInvalid:
            email_key = f"no address: {email[:100]}"
        person = await user.by_email_key(email_key)
        known_as = await self._known_as(person, client, viewer)
        async with self._guard.attempt(email_key, client, known_as=known_as) as attempt:
            stored_hash = person.password_hash if person is not None else None
            async with even_time(self._clock, self._even_seconds):
                verified = await self._hasher.verify(password, stored_hash)
            if person is None or stored_hash is None or not verified.matches:
                async with even_time(self._clock, self._even_seconds):
                    locks = await attempt.failed()
                    if person is not None:
                        await self._note_failure(person, client, locks=locks)
                raise InvalidCredentials("address and password do not belong together")
            await attempt.succeeded()
        if verified.new_hash is not None:
            await user.upgrade_password_hash(person.id, old_hash=stored_hash, new_hash=verified.new_hash)
        return person

    async def _known_as(self, person: UserDocument | None, client: Client, viewer: Viewer | None) -> str | None:
        if person is None:
            return None
        if viewer is not None and viewer.session_id is not None and viewer.user_id == person.id:
            return f"session {viewer.session_id}"
        return await self._devices.known(person.id, client)

    async def _note_failure(self, person: UserDocument, client: Client, *, locks: bool) -> None:
        await self._audit.record(
            person.id,
            AuditAction.LOCKED if locks else AuditAction.LOG_IN_FAILED,
            client=client,
            outcome=AuditOutcome.REFUSED,
            actor=AuditActor.STRANGER,
        )
        if locks:
            await self._mailbox.send(MailKind.ACCOUNT_LOCKED, user_id=person.id, ip=client.address)

    async def _open(
        self,
        person: UserDocument,
        method: SessionMethod,
        factors: Sequence[AuthFactor],
        wish: Wish,
        client: Client,
    ) -> SignedIn:
        device = self._devices.of(client, takes_cookies=wish.delivery is TokenDelivery.COOKIE)
        opened = await self._sessions.open(
            person, method, factors, client, device_name=wish.device_name, device_hash=device.cookie_hash
        )
        if await self._devices.signed_in(person.id, device):
            await self._mailbox.send(
                MailKind.NEW_DEVICE,
                user_id=person.id,
                ip=client.address,
                device=opened.session.device_name or client.user_agent or "",
            )
        return SignedIn(opened, wish.delivery, device.cookie if wish.delivery is TokenDelivery.COOKIE else None)
