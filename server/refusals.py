"""Refusals outside GraphQL, in the one shape clients know: `errors` with a message and coded extensions."""

from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
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


def refuse_in_code(app: Starlette) -> None:
    """Make every refusal and failure of this application's routes a coded answer."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused_input)
    app.add_exception_handler(Exception, _failed)


def _code_of(status: int) -> str:
    return _CODES.get(status, "INTERNAL" if status >= 500 else "BAD_REQUEST")


def refusal(*, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An answer with this status and `{"errors": [{"message", "extensions": {"code", "requestId"}}]}`."""
    extensions = {"code": code, "requestId": current_request_id()}
    body = {"errors": [{"message": message, "extensions": extensions}]}
    return JSONResponse(body, status_code=status, headers=headers)


def failure() -> Response:
    """The answer to what nobody expected; the reason stands in the log, under the same request id."""
    return refusal(status=500, code="INTERNAL", message=INTERNAL_MESSAGE)


async def _failed(_request: Request, _error: Exception) -> Response:
    return failure()


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return failure()
    headers = dict(error.headers) if error.headers else None
    return refusal(
        status=error.status_code, code=_code_of(error.status_code), message=str(error.detail), headers=headers
    )


async def _refused_input(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return failure()
    problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return refusal(status=422, code=_code_of(422), message=problems)
