"""Printed mail, and which provider a configuration gets."""

import io

import pytest
from pydantic import SecretStr

from core.settings import Settings
from integrations.mail.base import MailUnavailable
from integrations.mail.console import ConsoleProvider
from integrations.mail.registry import MailMisconfigured, build_provider
from integrations.mail.sendgrid import SendGridProvider
from integrations.mail.smtp import SmtpProvider
from tests.integrations.mail.mails import ANNA, mail


async def test_a_developer_finds_the_link() -> None:
    stream = io.StringIO()
    provider = ConsoleProvider(stream)
    await provider.send(mail())
    await provider.close()
    lines = stream.getvalue().splitlines()
    assert f"To:      {ANNA}" in lines
    assert "Subject: Bestätigen Sie Ihre Adresse" in lines
    assert f"https://cryptovault.example/account/verify-email#token={64 * '0'}" in lines
    assert lines[1] == lines[-1] == "─" * 72
    assert "<p>" not in stream.getvalue()


async def test_a_closed_stream_is_no_lost_mail() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(MailUnavailable):
        await ConsoleProvider(stream).send(mail())


async def test_the_provider_is_chosen_by_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    smtp = Settings(_env_file=None, email_provider="smtp", smtp_url=SecretStr("smtp://mail.example"))
    sendgrid = Settings(_env_file=None, email_provider="sendgrid", sendgrid_api_key=SecretStr("SG.key"))
    console = build_provider(Settings(_env_file=None))
    assert isinstance(console, ConsoleProvider)
    assert isinstance(build_provider(smtp), SmtpProvider)
    over_http = build_provider(sendgrid)
    assert isinstance(over_http, SendGridProvider)
    await over_http.close()
    await console.send(mail())
    assert ANNA in capsys.readouterr().out


@pytest.mark.parametrize(("provider", "variable"), [("smtp", "SMTP_URL"), ("sendgrid", "SENDGRID_API_KEY")])
def test_a_provider_without_what_it_needs(provider: str, variable: str) -> None:
    settings = Settings(_env_file=None).model_copy(update={"email_provider": provider})
    with pytest.raises(MailMisconfigured, match=variable):
        build_provider(settings)
