"""Child processes of a bench: started on a core, waited for, stopped."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT

START_SECONDS = 60.0
STOP_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Running:
    """A child, and the file that holds what it says."""

    process: asyncio.subprocess.Process
    said: Path

    @property
    def pid(self) -> int:
        """Its id; that of the program itself, not of what pins it."""
        return self.process.pid


@asynccontextmanager
async def running(
    command: Sequence[str], *, core: int, said: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a command in the repository's root on one core; SIGTERM at the end, and SIGKILL when that is not enough."""
    with said.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("taskset", "-c", str(core), *command), cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        yield Running(process, said)
    finally:
        await _stop(process)


async def listening(port: int, child: Running) -> None:
    """Return when the port accepts. Raises RuntimeError with what the child said when it ends first or takes too long."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while child.process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return
    except TimeoutError:
        pass
    tail = (await asyncio.to_thread(child.said.read_text, errors="replace"))[-800:]
    raise RuntimeError(f"nobody listens on {port}; {child.said.name}: {tail}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
