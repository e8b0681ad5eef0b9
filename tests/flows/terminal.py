"""A newcomer's terminal: what stands in the README, pasted into a shell."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.components import ENCRYPTION_KEY, ROOT, START_SECONDS, missing
from tests.flows.servers import Server

_DONE = "done-with-this-block"


def blocks(section: int) -> list[str]:
    """What the README has for a shell in the tour's section of this number."""
    text = (ROOT / "README.md").read_text()
    section_text = text.partition(f"\n### {section}. ")[2].partition("\n### ")[0]
    found = re.findall(r"^```sh\n(.*?)^```", section_text, re.MULTILINE | re.DOTALL)
    assert found, f"section {section} has nothing to paste"
    return found


@dataclass
class Terminal:
    """A shell whose variables and functions stay from one paste to the next."""

    shell: asyncio.subprocess.Process
    running: Server
    folder: Path

    async def paste(self, text: str) -> str:
        """Run it, for this server; what is written. Fails where a command or an operation does."""
        here = text.replace("http://localhost:8000", self.running.base_url).replace(".venv/bin/python", sys.executable)
        block = self.folder / "block.sh"
        block.write_text(f"set -e -o pipefail\n{here}\nset +e\n")
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f". {block}; echo {_DONE}\n".encode())
        lines: list[str] = []
        async with asyncio.timeout(START_SECONDS):
            while not lines or lines[-1] != _DONE:
                line = await self.shell.stdout.readline()
                assert line, f"the shell ended at\n{text}\n" + "\n".join(lines) + self._complaints()
                lines.append(line.decode().rstrip("\n"))
        for written in lines:
            if written.startswith(('{"data"', '{"errors"')):
                _require_done(json.loads(written))
        return "\n".join(lines[:-1])

    def _complaints(self) -> str:
        return (self.folder / "shell.log").read_text(errors="replace")[-2000:]


@asynccontextmanager
async def terminal(folder: Path, running: Server) -> AsyncIterator[Terminal]:
    """A shell in the project's folder, beside the server whose data is in `folder`."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            missing(program)
    environment = {"PATH": os.environ["PATH"], "ENCRYPTION_KEY": ENCRYPTION_KEY, "DATA_DIR": str(folder / "data")}
    with (folder / "shell.log").open("wb") as complaints:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc"),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
    try:
        yield Terminal(shell, running, folder)
    finally:
        if shell.returncode is None:
            shell.kill()
            await shell.wait()


def _require_done(answer: dict[str, Any]) -> None:
    assert "errors" not in answer, answer
    for payload in answer["data"].values():
        assert not payload.get("errors"), answer
