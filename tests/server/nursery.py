"""Imports what the operator's commands need, once, and then forks a process for each command that is asked for: `python -m tests.server.nursery`.

A line in is what to run, in JSON; a line out is its exit status.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any

from server.commands import main

_MODULES = ("account", "ledger", "liability", "projection", "treasury")


def run(asked: dict[str, Any]) -> int:
    """Be the command: its environment, its files for standard output and error, its exit status."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, path in ((1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    try:
        status = main(asked["arguments"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def serve() -> None:
    """Until standard input ends."""
    for name in _MODULES:
        importlib.import_module(f"server.{name}_commands")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(json.loads(line)))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
