"""Over SendGrid: what it is sent, and which of its answers are for good."""

from collections.abc import AsyncIterator

import pytest

from integrations.mail.base import MailRefused, MailUnavailable
from integrations.mail.sendgrid import SendGridProvider
from tests.components import free_port
from tests.integrations.feeds.venues.web import HttpVenue, Reply
from tests.integrations.mail.mails import ANNA, mail

KEY = "SG.key"


@pytest.fixture
async def sendgrid() -> AsyncIterator[HttpVenue]:
    async with HttpVenue(lambda request: Reply(b"", status=202)).listening() as venue:
        yield venue


async def test_the_request_is_as_documented(sendgrid: HttpVenue) -> None:
    provider = SendGridProvider(KEY, sendgrid.url)
    sent = mail()
    await provider.send(sent)
    await provider.close()
    (request,) = sendgrid.requests
    assert (request.method, request.path) == ("POST", "/v3/mail/send")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {
        "personalizations": [{"to": [{"email": ANNA}]}],
        "from": {"email": "no-reply@cryptovault.example", "name": "CryptoVault Zürich"},
        "subject": sent.subject,
        "content": [{"type": "text/plain", "value": sent.text}, {"type": "text/html", "value": sent.html}],
        "headers": {"Message-ID": sent.message_id, "Auto-Submitted": "auto-generated"},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }


async def test_a_sender_without_a_name(sendgrid: HttpVenue) -> None:
    provider = SendGridProvider(KEY, sendgrid.url)
    await provider.send(mail(sender="no-reply@cryptovault.example"))
    await provider.close()
    body = sendgrid.requests[0].body
    assert isinstance(body, dict)
    assert body["from"] == {"email": "no-reply@cryptovault.example"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, MailRefused),
        (413, MailRefused),
        (200, MailUnavailable),
        (301, MailUnavailable),
        (401, MailUnavailable),
        (403, MailUnavailable),
        (404, MailUnavailable),
        (429, MailUnavailable),
        (500, MailUnavailable),
        (503, MailUnavailable),
    ],
)
async def test_answers(sendgrid: HttpVenue, status: int, error: type[Exception]) -> None:
    sendgrid.answer = lambda request: Reply({"errors": [{"message": f"{ANNA} {KEY}"}]}, status=status)
    provider = SendGridProvider(KEY, sendgrid.url)
    with pytest.raises(error, match=str(status)) as raised:
        await provider.send(mail())
    assert ANNA not in str(raised.value)
    await provider.close()
    assert len(sendgrid.requests) == 1


async def test_an_endless_answer_is_not_read(sendgrid: HttpVenue) -> None:
    sendgrid.answer = lambda request: Reply(b"x" * 2**22, status=500)
    provider = SendGridProvider(KEY, sendgrid.url)
    with pytest.raises(MailUnavailable, match="500"):
        await provider.send(mail())
    await provider.close()


async def test_no_answer(sendgrid: HttpVenue) -> None:
    sendgrid.answer = lambda request: Reply(silent=True)
    slow = SendGridProvider(KEY, sendgrid.url, timeout_seconds=0.1)
    with pytest.raises(MailUnavailable, match="in time"):
        await slow.send(mail())
    await slow.close()
    absent = SendGridProvider(KEY, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MailUnavailable, match="reached"):
        await absent.send(mail())
    await absent.close()


async def test_an_address_that_cannot_be_written_is_not_sent(sendgrid: HttpVenue) -> None:
    provider = SendGridProvider(KEY, sendgrid.url)
    with pytest.raises(MailRefused):
        await provider.send(mail("anna@example.com\r\nx"))
    await provider.close()
    assert not sendgrid.requests
