"""Browsers that an account knows, by their cookie; programs without one, by address and name, for the notice about a new device only."""

import re

from core.clock import Clock
from core.ids import random_token, token_hash
from models import known_device
from services.viewer import Client

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Devices:
    """Knows devices again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def known(self, user_id: str, client: Client) -> str | None:
        """The hash of the client's cookie when this person has signed in with it before."""
        cookie = _cookie_hash(client)
        return cookie if cookie is not None and await known_device.is_known(user_id, cookie) else None

    async def signed_in(self, user_id: str, client: Client) -> tuple[str | None, str | None, bool]:
        """Remember the device of a log-in.

        Returns the cookie to give to a page (its own, or a new one), the cookie's hash, and whether the owner should hear of a new device:
        the very first one of an account is no news.
        """
        token = client.device_token if _cookie_hash(client) is not None else random_token() if client.is_page else None
        seen = token_hash(token) if token is not None else token_hash(f"agent:{client.address} {client.user_agent}")
        is_news = not await known_device.is_known(user_id, seen) and await known_device.any_of(user_id)
        await known_device.remember(user_id, seen, self._clock.now_ms())
        return token, token_hash(token) if token is not None else None, is_news

    async def forget_all(self, user_id: str) -> None:
        """Know no device of this person any more."""
        await known_device.forget_all(user_id)


def _cookie_hash(client: Client) -> str | None:
    token = client.device_token
    return token_hash(token) if token is not None and _TOKEN.fullmatch(token) else None
