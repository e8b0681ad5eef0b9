"""Execution of a private operation in one go, for an answer that is given as soon as its request has arrived."""

import asyncio
from collections.abc import Coroutine

import orjson
import structlog

from core.begun import Begun, Starter
from core.request_id import request_scope
from graph.compile import Outcome
from graph.read_marks import marks
from graph.request import Caller, Outgoing
from graph.response_cache import Encoded

log = structlog.get_logger(__name__)

_NOTHING = Outgoing()


class AtOnceExecution:
    """Executes outside of any task. What has to wait all the same comes to its end, so that nothing is left half done, but nobody is told."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: the limit of one that waits."""
        self._seconds = seconds
        self._starter = Starter(self._finish)

    async def _finish(self, begun: Begun[Outcome]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await begun
        except Exception:
            log.exception("at_once.unfinished")

    def executed_for(self, caller: Caller, execution: Coroutine[object, object, Outcome]) -> Encoded | None:
        """The answer for this caller; None where it has errors or waits, or where data is not all there is to tell."""
        try:
            begun = self._starter.begin(_scoped(caller, execution))
            if not begun.done:
                return None
            outcome = begun.value
            if outcome.errors or marks(caller) or caller.outgoing != _NOTHING:
                return None
            return Encoded((), orjson.dumps(outcome.data))
        except orjson.JSONEncodeError:
            return None


async def _scoped(caller: Caller, execution: Coroutine[object, object, Outcome]) -> Outcome:
    with request_scope(caller.request_id):
        return await execution
