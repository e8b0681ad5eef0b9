"""Over SMTP: what arrives, which answers are for good, and when credentials are kept back."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from core.clock import to_datetime
from integrations.mail.base import MailRefused, MailUnavailable
from integrations.mail.smtp import SmtpProvider
from tests.components import free_port
from tests.integrations.mail.certificates import self_signed
from tests.integrations.mail.mails import ANNA, mail
from tests.mail_server import MailServer

ANYWHERE = "0.0.0.0"  # noqa: S104
"""Reaches this machine, and is no loopback address."""
CREDENTIALS = "vault:s%40cret@"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer().listening() as server:
        yield server


async def test_a_mail_arrives_as_text_and_html(server: MailServer) -> None:
    sent = mail()
    await SmtpProvider(server.url()).send(sent)
    arrived = await server.mail_to(ANNA)
    assert arrived.sender == "no-reply@cryptovault.example"
    assert arrived.message["From"] == "CryptoVault Zürich <no-reply@cryptovault.example>"
    assert arrived.message["To"] == ANNA
    assert arrived.message["Message-ID"] == sent.message_id
    assert arrived.message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(arrived.message["Date"]) == to_datetime(sent.time_ms).replace(microsecond=0)
    assert arrived.message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in arrived.message.iter_parts()] == ["text/plain", "text/html"]
    assert {part["Content-Transfer-Encoding"] for part in arrived.message.iter_parts()} == {"quoted-printable"}
    assert (arrived.subject, arrived.text, arrived.html.strip()) == (sent.subject, sent.text, sent.html)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("550 5.1.1 no such user anna@example.com", MailRefused),
        ("553 anna@example.com is not allowed", MailRefused),
        ("554 5.7.1 <anna@example.com>: Relay access denied", MailUnavailable),
        ("530 Authentication required", MailUnavailable),
        ("450 4.2.1 anna@example.com is greylisted", MailUnavailable),
        ("451 try again", MailUnavailable),
        ("421 closing down", MailUnavailable),
    ],
)
async def test_what_is_said_of_the_recipient(server: MailServer, reply: str, error: type[Exception]) -> None:
    server.rcpt_replies[ANNA] = reply
    with pytest.raises(error, match=reply[:3]) as raised:
        await SmtpProvider(server.url()).send(mail())
    assert ANNA not in str(raised.value)
    assert not server.received


@pytest.mark.parametrize(
    ("reply", "error"),
    [("554 5.6.0 spam", MailRefused), ("552 too big", MailRefused), ("451 disk full", MailUnavailable)],
)
async def test_what_is_said_of_the_content(server: MailServer, reply: str, error: type[Exception]) -> None:
    server.data_reply = reply
    with pytest.raises(error, match=f"the content with {reply[:3]}"):
        await SmtpProvider(server.url()).send(mail())


async def test_a_server_that_stalls_is_left(server: MailServer) -> None:
    server.open.clear()
    with pytest.raises(MailUnavailable, match="in time"):
        await SmtpProvider(server.url(), step_seconds=0.1).send(mail())
    with pytest.raises(MailUnavailable, match="in time"):
        await SmtpProvider(server.url(), total_seconds=0.1).send(mail())


async def test_nobody_there() -> None:
    with pytest.raises(MailUnavailable, match="cannot be used"):
        await SmtpProvider(f"smtp://127.0.0.1:{free_port()}").send(mail())


@pytest.mark.parametrize("greeting", [b"", b"554 no\r\n", b"220 hello\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_somebody_else_there(greeting: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    stranger = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with stranger:
        port = stranger.sockets[0].getsockname()[1]
        with pytest.raises(MailUnavailable):
            await SmtpProvider(f"smtp://127.0.0.1:{port}", step_seconds=2.0).send(mail())


async def test_cancelled_while_it_sends_it_ends_at_once(server: MailServer) -> None:
    server.open.clear()
    sending = asyncio.create_task(SmtpProvider(server.url()).send(mail()))
    while not server.holding:
        await asyncio.sleep(0.005)
    sending.cancel()
    async with asyncio.timeout(8):
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_encryption_is_used_where_it_is_offered(tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path, "127.0.0.1")
    async with MailServer(tls=context).listening() as server:
        await SmtpProvider(server.url()).send(mail())
        assert (await server.mail_to(ANNA)).encrypted


async def test_credentials_over_encryption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, file = self_signed(tmp_path, ANYWHERE)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with MailServer(tls=context, password="s@cret").listening() as server:
        await SmtpProvider(server.url(ANYWHERE, CREDENTIALS)).send(mail())
        arrived = await server.mail_to(ANNA)
        assert (arrived.encrypted, arrived.username) == (True, "vault")


async def test_credentials_are_kept_back_without_encryption() -> None:
    async with MailServer(password="s@cret").listening() as server:
        with pytest.raises(MailUnavailable):
            await SmtpProvider(server.url(ANYWHERE, CREDENTIALS)).send(mail())
        assert server.connections == 1
        assert not server.passwords


@pytest.mark.parametrize("from_start", [False, True])
async def test_credentials_are_kept_back_from_an_unknown_server(tmp_path: Path, from_start: bool) -> None:
    context, _ = self_signed(tmp_path, ANYWHERE)
    async with MailServer(tls=context, tls_from_start=from_start, password="s@cret").listening() as server:
        with pytest.raises(MailUnavailable):
            await SmtpProvider(server.url(ANYWHERE, CREDENTIALS)).send(mail())
        assert not server.passwords


async def test_this_machine_may_do_without_encryption() -> None:
    async with MailServer(password="s@cret").listening() as server:
        await SmtpProvider(server.url(credentials=CREDENTIALS)).send(mail())
        assert (await server.mail_to(ANNA)).username == "vault"


async def test_encrypted_from_the_first_byte(tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path, "127.0.0.1")
    async with MailServer(tls=context, tls_from_start=True, password="s@cret").listening() as server:
        await SmtpProvider(server.url(credentials=CREDENTIALS)).send(mail())
        assert (await server.mail_to(ANNA)).encrypted


async def test_wrong_credentials_are_ours_to_mend() -> None:
    async with MailServer(password="another").listening() as server:
        with pytest.raises(MailUnavailable, match="535"):
            await SmtpProvider(server.url(credentials=CREDENTIALS)).send(mail())


async def test_a_domain_beyond_ascii_goes_to_every_server() -> None:
    async with MailServer(utf8=False).listening() as server:
        await SmtpProvider(server.url()).send(mail("anna@bücher.example"))
        arrived = await server.mail_to("anna@xn--bcher-kva.example")
        assert arrived.message["To"] == "anna@xn--bcher-kva.example"


async def test_a_mailbox_beyond_ascii_needs_a_server_that_takes_it(server: MailServer) -> None:
    await SmtpProvider(server.url()).send(mail("jörg@example.com"))
    assert (await server.mail_to("jörg@example.com")).subject == mail().subject
    async with MailServer(utf8=False).listening() as older:
        with pytest.raises(MailRefused, match="beyond ASCII"):
            await SmtpProvider(older.url()).send(mail("jörg@example.com"))


@pytest.mark.parametrize(
    "to",
    [
        "anna@example.com\r\nBcc: eve@example.com",
        "anna@example.com, eve@example.com",
        "anna@example.com> SIZE=1",
        "Anna <anna@example.com>",
        '"anna eve"@example.com',
        "anna",
        "@example.com",
        "anna@",
        "anna@" + "a" * 70 + ".example",
        "anna@exa..mple",
        "",
    ],
)
async def test_what_is_no_bare_address_is_refused_unsent(server: MailServer, to: str) -> None:
    with pytest.raises(MailRefused):
        await SmtpProvider(server.url()).send(mail(to))
    assert not server.connections


async def test_a_subject_of_two_lines_is_refused_unsent(server: MailServer) -> None:
    with pytest.raises(MailRefused):
        await SmtpProvider(server.url()).send(mail(subject="hello\r\nBcc: eve@example.com"))
    assert not server.connections
