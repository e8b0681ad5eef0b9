"""Accounts: signing up, proving the address, changing it, the profile, and the end.

Until an address is proven its account owns nothing, and a new sign-up with the same address takes its place: whoever holds the mailbox
must never end up in an account whose password a stranger chose.
"""

from collections.abc import Collection
from dataclasses import dataclass

from core.account_vocabulary import AuditAction, AuditActor
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused, UnknownObject
from core.translations import LOCALES
from models import broadcast, identity, one_time_token, passkey, prepared_transaction, swap, user, wallet
from models.one_time_token import OneTimeTokenDocument
from models.user import UserDocument
from services import one_time_tokens
from services.account_states import AccountStates
from services.api_keys import ApiKeys
from services.audit import AuditLog
from services.devices import Devices
from services.email_addresses import EmailAddress, parse_email
from services.even_time import even_time
from services.frozen_accounts import FrozenAccounts
from services.holds import Holds
from services.mail import Mailbox
from services.names import checked_name
from services.one_time_tokens import TokenInvalid, TokenPurpose
from services.passwords import Passwords
from services.sessions import Sessions
from services.throttles import CHANGE, MAIL_REQUEST, SIGN_UP, TOKEN, Throttles
from services.viewer import Client, Viewer

QUOTE_ASSET = "USD"
"""What a new account's values are shown in."""
LONGEST_ANTI_PHISHING_CODE = 32


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody says of themselves who signs up."""

    email: str
    password: str
    display_name: str | None
    locale: str


class Accounts:
    """What is done to an account as a whole."""

    def __init__(
        self,
        *,
        passwords: Passwords,
        sessions: Sessions,
        api_keys: ApiKeys,
        states: AccountStates,
        frozen: FrozenAccounts,
        devices: Devices,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
        quote_assets: Collection[str],
        even_seconds: float,
    ) -> None:
        """`quote_assets`: codes that values may be shown in. `even_seconds`: see services/even_time.py."""
        self._passwords = passwords
        self._sessions = sessions
        self._api_keys = api_keys
        self._states = states
        self._frozen = frozen
        self._devices = devices
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock
        self._quote_assets = quote_assets
        self._even_seconds = even_seconds

    async def sign_up(self, new: NewAccount, client: Client) -> None:
        """Make an account, if there is none of this address; the mail tells which. Raises AuthRefused about the input, RateLimited."""
        address = parse_email(new.email)
        name = None if not new.display_name else checked_name(new.display_name, field=["displayName"])
        locale = _known_locale(new.locale)
        self._passwords.check(new.password, email=address.text, display_name=name)
        await self._throttles.of_stranger(SIGN_UP, client, address.key)
        async with even_time(self._clock, self._even_seconds):
            password_hash = await self._passwords.accept(new.password, email=address.text, display_name=name)
        person = self.new_person(address, name=name, locale=locale, password_hash=password_hash)
        async with even_time(self._clock, self._even_seconds):
            await self.create(person, client)
            await self._mailbox.send(MailKind.SIGN_UP, email_key=address.key)

    def new_person(
        self, address: EmailAddress, *, name: str | None, locale: str, password_hash: str | None
    ) -> UserDocument:
        """The document of a new account."""
        now_ms = self._clock.now_ms()
        return UserDocument(
            id=random_id(),
            email=address.text,
            email_key=address.key,
            display_name=name,
            locale=locale,
            quote_asset=QUOTE_ASSET,
            password_hash=password_hash,
            password_changed_ms=now_ms if password_hash is not None else None,
            created_ms=now_ms,
            authority_ms=now_ms,
        )

    async def create(self, person: UserDocument, client: Client) -> bool:
        """Store a new account, in the place of one whose address nobody has proven. False when the address is taken."""
        await self._make_room(person, person.email_key or "", "replaced by a new sign-up", client)
        if not await user.insert(person):
            return False
        await self._audit.record(person.id, AuditAction.SIGN_UP, client=client)
        return True

    async def resend_verification(self, email: str, client: Client) -> None:
        """Send the link again, if there is an account of this address that needs one. Raises EmailInvalid, RateLimited."""
        address = parse_email(email)
        await self._throttles.of_stranger(MAIL_REQUEST, client, address.key)
        async with even_time(self._clock, self._even_seconds):
            await self._mailbox.send(MailKind.VERIFY_EMAIL, email_key=address.key)

    async def verify_email(self, token: str, client: Client) -> str:
        """Take a mailed token as proof of an address: the present one, or the one it is to be changed to. Gives the account's id."""
        await self._throttles.of_stranger(TOKEN, client, token[:100])
        row = await one_time_tokens.redeem(
            token, TokenPurpose.VERIFY_EMAIL, TokenPurpose.CHANGE_EMAIL, clock=self._clock
        )
        if row.purpose == TokenPurpose.CHANGE_EMAIL:
            await self._take_new_address(row, client)
        else:
            await self.prove_address(row.user_id, row.email_key, client)
        return row.user_id

    async def prove_address(self, user_id: str, email_key: str, client: Client) -> None:
        """Note that the owner holds the mailbox. Raises TokenInvalid when the account's address is another one by now."""
        if not await user.set_email_verified(user_id, email_key, self._clock.now_ms()):
            raise TokenInvalid("the account has another address by now", field=["token"])
        await self._states.changed(user_id)
        await self._audit.record(user_id, AuditAction.EMAIL_VERIFIED, client=client, actor=AuditActor.MAIL_LINK)

    async def change_email(self, viewer: Viewer, email: str, client: Client) -> UserDocument:
        """Ask the new address to prove itself; the present one stays until then. Raises EmailInvalid, RateLimited."""
        address = parse_email(email)
        await self._throttles.of_owner(MAIL_REQUEST, client, viewer.user_id)
        await user.set_pending_email(viewer.user_id, email=address.text, email_key=address.key)
        await self._audit.record(viewer.user_id, AuditAction.EMAIL_CHANGE_ASKED, client=client)
        await self._mailbox.send(MailKind.CHANGE_EMAIL, user_id=viewer.user_id, to=address.text, email_key=address.key)
        await self._mailbox.send(MailKind.EMAIL_CHANGE_ASKED, user_id=viewer.user_id, ip=client.address)
        return await self.of(viewer)

    async def forget_pending_email(self, user_id: str) -> None:
        """A change of address that was asked for before must not outlive what its owner does against an intruder."""
        await user.clear_pending_email(user_id)
        await one_time_token.forget(user_id, TokenPurpose.CHANGE_EMAIL)

    async def update_profile(self, viewer: Viewer, changes: dict[str, str | None], client: Client) -> UserDocument:
        """Change `display_name`, `locale`, `quote_asset`, `anti_phishing_code`, as far as they are given. Raises AuthRefused."""
        await self._throttles.of_owner(CHANGE, client, viewer.user_id)
        checked: dict[str, str | None] = {}
        for name, value in changes.items():
            checked[name] = self._checked(name, value)
        if checked:
            await user.set_profile(viewer.user_id, checked, self._clock.now_ms())
            await self._states.changed(viewer.user_id)
            fields = ", ".join(sorted(checked))
            await self._audit.record(
                viewer.user_id, AuditAction.PROFILE_CHANGED, client=client, detail={"fields": fields}
            )
        return await self.of(viewer)

    async def delete(self, viewer: Viewer, client: Client) -> None:
        """End the account: sessions, keys, factors and what identifies the person go; its history stays (docs/security.md)."""
        person = await self.of(viewer)
        await self._audit.record(person.id, AuditAction.DELETED, client=client)
        if person.email is not None:
            await self._mailbox.send(
                MailKind.ACCOUNT_DELETED, user_id=person.id, to=person.email, locale=person.locale, ip=client.address
            )
        await user.erase(person.id, self._clock.now_ms())
        await self._states.changed(person.id)
        await self._sessions.end_all(person.id, "the account was deleted")
        await self._api_keys.end_all(person.id)
        await self._frozen.tell(person.id)
        await passkey.delete_all(person.id)
        await identity.delete_all(person.id)
        await wallet.delete_all(person.id)
        await broadcast.delete_all(person.id)
        await prepared_transaction.delete_all(person.id)
        await swap.delete_all(person.id)
        await self._devices.forget_all(person.id)
        for purpose in TokenPurpose:
            await one_time_token.forget(person.id, purpose)

    async def of(self, viewer: Viewer) -> UserDocument:
        """The viewer's own account. Raises UnknownObject when it is gone."""
        person = await user.by_id(viewer.user_id)
        if person is None:
            raise UnknownObject("the account is deleted")
        return person

    async def _make_room(self, person: UserDocument, email_key: str, reason: str, client: Client) -> None:
        """End another account that holds the address this person is to have, if it has never proven it."""
        holder = await user.by_email_key(email_key)
        if holder is None or holder.id == person.id:
            return
        if await user.erase(holder.id, self._clock.now_ms(), only_unverified=True):
            await self._states.changed(holder.id)
            await self._sessions.end_all(holder.id, reason)
            await self._audit.record(
                holder.id, AuditAction.DELETED, client=client, actor=AuditActor.STRANGER, detail={"reason": reason}
            )

    async def _take_new_address(self, row: OneTimeTokenDocument, client: Client) -> None:
        person = await user.by_id(row.user_id)
        if person is None or person.pending_email_key != row.email_key:
            raise TokenInvalid("another address was asked for meanwhile", field=["token"])
        await self._make_room(person, row.email_key, "the address was proven by somebody else", client)
        if not await user.set_email(person, now_ms=self._clock.now_ms(), held_until_ms=self._holds.until_ms()):
            raise TokenInvalid("this address cannot be used for this account", field=["token"])
        await self._states.changed(person.id)
        for purpose in (TokenPurpose.RESET_PASSWORD, TokenPurpose.VERIFY_EMAIL):
            await one_time_token.forget(person.id, purpose)
        await self._audit.record(person.id, AuditAction.EMAIL_CHANGED, client=client, actor=AuditActor.MAIL_LINK)
        if person.email is not None:
            await self._mailbox.send(MailKind.EMAIL_CHANGED, user_id=person.id, to=person.email, ip=client.address)

    def _checked(self, name: str, value: str | None) -> str | None:
        match name:
            case "display_name":
                return checked_name(value, field=["displayName"]) if value else None
            case "anti_phishing_code":
                if value and (len(value) > LONGEST_ANTI_PHISHING_CODE or not value.isprintable()):
                    raise _unknown("expected at most {most} characters that can be seen", "antiPhishingCode")
                return value.strip() or None if value else None
            case "locale":
                return _known_locale(value or "")
            case _:
                if value not in self._quote_assets:
                    raise _unknown("expected one of {choices}", "quoteAsset", ", ".join(sorted(self._quote_assets)))
                return value


def _known_locale(locale: str) -> str:
    if locale not in LOCALES:
        raise _unknown("expected one of {choices}", "locale", ", ".join(LOCALES))
    return locale


def _unknown(text: str, field: str, choices: str = "") -> AuthRefused:
    return UnknownObject(text, {"choices": choices, "most": LONGEST_ANTI_PHISHING_CODE}, field=[field])
