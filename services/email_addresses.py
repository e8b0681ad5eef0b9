"""Mail addresses: which ones are taken, and when two are the same."""

import unicodedata
from dataclasses import dataclass
from hashlib import sha256

from email_validator import EmailNotValidError, validate_email

from core.account_vocabulary import AuthErrorCode
from core.refusals import AuthRefused

LONGEST = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""


class EmailInvalid(AuthRefused):
    """The text is no mail address."""

    code = AuthErrorCode.EMAIL_INVALID


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address as it was written, and the key it is compared by: Unicode NFKC, the domain in Unicode, without case."""

    text: str
    key: str


def parse_email(text: str) -> EmailAddress:
    """Read an address. Nobody asks whether it can be delivered to: the mail with the link proves that. Raises EmailInvalid."""
    try:
        if len(text) > LONGEST:
            raise EmailInvalid("expected an e-mail address such as you@example.com", field=["email"])
        valid = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise EmailInvalid("expected an e-mail address such as you@example.com", field=["email"]) from error
    return EmailAddress(valid.normalized, unicodedata.normalize("NFKC", valid.normalized).casefold())


def key_digest(email_key: str) -> str:
    """An address as a key of what is kept about strangers: it is not to be read there."""
    return sha256(email_key.encode()).hexdigest()
