"""The only place that turns a failure into what a client sees.

Expected failures (core.errors.ExpectedError) keep their message, code and details. Faults of the document or its variables are coded
by where they were found. Anything else is logged with the request's id and shown as `Internal error`, code INTERNAL.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from pymongo.errors import ConnectionFailure, PyMongoError

from core.database import is_contended
from core.errors import ExpectedError
from core.refusals import WalletRefused
from core.translations import DEFAULT_LOCALE

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
INTERNAL = "INTERNAL"
ERRORS_SHOWN = 20
"""Of one refused request; further ones are left out."""
_AWAY = "the database does not answer; try again in a moment"
_MESSAGE_LENGTH = 500
_ARGUMENT_FAULT = "Argument '"
"""How graphql-core begins its complaint about an argument that only execution can judge."""

ErrorBody = dict[str, object]
log = structlog.get_logger()


class OperationNotFound(ExpectedError):
    """`operationName` names no operation of the document, or is needed to choose one."""

    code = "OPERATION_RESOLUTION_FAILURE"


class OperationNotAllowed(ExpectedError):
    """This kind of operation is not served here: a mutation by GET, a subscription by plain HTTP."""

    code = "OPERATION_NOT_ALLOWED"


class OperationTimedOut(ExpectedError):
    """Execution took longer than the server waits. Whether a mutation took effect is unknown."""

    code = "TIMEOUT"


class DatabaseAway(ExpectedError):
    """The database does not answer at the moment. What the field would have shown is not known; nothing was changed by a query."""

    code = "DATABASE_UNAVAILABLE"


class RequestRefused(Exception):
    """An operation that is not executed: one or more faults of one kind, found before execution."""

    def __init__(self, errors: Sequence[Exception], code: str) -> None:
        super().__init__(code)
        self.errors = errors
        self.code = code

    @classmethod
    def because(cls, error: ExpectedError) -> "RequestRefused":
        """A refusal for one expected failure."""
        return cls([error], error.code)


class ErrorRenderer:
    """Renders the errors of one request."""

    _INTERNAL_MESSAGE: ClassVar[str] = "Internal error"

    def __init__(self, request_id: str, locale: str = DEFAULT_LOCALE) -> None:
        """`locale`: the language of messages that people meet."""
        self._request_id = request_id
        self._locale = locale

    def refusal(self, refused: RequestRefused) -> list[ErrorBody]:
        """Errors of a request that is not executed."""
        return [self._before_execution(error, refused.code) for error in refused.errors[:ERRORS_SHOWN]]

    def during_execution(self, error: GraphQLError) -> ErrorBody:
        """An error of a field, or of a subscription's source."""
        cause = _cause(error)
        if isinstance(cause, PyMongoError) and _is_away(cause):
            log.warning("database away", request_id=self._request_id, path=error.path, reason=type(cause).__name__)
            cause = DatabaseAway(_AWAY)
        if isinstance(cause, WalletRefused):
            details = dict(cause.details) if cause.field is None else {**cause.details, "field": cause.field}
            return self._body(cause.message_in(self._locale), cause.reason, error, details)
        if isinstance(cause, ExpectedError):
            return self._body(cause.message_in(self._locale), cause.code, error, cause.details)
        if isinstance(cause, GraphQLError):
            if "code" in (cause.extensions or {}):
                extensions = dict(cause.extensions or {})
                return self._body(cause.message, str(extensions.pop("code")), error, extensions)
            if cause.message.startswith(_ARGUMENT_FAULT):
                return self._body(cause.message, BAD_USER_INPUT, error)
        return self.unexpected(cause, error)

    def unexpected(self, cause: BaseException, located: GraphQLError | None = None) -> ErrorBody:
        """A failure nobody foresaw: logged, and masked."""
        log.error(
            "unexpected error",
            request_id=self._request_id,
            path=located.path if located else None,
            exc_info=(type(cause), cause, cause.__traceback__),
        )
        return self._body(self._INTERNAL_MESSAGE, INTERNAL, located)

    def _before_execution(self, error: Exception, code: str) -> ErrorBody:
        if isinstance(error, ExpectedError):
            return self._body(error.message_in(self._locale), code, None, error.details)
        if isinstance(error, GraphQLError):
            cause = _cause(error)
            if isinstance(cause, ExpectedError):
                return self._body(cause.message_in(self._locale), cause.code, error, cause.details)
            return self._body(error.message, code, error)
        return self.unexpected(error)

    def _body(
        self,
        message: str,
        code: str,
        located: GraphQLError | None,
        details: "dict[str, object] | dict[str, str | int | list[str]] | None" = None,
    ) -> ErrorBody:
        body: ErrorBody = {"message": _shortened(message)}
        if located is not None and located.locations:
            body["locations"] = [{"line": place.line, "column": place.column} for place in located.locations[:2]]
        if located is not None and located.path:
            body["path"] = located.path
        body["extensions"] = {"code": code, "requestId": self._request_id, **(details or {})}
        return body


def _cause(error: GraphQLError) -> Exception:
    """What was raised first: graphql-core and Strawberry wrap it once or more."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


@contextmanager
def database_may_be_away() -> Iterator[None]:
    """For what is asked of the database outside of any field: its absence is an expected failure there, too."""
    try:
        yield
    except PyMongoError as error:
        if _is_away(error):
            raise DatabaseAway(_AWAY) from error
        raise


def _is_away(error: PyMongoError) -> bool:
    """Whether a later try may succeed without any change: no connection, no answer in time, no primary, or rows that another transaction holds."""
    return error.timeout or isinstance(error, ConnectionFailure) or is_contended(error)


def _shortened(message: str) -> str:
    return message if len(message) <= _MESSAGE_LENGTH else message[:_MESSAGE_LENGTH] + "…"


def refusal_of(errors: Sequence[GraphQLError]) -> RequestRefused:
    """A refusal for what parsing or validation found."""
    syntax = any(isinstance(error, GraphQLSyntaxError) for error in errors)
    return RequestRefused(errors, PARSE_FAILED if syntax else VALIDATION_FAILED)
