"""The provider that a configuration asks for."""

import sys

from core.settings import Settings
from integrations.mail.base import MailProvider
from integrations.mail.console import ConsoleProvider
from integrations.mail.sendgrid import SendGridProvider
from integrations.mail.smtp import SmtpProvider


class MailMisconfigured(ValueError):
    """A provider is asked for that lacks what it needs; the message names the setting."""


def build_provider(settings: Settings) -> MailProvider:
    """Whoever EMAIL_PROVIDER names. Nothing is opened before the first mail. Raises MailMisconfigured."""
    match settings.email_provider:
        case "console":
            return ConsoleProvider(sys.stdout)
        case "smtp" if settings.smtp_url is not None:
            return SmtpProvider(settings.smtp_url.get_secret_value())
        case "sendgrid" if settings.sendgrid_api_key is not None:
            return SendGridProvider(settings.sendgrid_api_key.get_secret_value(), settings.sendgrid_url)
        case "smtp":
            raise MailMisconfigured("SMTP_URL is not set; EMAIL_PROVIDER is smtp, which needs it")
        case "sendgrid":
            raise MailMisconfigured("SENDGRID_API_KEY is not set; EMAIL_PROVIDER is sendgrid, which needs it")
