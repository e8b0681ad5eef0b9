"""A mail to be sent, and whatever a test wants to be different in it."""

from dataclasses import replace
from typing import Any

from integrations.mail.base import Mail

ANNA = "anna@example.com"


def mail(to: str = ANNA, **changes: Any) -> Mail:
    """A mail with letters beyond ASCII in every part."""
    return replace(
        Mail(
            message_id="<aB3_-x@cryptovault.example>",
            time_ms=1_770_000_000_000,
            sender="CryptoVault Zürich <no-reply@cryptovault.example>",
            to=to,
            subject="Bestätigen Sie Ihre Adresse",
            text="Grüße\n\nhttps://cryptovault.example/account/verify-email#token=" + 64 * "0" + "\n",
            html="<p>Grüße</p>",
        ),
        **changes,
    )
