"""Error reports to Sentry: one for every line logged as an error, and nothing else.

Its integrations for FastAPI and Strawberry stay off: they would report expected refusals as failures, report the others twice,
and wrap every resolver of the schema. https://docs.sentry.io/platforms/python/
"""

import sys
from collections.abc import Mapping

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.types import Event, Hint

from core.redaction import Redactor
from core.settings import Settings

SHUTDOWN_SECONDS = 2


class SentryReporter:
    """Call it with the fields of a log line. Sending happens on Sentry's own thread; a report that cannot be sent is dropped."""

    def __init__(self, settings: Settings, redactor: Redactor) -> None:
        self._redactor = redactor
        sentry_sdk.init(
            dsn=settings.sentry_dsn.get_secret_value() if settings.sentry_dsn else None,
            environment=settings.mode.value.lower(),
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AtexitIntegration(_quietly), DedupeIntegration(), ExcepthookIntegration()],
            before_send=self._scrub,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    def __call__(self, fields: Mapping[str, object]) -> None:
        """Report one error."""
        exception = _exception(fields.get("exc_info"))
        with sentry_sdk.new_scope() as scope:
            scope.set_level("error")
            for tag in ("request_id", "logger"):
                if tag in fields:
                    scope.set_tag(tag, str(fields[tag]))
            extra = {key: value for key, value in fields.items() if not key.startswith("_") and key != "exc_info"}
            scope.set_context("log", extra)
            if exception is not None:
                scope.capture_exception(exception)
            else:
                scope.capture_message(str(fields.get("event")))

    def _scrub(self, event: Event, _hint: Hint) -> Event:
        event.pop("request", None)
        event.pop("user", None)
        event.pop("server_name", None)
        cleaned = self._redactor.clean(event)
        return cleaned if isinstance(cleaned, dict) else event  # type: ignore[return-value]


def _quietly(_pending: int, _timeout: float) -> None:
    """What is pending is sent at exit without a word."""


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and isinstance(exc_info[1], BaseException):
        return exc_info[1]
    return sys.exc_info()[1] if exc_info else None
