"""Who a request or a socket is from: its credential, judged before anything runs.

A credential in a header (or in connection_init) is the client's own doing: a wrong one refuses the request. A cookie is sent by the browser,
so it counts only where a page of ours can have asked: an allow-listed Origin, and a content type or header that other sites' forms cannot
send. A cookie that is over is as none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.client_address import ClientAddresses, limit_key
from core.errors import RateLimited, TranslatableError
from core.rate_limits import Limit, RateLimits
from core.translations import accepted_locale
from graph.errors import database_may_be_away
from graph.request import Caller, Outgoing, ShownCookies
from server.cookies import ACCESS, BROWSER, DEVICE, REFRESH, Header, read_cookies
from server.header_values import header_values
from server.media_types import is_json_in_utf8
from server.origins import Origins
from services.authority import API_KEY_START, Authority, CredentialRejected
from services.viewer import Client, Viewer

PREFLIGHTED = (b"apollo-require-preflight", b"x-apollo-operation-name", b"x-requested-with")
"""Headers that make a browser ask first before it sends a request to another site."""
WRONG_CREDENTIALS = Limit("wrong credentials by address", 100, 60)
_LONGEST_AGENT = 512
NO_COOKIES = ShownCookies()
_INIT_NAMES = ("authorization", "accesstoken", "token", "apikey", "xapikey")


class CrossSiteRefused(TranslatableError):
    """A request with cookies that another site could have caused."""

    code = "CSRF_REFUSED"


class Handshake:
    """What a transport knows of a request, or of a socket's opening."""

    __slots__ = ("_values", "headers", "is_get", "peer", "request_id")

    def __init__(
        self,
        headers: Sequence[Header],
        peer: str | None,
        request_id: str,
        *,
        is_get: bool = False,
        values: Mapping[bytes, str] | None = None,
    ) -> None:
        """`values`: the headers by name, where somebody has read them already."""
        self.headers = headers
        self.peer = peer
        self.request_id = request_id
        self.is_get = is_get
        self._values = header_values(headers) if values is None else values

    def header(self, name: bytes) -> str:
        """All values of a header, joined by commas; empty when there is none."""
        return self._values.get(name, "")

    def cookies(self) -> dict[str, str]:
        """The cookies it shows."""
        return read_cookies(self.headers) if b"cookie" in self._values else {}


class Authentication:
    """Makes callers."""

    def __init__(
        self, authority: Authority, *, origins: Origins, addresses: ClientAddresses, limits: RateLimits
    ) -> None:
        self.authority = authority
        self._origins = origins
        self._addresses = addresses
        self._limits = limits

    async def of_request(self, request: Handshake) -> Caller:
        """Who an HTTP request is from. Raises CredentialRejected, CrossSiteRefused, RateLimited, DatabaseAway."""
        cookies = request.cookies()
        client = self.client(request, cookies)
        shown = ShownCookies(cookies.get(REFRESH), cookies.get(BROWSER)) if cookies else NO_COOKIES
        outgoing = Outgoing()
        credential = _header_credential(request)
        if credential is not None:
            viewer: Viewer | None = self.authority.known(credential) or await self._judged(credential, client)
        else:
            if cookies.keys() & {ACCESS, REFRESH, DEVICE, BROWSER}:
                self._check_site(request)
            viewer = await self._of_cookie(cookies.get(ACCESS), client)
        return _caller(client, viewer, "http", shown, outgoing)

    def known(self, authorization: str) -> Viewer | None:
        """Whose access token this header shows, where nobody has to be asked; None: `of_request` judges it."""
        scheme, _, token = authorization.partition(" ")
        return self.authority.known(token) if scheme.lower() == "bearer" else None

    def caller(self, request: Handshake, viewer: Viewer | None) -> Caller:
        """Who a request without cookies is from."""
        return _caller(self.client(request), viewer, "http", outgoing=Outgoing())

    async def of_socket(self, handshake: Handshake, payload: Mapping[str, object]) -> Caller:
        """Who a socket is from: a credential of connection_init, or else a cookie of its handshake from an allowed page.

        Raises CredentialRejected, CrossSiteRefused, RateLimited, DatabaseAway.
        """
        cookies = handshake.cookies()
        client = self.client(handshake, cookies)
        credential = _init_credential(payload)
        if credential is not None:
            return _caller(client, await self._judged(credential, client), "websocket")
        origin = handshake.header(b"origin")
        if ACCESS in cookies and not origin:
            raise CrossSiteRefused("a socket with cookies needs an Origin; programs send `authorization` instead")
        if ACCESS in cookies and not self._origins.allows_credentials(origin):
            raise CrossSiteRefused("a request with cookies needs the Origin of an allowed page")
        return _caller(client, await self._of_cookie(cookies.get(ACCESS), client), "websocket")

    def client(self, request: Handshake, cookies: Mapping[str, str] | None = None) -> Client:
        """The other end."""
        origin = request.header(b"origin")
        return Client(
            address=self._addresses.of(request.peer, request.headers),
            request_id=request.request_id,
            locale=accepted_locale(request.header(b"accept-language")),
            user_agent=request.header(b"user-agent")[:_LONGEST_AGENT] or None,
            device_token=(cookies or {}).get(DEVICE),
            is_page=bool(origin),
            origin=origin or None,
        )

    async def _judged(self, credential: str, client: Client) -> Viewer:
        try:
            return await self._viewer(credential, client)
        except CredentialRejected:
            seconds = await self._limits.hit(WRONG_CREDENTIALS, limit_key(client.address))
            if seconds is not None:
                text = "too many wrong credentials; try again in {seconds} s"
                raise RateLimited(text, {"seconds": seconds}, retryAfter=seconds) from None
            raise

    async def _of_cookie(self, token: str | None, client: Client) -> Viewer | None:
        if token is None or token.startswith(API_KEY_START):
            return None
        try:
            return await self._viewer(token, client)
        except CredentialRejected:
            return None

    async def _viewer(self, credential: str, client: Client) -> Viewer:
        with database_may_be_away():
            return await self.authority.viewer_of(credential, client)

    def _check_site(self, request: Handshake) -> None:
        origin = request.header(b"origin")
        same_site = origin == "" and request.header(b"sec-fetch-site") == "same-origin"
        if not same_site and not (origin and self._origins.allows_credentials(origin)):
            raise CrossSiteRefused("a request with cookies needs the Origin of an allowed page")
        asked_first = any(request.header(name) for name in PREFLIGHTED)
        if not asked_first and (request.is_get or not is_json_in_utf8(request.header(b"content-type"))):
            raise CrossSiteRefused("a GET with cookies needs the header Apollo-Require-Preflight")


def _caller(
    client: Client,
    viewer: Viewer | None,
    transport: str,
    cookies: ShownCookies | None = None,
    outgoing: Outgoing | None = None,
) -> Caller:
    if viewer is not None and viewer.locale != client.locale:
        client = replace(client, locale=viewer.locale)
    return Caller(client, transport, viewer, cookies or NO_COOKIES, outgoing)


def _header_credential(request: Handshake) -> str | None:
    """The credential in a header. Raises CredentialRejected for a scheme that is not served, and for two."""
    authorization, key = request.header(b"authorization"), request.header(b"x-api-key")
    if authorization and key:
        raise CredentialRejected("send Authorization or X-API-Key, not both")
    return _bearer(authorization) if authorization else key or None


def _init_credential(payload: Mapping[str, object]) -> str | None:
    """The credential in a connection_init payload, there or under `headers`. Raises CredentialRejected."""
    headers = payload.get("headers")
    for parameters in (payload, headers if isinstance(headers, dict) else {}):
        for name, value in parameters.items():
            plain = str(name).lower().replace("-", "").replace("_", "")
            if plain in _INIT_NAMES and value:
                if not isinstance(value, str):
                    raise CredentialRejected("a credential is a string")
                return _bearer(value) if plain == "authorization" else value
    return None


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise CredentialRejected("expected `Bearer` and an access token or an API key")
    return token.strip()
