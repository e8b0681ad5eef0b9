"""Processes of ours for tests that kill many.

Leases last LEASE_SECONDS there instead of ten seconds, so that whoever is started after a kill does not stand idle for long.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.components import Running, free_port
from tests.flows.servers import Server, begin, wait_until_live

LEASE_SECONDS = 2.0


@dataclass
class Nursery:
    """Where they come from."""

    folder: Path
    children: list[Running] = field(default_factory=list)

    async def start(self, *command: str, settings: Mapping[str, str], port: int | None = None) -> Server:
        """`python -m server COMMAND` with these settings; of an API, once it answers."""
        port = port or free_port()
        ports = {"WORKER_PORT": str(port), **settings}
        running = begin(self.folder, *command, settings=ports, port=port, lease_seconds=LEASE_SECONDS)
        self.children.append(running.process)
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
