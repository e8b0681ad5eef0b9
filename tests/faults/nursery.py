"""Processes of ours for tests that kill many.

Leases last LEASE_SECONDS there instead of ten seconds, so that whoever is started after a kill does not stand idle for long.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.components import free_port
from tests.flows.servers import Server, environment, wait_until_live
from tests.nursery import Forked, fork

LEASE_SECONDS = 2.0


@dataclass
class Nursery:
    """Where they come from."""

    folder: Path
    children: list[Forked] = field(default_factory=list)

    async def start(self, *command: str, settings: Mapping[str, str], port: int | None = None) -> Server:
        """`python -m server COMMAND` with these settings; of an API, once it answers."""
        port = port or free_port()
        log_file = self.folder / f"{'-'.join(command)}-{port}.log"
        ports = {"PORT": str(port), "WORKER_PORT": str(port), "DATA_DIR": str(self.folder / "data")}
        variables = environment({**ports, **settings})
        with log_file.open("ab") as output:
            child = fork(
                *command,
                environment=variables,
                out=output.fileno(),
                err=output.fileno(),
                lease_seconds=LEASE_SECONDS,
            )
        self.children.append(child)
        running = Server(child, f"http://127.0.0.1:{port}", log_file)
        if command[0] == "api":
            await wait_until_live(running)
        return running


@asynccontextmanager
async def nursery(folder: Path) -> AsyncIterator[Nursery]:
    """At the end all that came from it are killed."""
    made = Nursery(folder)
    try:
        yield made
    finally:
        for child in made.children:
            child.kill()
            await child.wait()
