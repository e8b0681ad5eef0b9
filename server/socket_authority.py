"""On whose authority a socket acts: decided by connection_init, looked at again for every operation, and watched until it ends."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from core.clock import Clock
from core.errors import RateLimited
from graph.errors import DatabaseAway, database_may_be_away
from graph.request import Caller
from server.authentication import Authentication, CrossSiteRefused, Handshake
from server.ws_messages import CloseCode, CloseSocket
from services.authority import Authority, CredentialRejected
from services.viewer import Viewer

_LONGEST_WAIT_SECONDS = 3_600.0
"""After so long it is looked again how far the end is away: by the wall clock, which may have been set."""


class SocketAuthority:
    """The authority of one socket. `close` gives its place among the account's sockets back."""

    def __init__(
        self,
        authentication: Authentication,
        handshake: Handshake,
        *,
        clock: Clock,
        open_by_account: Counter[str],
        most_by_account: int,
    ) -> None:
        self._authentication = authentication
        self._handshake = handshake
        self._clock = clock
        self._open_by_account = open_by_account
        self._most_by_account = most_by_account
        self._caller = Caller(authentication.client(handshake), "websocket")
        self._admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._counted: str | None = None

    async def admit(self, payload: Mapping[str, object]) -> None:
        """Judge what the client shows. Raises CloseSocket."""
        try:
            self._caller = await self._authentication.of_socket(self._handshake, payload)
        except (CredentialRejected, CrossSiteRefused) as error:
            raise CloseSocket(CloseCode.FORBIDDEN, f"Forbidden: {error.message}") from error
        except RateLimited as error:
            raise CloseSocket(CloseCode.TOO_MANY, error.message) from error
        except DatabaseAway as error:
            raise CloseSocket(CloseCode.TRY_AGAIN_LATER, error.message) from error
        if self._caller.viewer is not None:
            self._count(self._caller.viewer)
        if not self._admitted.done():
            self._admitted.set_result(None)

    async def current(self) -> Caller:
        """The caller as of now. Raises CloseSocket when the authority has ended, DatabaseAway when that cannot be told."""
        viewer = self._caller.viewer
        if viewer is None:
            return self._caller
        try:
            with database_may_be_away():
                viewer = await self._authentication.authority.current(viewer)
        except CredentialRejected as error:
            raise CloseSocket(CloseCode.FORBIDDEN, f"Forbidden: {error.message}") from error
        client = replace(self._caller.client, locale=viewer.locale)
        return replace(self._caller, viewer=viewer, client=client)

    async def ended(self) -> str:
        """Return the reason when the authority has ended; never for a socket of nobody's."""
        await self._admitted
        return await authority_ended(self._authentication.authority, self._caller.viewer, self._clock)

    def close(self) -> None:
        """The socket is gone."""
        if self._counted is not None:
            self._open_by_account[self._counted] -= 1
            if not self._open_by_account[self._counted]:
                del self._open_by_account[self._counted]
            self._counted = None

    def _count(self, viewer: Viewer) -> None:
        if self._open_by_account[viewer.user_id] >= self._most_by_account:
            raise CloseSocket(CloseCode.TOO_MANY, f"Too many sockets: at most {self._most_by_account} of one account")
        self._open_by_account[viewer.user_id] += 1
        self._counted = viewer.user_id


async def authority_ended(authority: Authority, viewer: Viewer | None, clock: Clock) -> str:
    """Return the reason when what somebody was admitted with has ended; never for nobody."""
    if viewer is None:
        return await _never()
    with authority.revocations.watch(viewer.session_id or viewer.api_key_id or "") as told:
        try:
            while not told.done():
                authority.check(viewer)
                left = (viewer.expires_ms - clock.now_ms()) / 1000
                await asyncio.wait({told}, timeout=min(left, _LONGEST_WAIT_SECONDS))
        except CredentialRejected as error:
            return error.message
        return told.result()


async def _never() -> str:
    forever: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return await forever
