"""Runs any set of loops in one process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping


async def run(loops: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Run these until cancelled; the first that fails ends the others, and its error is raised."""
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(_run(loop), name=name)


async def _run(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()
