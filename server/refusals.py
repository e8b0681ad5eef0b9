"""Refusals outside GraphQL, in the one shape clients know: `errors` with a message and coded extensions."""

from starlette.responses import JSONResponse, Response

from core.request_id import current_request_id

INTERNAL_MESSAGE = "Something failed on our side. Quote the request id when you report it."
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "BAD_USER_INPUT",
    429: "RATE_LIMITED",
    503: "UNAVAILABLE",
}


def code_of(status: int) -> str:
    """The stable code of an HTTP status."""
    return _CODES.get(status, "INTERNAL" if status >= 500 else "BAD_REQUEST")


def refusal(*, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An answer with this status and `{"errors": [{"message", "extensions": {"code", "requestId"}}]}`."""
    extensions = {"code": code, "requestId": current_request_id()}
    body = {"errors": [{"message": message, "extensions": extensions}]}
    return JSONResponse(body, status_code=status, headers=headers)
