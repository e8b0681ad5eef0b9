"""The mailbox: where the other services hand in mail. It is sent by whoever runs the mail worker (services/mail_delivery.py)."""

from pymongo.asynchronous.client_session import AsyncClientSession

from core.bus import Bus
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MAIL_REQUESTS, MailFact, MailKind
from events.account import MAIL_TOPIC, MailQueued
from models import mail
from models.mail import MailDocument

MOST_FACT_CHARACTERS = 500
"""A fact may come from a stranger, such as the name of a device; so much of it is kept."""
_FACTS = frozenset(MailFact)


class Mailbox:
    """Accepts mail."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def send(
        self,
        kind: MailKind,
        *,
        user_id: str | None = None,
        email_key: str | None = None,
        to: str | None = None,
        **facts: str | None,
    ) -> None:
        """Accept a mail: one row, durable once this returns. `facts` are named by MailFact; None and nothing are left out.

        What a stranger may ask for (SIGN_UP, VERIFY_EMAIL, PASSWORD_RESET) is given `email_key` alone: the worker looks whether there is
        such an account, so that known and unknown addresses are the same work here. CHANGE_EMAIL takes the new address as `to` and its
        key as `email_key`. Notices take `user_id`, and `to` for an address that is not the account's any more.
        """
        row = self.written(kind, user_id=user_id, email_key=email_key, to=to, **facts)
        await mail.insert(row)
        self.announce(row)

    def written(
        self,
        kind: MailKind,
        *,
        user_id: str | None = None,
        email_key: str | None = None,
        to: str | None = None,
        **facts: str | None,
    ) -> MailDocument:
        """A mail as `send` makes it, not accepted yet: for `accept` in the transaction of what it tells of, and `announce` after that."""
        _check(kind, user_id, email_key, to, facts)
        now_ms = self._clock.now_ms()
        return MailDocument(
            id=random_id(),
            kind=kind,
            user_id=user_id,
            email_key=email_key,
            to=to,
            facts={name: value[:MOST_FACT_CHARACTERS] for name, value in facts.items() if value},
            created_ms=now_ms,
            next_ms=now_ms,
        )

    async def accept(self, row: MailDocument, session: AsyncClientSession) -> bool:
        """Accept a mail together with all else that this transaction does. True: it is a part of a change that may go on."""
        await mail.insert(row, session)
        return True

    def announce(self, row: MailDocument) -> None:
        """Let it be sent at once; without that it is found a little later."""
        self._bus.publish(MAIL_TOPIC, MailQueued(row.id))


def _check(
    kind: MailKind, user_id: str | None, email_key: str | None, to: str | None, facts: dict[str, str | None]
) -> None:
    """Raise ValueError for a mail that nobody could ever deliver: a mistake of the caller."""
    unknown = set(facts) - _FACTS
    if unknown:
        raise ValueError(f"no fact of a mail is called {', '.join(sorted(unknown))}; there are: {', '.join(MailFact)}")
    if kind is MailKind.CHANGE_EMAIL:
        if user_id is None or email_key is None or to is None:
            raise ValueError("CHANGE_EMAIL needs the account, the new address, and its key")
    elif kind in MAIL_REQUESTS:
        if email_key is None or user_id is not None or to is not None:
            raise ValueError(f"{kind} takes a key of an address, and nothing that was looked up for it")
    elif user_id is None:
        raise ValueError(f"{kind} needs an account")
