"""Who asks, and from where: what every rule about accounts is given."""

from dataclasses import dataclass

from core.account_vocabulary import ApiScope, Role, UserStatus


@dataclass(frozen=True, slots=True)
class Client:
    """The other end of a request, as far as it can be told. `device_token` is the cookie of a known browser."""

    address: str
    request_id: str
    locale: str
    """The language its user reads: the account's own, or what the browser asks for."""
    user_agent: str | None = None
    device_token: str | None = None
    is_page: bool = False
    """Whether a web page asks: a browser sent its Origin."""
    origin: str | None = None
    """The Origin that it sent, unchecked."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in person at this moment. Either a session or an API key signs for them, until `expires_ms`."""

    user_id: str
    role: Role
    status: UserStatus
    email_verified: bool
    locale: str
    expires_ms: int
    session_id: str | None = None
    api_key_id: str | None = None
    scopes: frozenset[ApiScope] = frozenset()
    """Of an API key; a session has all."""

    @property
    def limit_key(self) -> str:
        """What this viewer's requests are charged to: an API key has a budget of its own."""
        return f"key {self.api_key_id}" if self.api_key_id is not None else f"account {self.user_id}"
