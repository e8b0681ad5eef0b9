"""What a provider of external identities must do.

Life of a sign-in: `begin` gives the address of the provider's page and what must be remembered for it; the person comes
back with a code and the state; the service finds what it remembered by the state, and `finish` turns the code into a
profile. A state serves once.
"""

import secrets
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from core.account_vocabulary import AuthErrorCode
from core.errors import TranslatableError

LONGEST_NAME = 100
_LONGEST_EMAIL = 320
_RANDOM_BYTES = 48
"""64 characters: enough for a verifier, which has at least 43 (RFC 7636, 4.1)."""


class ProviderUnavailable(TranslatableError):
    """The provider does not answer, answers nonsense, or does not accept this server. `reason` is for the log."""

    code: ClassVar[str] = AuthErrorCode.PROVIDER_UNAVAILABLE

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__("{provider} cannot be reached at the moment. Try again later.", {"provider": provider})
        self.reason = reason


class ProviderRefused(TranslatableError):
    """The provider does not accept the code, or what it says cannot be believed. `reason` is for the log."""

    code: ClassVar[str] = AuthErrorCode.PROVIDER_REFUSED

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__("{provider} did not confirm this sign-in. Start it again.", {"provider": provider})
        self.reason = reason


class ProviderMisconfigured(ValueError):
    """A provider is configured in a way that cannot work; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """What every provider needs. `key` names it in the API and in stored identities, `name` is what people read."""

    key: str
    name: str
    client_id: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to send a person, and what to remember until they come back. The verifier never leaves this server."""

    url: str
    state: str
    nonce: str
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExternalProfile:
    """Who somebody is at a provider: provider and subject say it. An e-mail address counts only when verified."""

    provider: str
    subject: str
    email: str | None
    email_verified: bool
    display_name: str | None


class IdentityProvider(Protocol):
    """One provider."""

    @property
    def key(self) -> str: ...

    @property
    def name(self) -> str: ...

    async def begin(self, redirect_uri: str) -> AuthorizationRequest:
        """Start a sign-in that comes back to `redirect_uri`. Raises ProviderUnavailable."""
        ...

    async def finish(
        self, code: str, *, redirect_uri: str, code_verifier: str, nonce: str, issuer: str | None = None
    ) -> ExternalProfile:
        """Whose code this is. `issuer` is the `iss` of the answer (RFC 9207), where it had one.

        Raises ProviderUnavailable, ProviderRefused. A code serves once: after either the sign-in starts again.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def random_text() -> str:
    """A new state, nonce or verifier."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def text_of(value: object) -> str | None:
    """The value itself, when it is text and not empty."""
    return value if isinstance(value, str) and value else None


def email_of(value: object) -> str | None:
    """An address as a provider gave it: one word of bearable length with an @ in it."""
    text = text_of(value)
    sound = text is not None and len(text) <= _LONGEST_EMAIL and text.isprintable() and " " not in text and "@" in text
    return text if sound else None


def name_of(value: object) -> str | None:
    """A person's name as a provider gave it: printable, in one line, cut short."""
    words = "".join(letter if letter.isprintable() else " " for letter in text_of(value) or "").split()
    return " ".join(words)[:LONGEST_NAME] or None
