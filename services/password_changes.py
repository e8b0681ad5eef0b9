"""Another password: by its owner, or by whoever holds the mailbox."""

from core.account_vocabulary import AuditAction, AuditActor
from core.clock import Clock
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused
from models import one_time_token, user
from models.user import UserDocument
from services import one_time_tokens
from services.accounts import Accounts
from services.audit import AuditLog
from services.devices import Devices
from services.email_addresses import parse_email
from services.even_time import even_time
from services.holds import Holds
from services.log_in_guard import LogInGuard
from services.mail import Mailbox
from services.one_time_tokens import TokenInvalid, TokenPurpose
from services.passwords import Passwords
from services.sessions import Sessions
from services.throttles import CHANGE, MAIL_REQUEST, TOKEN, Throttles
from services.viewer import Client, Viewer


class PasswordChanges:
    """Changes and resets."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        passwords: Passwords,
        sessions: Sessions,
        guard: LogInGuard,
        devices: Devices,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
        even_seconds: float,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._sessions = sessions
        self._guard = guard
        self._devices = devices
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock
        self._even_seconds = even_seconds

    async def change(self, viewer: Viewer, password: str, client: Client) -> UserDocument:
        """Give the viewer another password, once it is proven that they are there; their other sessions end. Raises AuthRefused."""
        await self._throttles.of_owner(CHANGE, client, viewer.user_id)
        person = await self._accounts.of(viewer)
        await self._set(person, password)
        await self._sessions.end_all(person.id, "the password was changed", but=viewer.session_id)
        await self._audit.record(person.id, AuditAction.PASSWORD_CHANGED, client=client)
        await self._mailbox.send(MailKind.PASSWORD_CHANGED, user_id=person.id, ip=client.address)
        return await self._accounts.of(viewer)

    async def request_reset(self, email: str, client: Client) -> None:
        """Send a link, if there is an account of this address. Raises EmailInvalid, RateLimited."""
        address = parse_email(email)
        await self._throttles.of_stranger(MAIL_REQUEST, client, address.key)
        async with even_time(self._clock, self._even_seconds):
            await self._mailbox.send(MailKind.PASSWORD_RESET, email_key=address.key)

    async def token_expires_ms(self, token: str, client: Client) -> int | None:
        """The end of a reset token that could be used now; None for any other. Raises RateLimited."""
        await self._throttles.of_stranger(TOKEN, client, token[:100])
        try:
            row = await one_time_tokens.find(token, TokenPurpose.RESET_PASSWORD, clock=self._clock)
        except AuthRefused:
            return None
        return row.expires_ms

    async def reset(self, token: str, password: str, client: Client) -> None:
        """Give an account another password by a mailed token, which a refused password does not use up.

        All sessions end, no browser is known any more, and a lock is lifted. Codes by app and API keys stay. Raises AuthRefused.
        """
        await self._throttles.of_stranger(TOKEN, client, token[:100])
        row = await one_time_tokens.find(token, TokenPurpose.RESET_PASSWORD, clock=self._clock)
        person = await user.by_id(row.user_id)
        if person is None or person.email_key != row.email_key:
            raise TokenInvalid("the account has another address by now", field=["token"])
        password_hash = await self._accepted(person, password)
        await one_time_tokens.redeem(token, TokenPurpose.RESET_PASSWORD, clock=self._clock)
        await self._store(person, password_hash)
        if person.email_verified_ms is None:
            await self._accounts.prove_address(person.id, row.email_key, client)
        await self._guard.recovered(row.email_key)
        await self._devices.forget_all(person.id)
        await self._sessions.end_all(person.id, "the password was reset")
        await self._audit.record(person.id, AuditAction.PASSWORD_RESET, client=client, actor=AuditActor.MAIL_LINK)
        await self._mailbox.send(MailKind.PASSWORD_CHANGED, user_id=person.id, ip=client.address)

    async def _set(self, person: UserDocument, password: str) -> None:
        await self._store(person, await self._accepted(person, password))

    async def _accepted(self, person: UserDocument, password: str) -> str:
        return await self._passwords.accept(password, email=person.email, display_name=person.display_name)

    async def _store(self, person: UserDocument, password_hash: str) -> None:
        await user.set_password(
            person.id, password_hash, now_ms=self._clock.now_ms(), held_until_ms=self._holds.until_ms()
        )
        await one_time_token.forget(person.id, TokenPurpose.RESET_PASSWORD)
        await self._accounts.forget_pending_email(person.id)
