"""`python -m bench.start`: how long until a started server answers?

Starts on an empty folder and on one that is there already are interleaved with the limit: an interpreter that imports what the server
imports and ends. The goal of the second start is three seconds on an idle machine.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.servers import ROOT, dev_server, free_port

IMPORTS = "import server.commands, server.dev"


async def main() -> None:
    """Measure, and print what was seen."""
    options = _options()
    figures: dict[str, list[float]] = {"imports": [], "first start": [], "second start": []}
    for _ in range(options.rounds):
        figures["imports"].append(await _imports())
        with tempfile.TemporaryDirectory() as folder:
            for name in ("first start", "second start"):
                figures[name].append(await _start(Path(folder)))
    limit = statistics.median(figures["imports"])
    for name, seconds in figures.items():
        middle = statistics.median(seconds)
        print(f"{name}: {middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), {middle / limit:.2f} of the limit")


async def _imports() -> float:
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IMPORTS, cwd=ROOT, env={"PATH": os.environ["PATH"]}
    )
    if await process.wait() != 0:
        raise RuntimeError("the imports failed")
    return time.perf_counter() - start


async def _start(folder: Path) -> float:
    async with AsyncExitStack() as stack:
        start = time.perf_counter()
        await stack.enter_async_context(dev_server(free_port(), {}, folder))
        return time.perf_counter() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How long until a started server answers?")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
