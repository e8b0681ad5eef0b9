"""`python -m server …` that starts at once: one process loads the code, and is forked for every command. Importing is more than half of what a start costs.

A child has nothing of the others but the code: its environment, its output and its memory are its own, and SIGKILL ends it like any other. How a newcomer starts a server, by
executing Python, is what `tests/flows/test_newcomer.py` and some of `tests/server/test_commands.py` are about.
"""

import asyncio
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.components import ROOT

_MOST_BYTES = 1_000_000
_ONE_AT_A_TIME = threading.Lock()
_MODULES = ("api", "dev", "several", "workers", "account_commands", "key_commands", "ledger_commands",
    "liability_commands", "projection_commands", "treasury_commands")  # fmt: skip


class Forked:
    """A child, as far as tests ask a process."""

    def __init__(self, pid: int, ended: int) -> None:
        """`ended`: a pipe that tells its exit status when it is gone."""
        self.pid = pid
        self._ended = ended
        self._status: int | None = None
        os.set_blocking(ended, False)

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen.returncode`; None while it runs."""
        if self._status is None:
            try:
                told = os.read(self._ended, 16)
            except BlockingIOError:
                return None
            os.close(self._ended)
            self._status = int(told or b"-9")
        return self._status

    async def wait(self) -> int:
        """The exit status, once it is gone."""
        while (status := self.returncode) is None:
            loop, readable = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._ended, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._ended)
        return status

    def wait_now(self, seconds: float) -> int:
        """The same, for who has no event loop. Raises TimeoutError."""
        if self.returncode is None and not select.select([self._ended], [], [], seconds)[0]:
            raise TimeoutError(f"process {self.pid} still runs")
        return self.returncode if self.returncode is not None else self.wait_now(seconds)

    def send_signal(self, number: int) -> None:
        """Nothing happens to one that is gone."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    *arguments: str, environment: Mapping[str, str], out: int, err: int, lease_seconds: float | None = None
) -> Forked:
    """`python -m server ARGUMENTS` with this environment alone, writing to these files. `lease_seconds`: how long leases last there, instead of ten seconds."""
    ended, told = os.pipe()
    order = {"arguments": arguments, "environment": dict(environment), "lease_seconds": lease_seconds}
    with _ONE_AT_A_TIME:
        nursery = _nursery()
        socket.send_fds(nursery, [json.dumps(order).encode()], [out, err, told])
        os.close(told)
        return Forked(int(nursery.recv(16)), ended)


def run(*arguments: str, environment: Mapping[str, str], seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    """The same to its end, with what it has written."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = fork(*arguments, environment=environment, out=out.fileno(), err=err.fileno())
        try:
            status = child.wait_now(seconds)
        except TimeoutError:
            child.kill()
            raise
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


@cache
def _nursery() -> socket.socket:
    """It ends with this process, since its end of the socket does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours


def _serve(asked: socket.socket) -> None:
    """Fork for every order, and tell of each child how it ended, until nobody asks any more."""
    gc.disable()
    for name in _MODULES:
        importlib.import_module(f"server.{name}")
    gc.freeze()
    gc.enable()
    running: dict[int, int] = {}
    woken, wakes = os.pipe()
    for each in (woken, wakes):
        os.set_blocking(each, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    while True:
        readable, _, _ = select.select([asked.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 1000)
            _tell(running)
        if asked.fileno() in readable:
            order, files, _, _ = socket.recv_fds(asked, _MOST_BYTES, 3)
            if not order:
                return
            pid = os.fork()
            if pid == 0:
                for each in (asked.fileno(), woken, wakes, *running.values()):
                    os.close(each)
                _become(json.loads(order), *files)
            out, err, running[pid] = files
            os.close(out)
            os.close(err)
            asked.send(str(pid).encode())


def _tell(running: dict[int, int]) -> None:
    """Tell of all that ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        told = running.pop(pid)
        os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(told)


def _become(order: dict[str, Any], out: int, err: int, told: int) -> None:
    """The forked process is this command from here on."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(told)
        os.dup2(out, 1)
        os.dup2(err, 2)
        for each in {out, err} - {1, 2}:
            os.close(each)
        os.environ.clear()
        os.environ.update(order["environment"])
        if order["lease_seconds"] is not None:
            _shorten_leases(order["lease_seconds"])
        status = importlib.import_module("server.commands").main(order["arguments"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _shorten_leases(seconds: float) -> None:
    from services import leases

    leases.LEASE_SECONDS, leases.RENEW_SECONDS, leases.SURE_SECONDS = seconds, seconds / 5, seconds * 0.75


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
