"""Processes of ours that start at once, for tests that kill many: one process loads the code, and is forked for every `python -m server …`.

A child has nothing of the others but the code: its environment, its log and its memory are its own, and SIGKILL ends it like any other. Leases last
LEASE_SECONDS there instead of ten seconds, so that whoever is started after a kill does not stand idle for long.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.components import ROOT, free_port, stop
from tests.flows.servers import Server, environment, wait_until_live
from tests.processes import gone

LEASE_SECONDS = 2.0


@dataclass
class Child:
    """One of them, as far as tests ask a process."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return None if psutil.pid_exists(self.pid) else -1

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> None:
        """Return once it is gone."""
        if psutil.pid_exists(self.pid):
            await gone([psutil.Process(self.pid)])


@dataclass
class Nursery:
    """Where they come from."""

    process: asyncio.subprocess.Process
    folder: Path

    async def start(self, *command: str, settings: Mapping[str, str], port: int | None = None) -> Server:
        """`python -m server COMMAND` with these settings; of an API, once it answers."""
        port = port or free_port()
        log_file = self.folder / f"{'-'.join(command)}-{port}.log"
        ports = {"PORT": str(port), "WORKER_PORT": str(port), "DATA_DIR": str(self.folder / "data")}
        order = {"command": command, "log": str(log_file), "environment": environment({**ports, **settings})}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        child: Any = Child(int(await self.process.stdout.readline()))
        running = Server(child, f"http://127.0.0.1:{port}", log_file)
        if command[0] == "api":
            await wait_until_live(running)
        return running


@asynccontextmanager
async def nursery(folder: Path) -> AsyncIterator[Nursery]:
    """One that has loaded the code; at the end it and all that came from it are killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.faults.nursery"),
        cwd=ROOT,
        env=environment({}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield Nursery(process, folder)
    finally:
        children = psutil.Process(process.pid).children() if process.returncode is None else []
        for child in children:
            child.kill()
        await stop(process)
        await gone(children)


def _serve() -> None:
    from server import api, commands, workers
    from services import leases

    leases.LEASE_SECONDS, leases.RENEW_SECONDS, leases.SURE_SECONDS = (
        LEASE_SECONDS,
        LEASE_SECONDS / 5,
        LEASE_SECONDS * 0.75,
    )
    assert api
    assert workers
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order["log"], order["environment"], commands.main, order["command"])
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(log: str, variables: Mapping[str, str], main: Any, command: Sequence[str]) -> None:
    """The forked process is this command from here on."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(old, new)
        os.environ.clear()
        os.environ.update(variables)
        status = main(command)
    except BaseException:  # noqa: BLE001 (reported, whatever it is)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
