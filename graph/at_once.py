"""Execution of a private operation in one go, for an answer that is given as soon as its request has arrived."""

import asyncio

import orjson
import structlog

from core.begun import Begun
from graph.compile import Outcome
from graph.judged import Judged
from graph.read_marks import marks
from graph.request import Caller, Outgoing
from graph.response_cache import Encoded

log = structlog.get_logger(__name__)

_NOTHING = Outgoing()


class Unfinished:
    """Executions that were begun and had to wait. Each comes to its end, so that nothing is left half done, but nobody is told."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: the limit of one."""
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, begun: Begun[Outcome]) -> None:
        """Let it go on."""
        task = asyncio.get_running_loop().create_task(self._finish(begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, begun: Begun[Outcome]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await begun
        except Exception:
            log.exception("at_once.unfinished")


def executed_for(judged: Judged, caller: Caller, context: object, unfinished: Unfinished) -> Encoded | None:
    """The answer for this caller; None where it has errors or waits, or where data is not all there is to tell."""
    if judged.compiled is None or judged.coerced is None:
        return None
    begun = Begun(judged.compiled.execute(context, judged.coerced))
    if not begun.done:
        unfinished.add(begun)
        return None
    outcome = begun.value
    if outcome.errors or marks(caller) or caller.outgoing != _NOTHING:
        return None
    try:
        return Encoded((), orjson.dumps(outcome.data))
    except orjson.JSONEncodeError:
        return None
