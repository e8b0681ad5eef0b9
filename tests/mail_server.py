"""A mail server for tests: it keeps what it takes, and answers as a test says."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

WAIT_SECONDS = 30.0
_TAKEN = "250 OK"


@dataclass(frozen=True)
class ReceivedMail:
    """A mail as it arrived."""

    sender: str
    recipient: str
    message: EmailMessage
    encrypted: bool
    username: str | None

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """Its text version."""
        return _part(self.message, "plain")

    @property
    def html(self) -> str:
        """Its HTML version."""
        return _part(self.message, "html")

    def token(self, page: str) -> str:
        """The token of its link to this page, such as `verify-email`."""
        found = re.search(rf"/{page}#token=(\S+)", self.text)
        assert found is not None, f"no link to {page}"
        return found[1]

    def has_link(self, page: str) -> bool:
        """Whether it has a link to this page."""
        return f"/{page}#token=" in self.text


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


class MailServer:
    """Listens on a free port of this machine. Set `rcpt_replies`, `data_reply` and `open` at any time."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        tls_from_start: bool = False,
        utf8: bool = True,
        password: str | None = None,
    ) -> None:
        """With `tls`, STARTTLS is offered, or everything is encrypted. With `password`, a log-in is offered and must have it."""
        self.received: list[ReceivedMail] = []
        self.rcpt_replies: dict[str, str] = {}
        self.data_reply = _TAKEN
        self.open = asyncio.Event()
        """While it is not set, nothing is answered to the content of a mail."""
        self.open.set()
        self.connections = 0
        self.holding = 0
        """Mails whose content was received and is not answered yet."""
        self.passwords: list[bytes] = []
        self.port = 0
        self._tls = tls
        self._tls_from_start = tls_from_start
        self._utf8 = utf8
        self._password = password
        self._arrived = asyncio.Condition()

    def url(self, host: str = "127.0.0.1", credentials: str = "") -> str:
        """Its address, for SMTP_URL; `credentials` are `user:password@`."""
        return f"{'smtps' if self._tls_from_start else 'smtp'}://{credentials}{host}:{self.port}"

    def to(self, recipient: str) -> list[ReceivedMail]:
        """What it took for this address."""
        return [mail for mail in self.received if mail.recipient == recipient]

    async def mail_to(self, recipient: str, *, number: int = 1) -> ReceivedMail:
        """The first, second, … mail to this address, as soon as it is there."""
        async with asyncio.timeout(WAIT_SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.to(recipient)) >= number)
        return self.to(recipient)[number - 1]

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["MailServer"]:
        """Open for as long as the block runs."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self._protocol, "127.0.0.1", port, ssl=self._tls if self._tls_from_start else None
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.open.set()

    def _protocol(self) -> SMTP:
        self.connections += 1
        return SMTP(
            self,
            enable_SMTPUTF8=self._utf8,
            hostname="mail.test",
            tls_context=None if self._tls_from_start else self._tls,
            authenticator=self._authenticate if self._password is not None else None,
            auth_require_tls=False,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.passwords.append(data.password)
        succeeds = data.password.decode() == self._password
        return AuthResult(success=succeeds, handled=False, auth_data=data.login)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.rcpt_replies.get(address, _TAKEN)
        if reply == _TAKEN:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.holding += 1
        try:
            await self.open.wait()
        finally:
            self.holding -= 1
        if self.data_reply != _TAKEN:
            return self.data_reply
        assert isinstance(envelope.content, bytes)
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(envelope.content)
        login = session.auth_data
        async with self._arrived:
            for recipient in envelope.rcpt_tos:
                self.received.append(
                    ReceivedMail(
                        sender=envelope.mail_from or "",
                        recipient=recipient,
                        message=message,
                        encrypted=self._tls_from_start or session.ssl is not None,
                        username=login.decode() if isinstance(login, bytes) else None,
                    )
                )
            self._arrived.notify_all()
        return _TAKEN
