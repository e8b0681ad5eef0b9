"""Mail over SMTP (RFC 5321), a connection for each mail.

`smtps://` encrypts from the first byte (port 465 unless given), `smtp://` by STARTTLS when the server offers it (587). Without
credentials a server that offers none is spoken to in the clear; with credentials encryption is required before they are sent. A server
on this very machine may do without, and its certificate is not checked. Addresses with letters beyond ASCII before the `@` need a server
that speaks SMTPUTF8 (RFC 6531); to another one such a mail is refused for good.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from core.clock import to_datetime
from integrations.mail.base import STANDING_HEADERS, Mail, MailRefused, MailUnavailable, ascii_address, name_and_address

STEP_SECONDS = 15.0
"""Limit of each answer of the server."""
TOTAL_SECONDS = 45.0
"""Limit of a whole mail."""
_QUIT_SECONDS = 2.0
_NOT_SIGNED_IN = frozenset({530, 534, 535, 538})
_POLICY = "5.7."
"""Enhanced status (RFC 3463) of what the server does not let us do."""


@dataclass(frozen=True, slots=True)
class _Server:
    """Where the mail server is, and how it is spoken to."""

    host: str
    port: int
    username: str | None
    password: str | None
    encrypted: bool
    start_tls: bool | None
    """None: when it is offered."""
    is_local: bool


def _parse(url: str) -> _Server:
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    encrypted = parts.scheme == "smtps"
    is_local = _is_loopback(host)
    username = unquote(parts.username) if parts.username else None
    return _Server(
        host=host,
        port=parts.port or (465 if encrypted else 587),
        username=username,
        password=unquote(parts.password) if username and parts.password else None,
        encrypted=encrypted,
        start_tls=False if encrypted else True if username and not is_local else None,
        is_local=is_local,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SmtpProvider:
    """Hands mail to a mail server."""

    def __init__(self, url: str, *, step_seconds: float = STEP_SECONDS, total_seconds: float = TOTAL_SECONDS) -> None:
        """`url` is `smtp://user:password@host:port`, or the same with `smtps`; user and password percent-encoded."""
        self._server = _parse(url)
        self._step_seconds = step_seconds
        self._total_seconds = total_seconds

    async def send(self, mail: Mail) -> None:
        message = as_message(mail)
        (_, sender), recipient = name_and_address(mail.sender), ascii_address(mail.to)
        client = self._client(sender)
        try:
            async with asyncio.timeout(self._total_seconds):
                await client.connect()
                await client.send_message(message, sender=sender, recipients=[recipient])
            await _quit(client)
        except SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _failure("the recipient", refused.code, refused.message) from None
        except SMTPDataError as error:
            raise _failure("the content", error.code, error.message) from None
        except SMTPNotSupported:
            raise MailRefused("the mail server takes no addresses with letters beyond ASCII") from None
        except SMTPResponseException as error:
            raise MailUnavailable(f"the mail server refused us with {error.code}") from None
        except TimeoutError:
            raise MailUnavailable("the mail server did not answer in time") from None
        except (SMTPException, OSError) as error:
            raise MailUnavailable(f"the mail server cannot be used ({type(error).__name__})") from None
        finally:
            client.close()

    async def close(self) -> None:
        """Nothing stays open between two mails."""

    def _client(self, sender: str) -> SMTP:
        server = self._server
        return SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=sender.rpartition("@")[2],
            timeout=self._step_seconds,
            use_tls=server.encrypted,
            start_tls=server.start_tls,
            validate_certs=not server.is_local,
        )


def as_message(mail: Mail) -> EmailMessage:
    """The mail in Internet message format: text, and HTML for those who want it. Raises MailRefused."""
    name, address = name_and_address(mail.sender)
    message = EmailMessage(policy=SMTP_POLICY)
    try:
        message["From"] = _header(name, address)
        message["To"] = _header("", ascii_address(mail.to))
        message["Subject"] = mail.subject
    except (MessageError, ValueError):
        raise MailRefused("the address or the subject cannot be written in a mail") from None
    message["Date"] = format_datetime(to_datetime(mail.time_ms))
    message["Message-ID"] = mail.message_id
    for name, value in STANDING_HEADERS.items():
        message[name] = value
    message.set_content(mail.text, cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def _header(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, username=local, domain=domain)


def _failure(what: str, code: int, message: str) -> MailRefused | MailUnavailable:
    """Whether an answer to the recipient or the content is for good. The answer itself is not repeated."""
    ours = code in _NOT_SIGNED_IN or message.lstrip().startswith(_POLICY)
    reason = f"the mail server refused {what} with {code}"
    return MailRefused(reason) if code >= 500 and not ours else MailUnavailable(reason)


async def _quit(client: SMTP) -> None:
    """Take leave; the mail was taken, whatever comes of this."""
    with contextlib.suppress(SMTPException, OSError):
        async with asyncio.timeout(_QUIT_SECONDS):
            await client.quit()
