"""From a credential to a viewer: access tokens of sessions, and API keys. Asked for every request, and again while a socket lasts."""

import hmac
from dataclasses import replace
from ipaddress import ip_address, ip_network

from core.account_vocabulary import ApiScope, UserStatus
from core.clock import Clock
from core.errors import TranslatableError
from core.ids import token_hash
from models.api_key import ApiKeyDocument
from services.access_tokens import AccessClaims, AccessTokenRejected, AccessTokens
from services.account_states import AccountState, AccountStates
from services.api_key_states import ApiKeyStates
from services.last_use import LastUse
from services.revocations import Revocations
from services.viewer import Client, Viewer

API_KEY_START = "cvk_"
NEVER_MS = 2**53 - 1
_ALL_SCOPES = frozenset(ApiScope)


class CredentialRejected(TranslatableError):
    """A credential was shown that is not (or no longer) valid, so the request is not served, not even as a stranger's."""

    code = "UNAUTHENTICATED"


class Authority:
    """Judges credentials."""

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        states: AccountStates,
        keys: ApiKeyStates,
        revocations: Revocations,
        last_use: LastUse,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._states = states
        self._keys = keys
        self.revocations = revocations
        self._last_use = last_use
        self._clock = clock

    async def viewer_of(self, credential: str, client: Client) -> Viewer:
        """The viewer an access token or an API key stands for. Raises CredentialRejected."""
        if credential.startswith(API_KEY_START):
            return await self._of_key(credential, client)
        return await self._of_token(credential)

    def known(self, token: str) -> Viewer | None:
        """As `viewer_of`, of an access token that is valid and nobody has to be asked about; None for every other credential."""
        claims = self._tokens.known(token)
        if claims is None or self.revocations.is_ended(claims.session_id):
            return None
        state = self._states.known(claims.user_id)
        return None if state is None or state.status is UserStatus.DELETED else self._of_session(claims, state)

    def check(self, viewer: Viewer) -> None:
        """Raise CredentialRejected when the authority has ended, as far as this process knows."""
        if viewer.expires_ms <= self._clock.now_ms():
            has_key = viewer.api_key_id is not None
            raise CredentialRejected("the API key has expired" if has_key else "the access token has expired")
        if viewer.session_id is not None and self.revocations.is_ended(viewer.session_id):
            raise CredentialRejected("the session has ended")
        if viewer.api_key_id is not None and self._keys.is_ended(viewer.api_key_id):
            raise CredentialRejected("the API key has ended")

    async def current(self, viewer: Viewer) -> Viewer:
        """The same viewer as of now. Raises CredentialRejected when the authority has ended."""
        self.check(viewer)
        return _as_of(viewer, await self._state(viewer.user_id))

    async def _of_token(self, token: str) -> Viewer:
        try:
            claims = self._tokens.verify(token)
        except AccessTokenRejected as error:
            raise CredentialRejected(error.text) from error
        if self.revocations.is_ended(claims.session_id):
            raise CredentialRejected("the session has ended")
        return self._of_session(claims, await self._state(claims.user_id))

    def _of_session(self, claims: AccessClaims, state: AccountState) -> Viewer:
        self._last_use.of_session(claims.session_id)
        return _viewer(state, claims.expires_ms, session_id=claims.session_id, scopes=_ALL_SCOPES)

    async def _of_key(self, credential: str, client: Client) -> Viewer:
        prefix, _, secret = credential.removeprefix(API_KEY_START).partition("_")
        key = await self._keys.of(prefix)
        expected = key.secret_hash if key is not None else ""
        if not hmac.compare_digest(expected, token_hash(secret)) or key is None:
            raise CredentialRejected("there is no such API key")
        if key.ended_ms is not None or self._keys.is_ended(key.id):
            raise CredentialRejected("the API key has ended")
        if key.expires_ms is not None and key.expires_ms <= self._clock.now_ms():
            raise CredentialRejected("the API key has expired")
        if not _allows(key, client.address):
            raise CredentialRejected("the API key may not be used from this address")
        state = await self._state(key.user_id)
        self._last_use.of_key(key.id)
        expires_ms = key.expires_ms or NEVER_MS
        return _viewer(state, expires_ms, api_key_id=key.id, scopes=frozenset(key.scopes))

    async def _state(self, user_id: str) -> AccountState:
        state = await self._states.of(user_id)
        if state is None or state.status is UserStatus.DELETED:
            raise CredentialRejected("the account is deleted")
        return state


def _viewer(
    state: AccountState,
    expires_ms: int,
    *,
    scopes: frozenset[ApiScope],
    session_id: str | None = None,
    api_key_id: str | None = None,
) -> Viewer:
    return Viewer(
        user_id=state.user_id,
        role=state.role,
        status=state.status,
        email_verified=state.email_verified,
        locale=state.locale,
        expires_ms=expires_ms,
        session_id=session_id,
        api_key_id=api_key_id,
        scopes=scopes,
    )


def _as_of(viewer: Viewer, state: AccountState) -> Viewer:
    return replace(
        viewer, role=state.role, status=state.status, email_verified=state.email_verified, locale=state.locale
    )


def _allows(key: ApiKeyDocument, address: str) -> bool:
    if not key.ip_allowlist:
        return True
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    return any(caller in ip_network(text) for text in key.ip_allowlist)
