"""Logs: one line per event on standard error, JSON or, on a developer's terminal, text; other libraries' logs go the same way.

Every line carries the id of the request it belongs to and has been through the redactor. What is logged as an error is also handed to
`on_error` (Sentry, when it is configured).
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from core.redaction import Redactor
from core.request_id import current_request_id
from core.settings import Mode, Settings

ErrorReporter = Callable[[EventDict], None]
"""Takes the fields of an error's log line, `exc_info` included; never raises."""

_NOT_BELOW_WARNING = ("httpcore", "httpx", "pymongo", "uvicorn", "websockets", "asyncio", "urllib3")
"""Below this level they write addresses with keys in them, commands with their content, or a line per connection."""


def configure_logging(
    settings: Settings, redactor: Redactor, *, on_error: ErrorReporter | None = None, stream: TextIO = sys.stderr
) -> None:
    """Set up structlog and the standard library's logging for this process; a later call replaces an earlier one."""
    shared = _processors(redactor, on_error)
    renderer = _renderer(settings, stream)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=lambda *names: _LineLogger(names[0] if names else "", stream),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, renderer])
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _NOT_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class _LineLogger(structlog.WriteLogger):
    """Writes a line at once; the name is the module that asked for the logger."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__(stream)
        self.name = name


def _processors(redactor: Redactor, on_error: ErrorReporter | None) -> list[Processor]:
    def report(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if on_error is not None and event["level"] in {"error", "critical"}:
            on_error(dict(event))
        return event

    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return redactor.clean_fields(event)

    return [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        report,
        structlog.processors.format_exc_info,
        redact,
    ]


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = current_request_id()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _renderer(settings: Settings, stream: TextIO) -> Processor:
    on_terminal = settings.mode is Mode.EMBEDDED and stream.isatty()
    if settings.log_format == "console" or (settings.log_format == "auto" and on_terminal):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(serializer=_to_json)


def _to_json(event: object, **_options: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except orjson.JSONEncodeError:  # lone surrogates, and integers above 64 bits
        return json.dumps(event, default=str)
