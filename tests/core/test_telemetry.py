import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict

from core.redaction import Redactor
from core.request_id import request_scope
from core.settings import Settings
from core.telemetry import configure_logging


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _undo_configuration() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def settings(**values: str) -> Settings:
    return Settings.model_validate({"log_format": "json", **values})


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_logger_and_request_id() -> None:
    stream = io.StringIO()
    configure_logging(settings(), Redactor(), stream=stream)
    log = structlog.get_logger("a.module")
    with request_scope("request-1"):
        log.info("feed.connected", source="BINANCE", attempts=2)
    log.debug("not shown")
    (line,) = lines(stream)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "event": "feed.connected",
        "source": "BINANCE",
        "attempts": 2,
        "level": "info",
        "logger": "a.module",
        "request_id": "request-1",
    }


def test_other_libraries_go_the_same_way() -> None:
    stream = io.StringIO()
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # a server of another test may have silenced it
    configure_logging(settings(), Redactor(["hunter2hunter2"]), stream=stream)
    with request_scope("request-2"):
        logging.getLogger("uvicorn.error").warning("Invalid %s with hunter2hunter2", "request")
    logging.getLogger("uvicorn.error").info("connection open")
    logging.getLogger("httpx").info("GET https://provider/?key=1")
    (line,) = lines(stream)
    assert line["event"] == "Invalid request with ***"
    assert (line["level"], line["logger"], line["request_id"]) == ("warning", "uvicorn.error", "request-2")


def test_secrets_never_reach_the_stream() -> None:
    stream = io.StringIO()
    configure_logging(settings(), Redactor(["k3y-of-mine"]), stream=stream)
    log = structlog.get_logger("secrets")
    log.warning("k3y-of-mine in the event", authorization="Bearer abcdefgh", nested={"password": "hunter2"})
    try:
        raise RuntimeError("cannot reach mongodb://user:hunter2@db/ with k3y-of-mine")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("library").exception("failed, too")
    written = stream.getvalue()
    assert len(lines(stream)) == 3
    assert "hunter2" not in written
    assert "k3y-of-mine" not in written
    assert "abcdefgh" not in written
    assert "mongodb://***@db/" in written


def test_local_variables_stay_out_of_tracebacks() -> None:
    for stream, form in ((io.StringIO(), "json"), (Terminal(), "console")):
        configure_logging(settings(log_format=form), Redactor(), stream=stream)
        try:
            local = f"hunter{len('ab')}"
            raise RuntimeError(len(local))
        except RuntimeError:
            structlog.get_logger(form).exception("failed")
        assert "RuntimeError" in stream.getvalue()
        assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    "value", [2**70, float("inf"), "\ud800", b"\xff", {1: 2}, {"a"}, object, "line\nbreak\x1b[31m"]
)
def test_any_value_makes_one_valid_line(value: object) -> None:
    stream = io.StringIO()
    configure_logging(settings(), Redactor(), stream=stream)
    structlog.get_logger("odd").info("odd", value=value)
    assert len(stream.getvalue().splitlines()) == 1
    assert lines(stream)[0]["event"] == "odd"


def test_a_terminal_in_development_gets_text() -> None:
    stream = Terminal()
    configure_logging(settings(log_format="auto"), Redactor(), stream=stream)
    structlog.get_logger("t").info("feed.connected")
    assert "feed.connected" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stream)


def test_a_pipe_gets_json_and_so_does_any_terminal_outside_development() -> None:
    for stream, mode in ((io.StringIO(), "EMBEDDED"), (Terminal(), "SANDBOX")):
        configure_logging(settings(log_format="auto", mode=mode), Redactor(), stream=stream)
        structlog.get_logger(mode).info("feed.connected")
        assert lines(stream)[0]["event"] == "feed.connected"


def test_errors_and_nothing_less_are_reported() -> None:
    reported: list[EventDict] = []
    configure_logging(settings(), Redactor(), on_error=reported.append, stream=io.StringIO())
    log = structlog.get_logger("reports")
    log.warning("only a warning")
    log.error("an error", part="feed")
    logging.getLogger("library").critical("a library's")
    try:
        raise RuntimeError("reason")
    except RuntimeError:
        log.exception("an exception")
    assert [event["event"] for event in reported] == ["an error", "a library's", "an exception"]
    assert reported[0]["part"] == "feed"
    assert reported[2]["exc_info"] is True or isinstance(reported[2]["exc_info"], tuple | BaseException)
    assert sys.exc_info() == (None, None, None)
