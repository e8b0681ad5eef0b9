"""Life of a queued mail: it is written, claimed, handed to the provider, and ended.

A mail is sent at least once. It is claimed in the database before it is handed over, so a crash (or a database that no longer takes
writes) means that it is tried again later, with the same Message-ID and the same links, not that it is lost or sent in a loop.

Links: a token is derived from the mail's random id under the server's key, so it need not be kept for the next try. It counts from when
the mail was asked for. Whoever asks twice gets two mails, and both links work until one is used or they expire. What a link was for may
be over when a mail can finally be sent (expired, used, the password changed since): then it is dropped, and no used link comes to life
again. The freeze link stands in every notice about an account that can be frozen, and never in a mail to an unproven address.
"""

import random
import traceback
from dataclasses import dataclass

import structlog
from pymongo.errors import PyMongoError

from core.account_vocabulary import UserStatus
from core.clock import Clock, to_datetime
from core.mail_vocabulary import MAIL_REQUESTS, MailFact, MailKind, MailState
from core.secret_box import SecretBox
from core.translations import DEFAULT_LOCALE
from integrations.mail.base import Mail, MailProvider, MailRefused, MailUnavailable, name_and_address
from models import mail as outbox
from models import one_time_token, user
from models.mail import MailDocument
from models.user import UserDocument
from services import one_time_tokens
from services.mail_content import SIGN_UP_AGAIN, Letter, Link, MailContent
from services.one_time_tokens import LIFE_MS, TokenExpired, TokenInvalid, TokenPurpose, stored_token

log = structlog.get_logger(__name__)

CLAIM_MS = 90_000
"""For so long a claimed mail is left to its claimer; longer than any provider takes."""
FIRST_RETRY_MS = 30_000
LONGEST_RETRY_MS = 3_600_000
MOST_ATTEMPTS = 55
"""The delays between them add up to 48 hours."""
PUT_OFF_MS = 600_000
"""When a mail that could not even be written is looked at again."""
USEFUL_MS = 300_000
"""A link that ends sooner than this is not sent any more."""
KEPT_MS = 30 * 86_400_000

_ACTIONS = {
    MailKind.SIGN_UP: (TokenPurpose.VERIFY_EMAIL, "verify-email"),
    MailKind.VERIFY_EMAIL: (TokenPurpose.VERIFY_EMAIL, "verify-email"),
    MailKind.CHANGE_EMAIL: (TokenPurpose.CHANGE_EMAIL, "verify-email"),
    MailKind.PASSWORD_RESET: (TokenPurpose.RESET_PASSWORD, "reset-password"),
    MailKind.WITHDRAWAL_CONFIRM: (TokenPurpose.CONFIRM_WITHDRAWAL, "confirm-withdrawal"),
}
_FREEZABLE = (frozenset(MailKind) - MAIL_REQUESTS - {MailKind.ACCOUNT_SUSPENDED, MailKind.ACCOUNT_DELETED}) | {
    MailKind.PASSWORD_RESET
}


class _Dropped(Exception):
    """Nobody to write to, or nothing to say any more."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who a mail goes to. `person` is None when the account is gone."""

    address: str
    email_key: str
    person: UserDocument | None


class MailDelivery:
    """Sends what is in the outbox."""

    def __init__(
        self,
        *,
        provider: MailProvider,
        box: SecretBox,
        clock: Clock,
        content: MailContent,
        sender: str,
        pages_url: str,
        randomness: random.Random | None = None,
    ) -> None:
        """`sender` is `Name <address>`; the pages of links are `/verify-email`, `/reset-password`, `/confirm-withdrawal` and `/freeze` below `pages_url`.

        Raises:
            MailRefused: when the sender is no address.
        """
        self._provider = provider
        self._box = box
        self._clock = clock
        self._content = content
        self._sender = sender
        self._domain = name_and_address(sender)[1].rpartition("@")[2]
        self._pages_url = pages_url.rstrip("/")
        self._randomness = randomness or random.Random()

    async def due(self, most: int) -> list[str]:
        """Ids of mails to be sent now, at most so many."""
        return await outbox.due_ids(self._clock.now_ms(), most)

    async def deliver(self, mail_id: str) -> None:
        """Try to send a mail if it is due and nobody else does. Raises PyMongoError: then nothing was sent, or it will be sent again."""
        try:
            await self._deliver(mail_id)
        except PyMongoError:
            raise
        except Exception as error:  # noqa: BLE001 - a broken mail must not hold up the others; the text may hold an address
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("mail.broken", mail_id=mail_id, error=type(error).__name__, at=f"{place.filename}:{place.lineno}")
            next_ms = self._clock.now_ms() + PUT_OFF_MS
            await outbox.put_off(mail_id, next_ms=next_ms, error=f"could not be written: {type(error).__name__}")

    async def _deliver(self, mail_id: str) -> None:
        row = await outbox.by_id(mail_id)
        now_ms = self._clock.now_ms()
        if row is None or row.next_ms is None or row.next_ms > now_ms:
            return
        try:
            mail = await self._written(row)
        except _Dropped as reason:
            await self._end(row, MailState.DROPPED, str(reason))
            return
        if await outbox.claim(row, until_ms=now_ms + CLAIM_MS):
            await self._send(row, mail)

    async def _send(self, row: MailDocument, mail: Mail) -> None:
        attempts = row.attempts + 1
        try:
            await self._provider.send(mail)
        except MailRefused as error:
            await self._end(row, MailState.FAILED, str(error))
        except MailUnavailable as error:
            if attempts >= MOST_ATTEMPTS:
                await self._end(row, MailState.FAILED, f"tried for too long; at last, {error}")
                return
            delay_ms = self._delay_ms(attempts)
            next_ms = self._clock.now_ms() + delay_ms
            await outbox.retry(row.id, attempts=attempts, next_ms=next_ms, error=str(error))
            log.warning("mail.later", mail_id=row.id, attempts=attempts, delay_ms=delay_ms, reason=str(error))
        else:
            await self._end(row, MailState.SENT)

    def _delay_ms(self, attempts: int) -> int:
        step = min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempts - 1))
        delay: float = step * self._randomness.uniform(0.75, 1.25)
        return round(delay)

    async def _end(self, row: MailDocument, state: MailState, reason: str | None = None) -> None:
        purge_at = to_datetime(self._clock.now_ms() + KEPT_MS)
        await outbox.finish(row.id, state, purge_at=purge_at, error=reason)
        if state is MailState.FAILED:
            log.error("mail.failed", mail_id=row.id, kind=row.kind, reason=reason)
        else:
            log.info("mail.ended", mail_id=row.id, kind=row.kind, state=state, reason=reason)

    async def _written(self, row: MailDocument) -> Mail:
        """The mail as it goes out; what its links stand for is stored. Raises _Dropped."""
        reader = await _reader(row)
        person = reader.person
        text = _text(row, person)
        letter = Letter(
            text=text,
            locale=person.locale if person else row.facts.get(MailFact.LOCALE, DEFAULT_LOCALE),
            time_ms=row.created_ms,
            facts=row.facts,
            code=person.anti_phishing_code if person else None,
            action=await self._action(row, reader) if text != SIGN_UP_AGAIN else None,
            freeze_url=await self._freeze_url(row, reader),
        )
        content = self._content.render(letter)
        return Mail(
            message_id=f"<{row.id}@{self._domain}>",
            time_ms=row.created_ms,
            sender=self._sender,
            to=reader.address,
            subject=content.subject,
            text=content.text,
            html=content.html,
        )

    async def _action(self, row: MailDocument, reader: _Reader) -> Link | None:
        """The link that does what the mail was asked for. Raises _Dropped when that is over."""
        person = reader.person
        if person is None or row.kind not in _ACTIONS:
            return None
        purpose, page = _ACTIONS[row.kind]
        expires_ms = row.created_ms + LIFE_MS[purpose]
        if self._clock.now_ms() + USEFUL_MS > expires_ms:
            raise _Dropped("its link has expired")
        if purpose is TokenPurpose.RESET_PASSWORD and (person.password_changed_ms or 0) > row.created_ms:
            raise _Dropped("the password was changed since")
        if purpose is TokenPurpose.CHANGE_EMAIL and person.pending_email_key != row.email_key:
            raise _Dropped("another address was asked for since, or none")
        token = self._token(row, purpose)
        if row.attempts == 0:
            await self._put(token, purpose, row, reader)
        elif not await self._can_be_used(token, purpose):
            raise _Dropped("its link was used, or is no longer valid")
        return Link(f"{self._pages_url}/{page}#token={token}", expires_ms)

    async def _freeze_url(self, row: MailDocument, reader: _Reader) -> str | None:
        if reader.person is None or row.kind not in _FREEZABLE:
            return None
        token = self._token(row, TokenPurpose.FREEZE)
        await self._put(token, TokenPurpose.FREEZE, row, reader)
        return f"{self._pages_url}/freeze#token={token}"

    def _token(self, row: MailDocument, purpose: TokenPurpose) -> str:
        """A token of this mail: 256 bits that only this server can make, the same for every try."""
        return self._box.digest(row.id.encode(), f"mail-token:{purpose}").partition(".")[2]

    async def _put(self, token: str, purpose: TokenPurpose, row: MailDocument, reader: _Reader) -> None:
        if reader.person is not None:
            document = stored_token(
                token,
                purpose,
                user_id=reader.person.id,
                email_key=reader.email_key,
                now_ms=row.created_ms,
                subject=row.facts.get(MailFact.WITHDRAWAL),
            )
            await one_time_token.put([document])

    async def _can_be_used(self, token: str, purpose: TokenPurpose) -> bool:
        try:
            await one_time_tokens.find(token, purpose, clock=self._clock)
        except (TokenInvalid, TokenExpired):
            return False
        return True


async def _reader(row: MailDocument) -> _Reader:
    """Who a mail goes to. Raises _Dropped when there is nobody."""
    person = await _person(row)
    if row.to is not None and (person is not None or row.kind not in MAIL_REQUESTS):
        return _Reader(row.to, row.email_key or row.to.casefold(), person)
    if person is None:
        raise _Dropped("there is no such account")
    if person.email is None or person.email_key is None:
        raise _Dropped("the account has no address")
    return _Reader(person.email, person.email_key, person)


async def _person(row: MailDocument) -> UserDocument | None:
    """The account a mail is about; None when there is none, or it was deleted."""
    if row.user_id is not None:
        person = await user.by_id(row.user_id)
    elif row.email_key is not None:
        person = await user.by_email_key(row.email_key)
    else:
        return None
    return None if person is None or person.status is UserStatus.DELETED else person


def _text(row: MailDocument, person: UserDocument | None) -> str:
    """Which text a mail has. Raises _Dropped when there is nothing left to ask for."""
    is_verified = person is not None and person.email_verified_ms is not None
    if row.kind is MailKind.SIGN_UP and is_verified:
        return SIGN_UP_AGAIN
    if row.kind is MailKind.VERIFY_EMAIL and is_verified:
        raise _Dropped("the address is verified already")
    return row.kind
