"""The protocol of those who deliver mail, and what they have in common.

A provider tries once and within seconds; who tries again, and when, is the outbox's business. Errors are in our own words: what a server
says often repeats the address.
"""

from dataclasses import dataclass
from email.utils import parseaddr
from typing import Protocol

STANDING_HEADERS = {"Auto-Submitted": "auto-generated"}
"""Of every mail: nobody's absence assistant answers it (RFC 3834)."""
_NOT_BARE = frozenset(' <>(),;:"\\[]')


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready to be sent. `message_id` has its angle brackets, `sender` is `Name <address>`, `time_ms` is when it was written."""

    message_id: str
    time_ms: int
    sender: str
    to: str
    subject: str
    text: str
    html: str


class MailRefused(Exception):
    """This mail will never be taken."""


class MailUnavailable(Exception):
    """Nobody took the mail this time; another try may do."""


class MailProvider(Protocol):
    """One way to deliver mail."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over; it was taken when this returns. Raises MailRefused, MailUnavailable."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


def ascii_address(address: str) -> str:
    """A bare address with its domain in ASCII (IDNA), which every server understands. Raises MailRefused."""
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise MailRefused("the domain of the address cannot be written in ASCII") from None
    if not (local and ascii_domain) or any(not letter.isprintable() or letter in _NOT_BARE for letter in address):
        raise MailRefused("the address cannot be written in a mail")
    return f"{local}@{ascii_domain}"


def name_and_address(sender: str) -> tuple[str, str]:
    """The parts of `Name <address>`; the name may be empty. Raises MailRefused."""
    name, address = parseaddr(sender)
    return name, ascii_address(address)
