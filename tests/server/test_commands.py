"""The command line, as an operator types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.commands import main
from tests import nursery
from tests.components import ROOT, free_port


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`python -m server ARGUMENTS` with only these settings."""
    return nursery.run(*arguments, environment={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment})


def executed(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The same, with all that a start is."""
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )


def test_help_lists_every_command() -> None:
    shown = executed("--help")
    assert shown.returncode == 0
    assert executed("no such").returncode == 2
    for command in ("dev", "api", "worker", "schema", "settings", "replay", "keys"):
        assert f"\n    {command} " in shown.stdout


def test_nothing_heavy_is_loaded_before_a_command_is_chosen() -> None:
    heavy = "fastapi strawberry uvicorn beanie sentry_sdk redis prometheus_client"
    probe = f"import sys, server.commands; print([name for name in '{heavy}'.split() if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=180, check=True
    )
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((), "COMMAND"),
        (("sell",), "'sell'"),
        (("worker",), "NAME"),
        (("replay",), "FILE"),
        (("replay", "/no/such/file.csv"), "there is no file /no/such/file.csv"),
        (("replay", "Makefile", "--speed", "fast"), "expected a factor above 0"),
        (("replay", "Makefile", "--speed", "0"), "expected a factor above 0"),
        (("replay", "Makefile", "--speed", "-1"), "--speed"),
        (("replay", "Makefile", "--speed", "1e3"), "expected a factor above 0"),
        (("replay", "Makefile", "--speed", "\u0661"), "expected a factor above 0"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(
    arguments: tuple[str, ...], hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("command", ["dev", "api", "settings"])
def test_a_wrong_setting_is_status_2_and_one_line(command: str) -> None:
    refused = run(command, PORT="eight")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("cryptovault: PORT")


def test_settings_are_shown_without_secrets() -> None:
    shown = run("settings", MONGO_URL="mongodb://user:hunter2secret@db/", SENTRY_DSN="https://abcdef@sentry.example/1")
    assert shown.returncode == 0
    assert "PORT=8000\n" in shown.stdout
    assert "hunter2secret" not in shown.stdout
    assert "abcdef" not in shown.stdout


@pytest.mark.parametrize("arguments", [("api",), ("worker", "market-data")])
def test_separate_processes_need_what_they_share(arguments: tuple[str, ...]) -> None:
    refused = run(*arguments, PORT=str(free_port()), WORKER_PORT=str(free_port()))
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "MONGO_URL and REDIS_URL" in line


def test_replay_reaches_the_settings(tmp_path: Path) -> None:
    """Refused because the port is taken; before that, the settings of the replay were accepted."""
    file = tmp_path / "trades.csv"
    file.write_text("time_ms,trade_id,price,quantity,buyer_maker\n")
    refused = run("replay", str(file), "--speed", "max", "--symbol", "BTC-USDT", HOST="203.0.113.1", PORT="9999")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "cannot listen on 203.0.113.1:9999" in line


def test_each_of_several_processes_needs_a_port_of_its_own() -> None:
    settings = {"MONGO_URL": "mongodb://127.0.0.1:9/", "REDIS_URL": "redis://127.0.0.1:9/0"}
    refused = run("api", API_PROCESSES="3", WORKER_PORT="65534", **settings)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "65534 is too high" in line
