"""Requests that are no GraphQL requests, or whose caller is not served: each with its HTTP status."""

from core.errors import ExpectedError, RateLimited, TranslatableError
from graph.errors import DatabaseAway
from server.authentication import CrossSiteRefused
from server.open_connections import TooManyConnections
from services.authority import CredentialRejected


class HttpRefused(ExpectedError):
    """A request that is no GraphQL request; `status` is its HTTP status."""

    status = 400
    code = "BAD_REQUEST"


class MethodNotAllowed(HttpRefused):
    """Neither GET nor POST."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(HttpRefused):
    """The client accepts no type we answer in."""

    status = 406
    code = "NOT_ACCEPTABLE"


class BodyTimedOut(HttpRefused):
    """The body did not arrive in time."""

    status = 408
    code = "REQUEST_TIMEOUT"


class BodyTooLarge(HttpRefused):
    """More bytes than are read."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class NotServed(HttpRefused):
    """Who asks, or where from, is not accepted; the reason is told in the reader's language."""

    def __init__(self, reason: TranslatableError) -> None:
        super().__init__(reason.message, **reason.details)
        self._reason = reason

    def message_in(self, locale: str) -> str:
        return self._reason.message_in(locale)


class CredentialNotServed(NotServed):
    """The credential is not valid."""

    status = 401
    code = CredentialRejected.code


class SiteNotServed(NotServed):
    """Another site could have caused the request."""

    status = 403
    code = CrossSiteRefused.code


class AddressNotServed(NotServed):
    """Wrong credentials again and again."""

    status = 429
    code = RateLimited.code


class AuthorityAway(HttpRefused):
    """Whether the credential is valid cannot be told at the moment."""

    status = 503
    code = DatabaseAway.code


class UnsupportedMediaType(HttpRefused):
    """The body is not JSON in UTF-8."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"


class ConnectionNotServed(HttpRefused):
    """Too many streams and sockets are open."""

    status = 429
    code = TooManyConnections.code
