"""What became true of an account: the messages that make every process act on it at once.

They are hints. The truth is in the database, which every process reconciles with (services/authority.py), so a lost one delays, no more.
"""

from dataclasses import dataclass

AUTHORITY_TOPIC = "authority"
"""SessionsEnded, ApiKeyChanged, AccountChanged: of all accounts, for every process that serves them."""
MAIL_TOPIC = "mail"
"""MailQueued, for the worker that sends."""


def account_topic(user_id: str) -> str:
    """Where the events of one account are published, for its owner's streams."""
    return f"account.{user_id}"


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """These sessions of a person have ended, and with them everything that runs on their authority."""

    user_id: str
    session_ids: tuple[str, ...]
    time_ms: int


@dataclass(frozen=True, slots=True)
class ApiKeyChanged:
    """A key was made, changed or ended."""

    key_id: str
    prefix: str
    ended: bool


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Role, status, verification or language of a person changed."""

    user_id: str
    version: int


@dataclass(frozen=True, slots=True)
class AuditAppended:
    """The account's audit log reaches to this row now."""

    user_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class MailQueued:
    """A mail waits in the outbox."""

    mail_id: str
