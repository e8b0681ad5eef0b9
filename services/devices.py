"""Browsers that an account knows, by their cookie; programs without one, by address and name, for the notice about a new device only."""

import re
from dataclasses import dataclass

from core.clock import Clock
from core.ids import random_token, token_hash
from models import known_device
from services.viewer import Client

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """What somebody signs in from. `cookie` is what its browser is known by, None for a program."""

    seen_as: str
    cookie: str | None

    @property
    def cookie_hash(self) -> str | None:
        """How the cookie is stored."""
        return token_hash(self.cookie) if self.cookie is not None else None


class Devices:
    """Knows devices again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def known(self, user_id: str, client: Client) -> str | None:
        """The hash of the client's cookie when this person has signed in with it before."""
        cookie = _cookie_hash(client)
        return cookie if cookie is not None and await known_device.is_known(user_id, cookie) else None

    def of(self, client: Client, *, takes_cookies: bool) -> Device:
        """The device: by its cookie, which a page gets now where it has none and takes one, or else by address and name."""
        cookie = client.device_token if _cookie_hash(client) is not None else None
        if cookie is None and client.is_page and takes_cookies:
            cookie = random_token()
        seen_as = cookie if cookie is not None else f"agent:{client.address} {client.user_agent}"
        return Device(token_hash(seen_as), cookie)

    async def signed_in(self, user_id: str, device: Device) -> bool:
        """Remember the device of a log-in. Returns whether its owner should hear of it: the very first one of an account is no news."""
        is_news = not await known_device.is_known(user_id, device.seen_as) and await known_device.any_of(user_id)
        await known_device.remember(user_id, device.seen_as, self._clock.now_ms())
        return is_news

    async def forget_all(self, user_id: str) -> None:
        """Know no device of this person any more."""
        await known_device.forget_all(user_id)


def _cookie_hash(client: Client) -> str | None:
    token = client.device_token
    return token_hash(token) if token is not None and _TOKEN.fullmatch(token) else None
