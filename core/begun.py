"""Begin a coroutine at once, so that what only concerns those that wait is set up for them alone."""

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Begun(Generic[Value]):
    """A coroutine that has run as far as it could without waiting.

    It runs in the task that makes this object, which must be the one that awaits it, with nothing awaited in between. Whatever the coroutine
    raises before it waits is raised here.
    """

    __slots__ = ("_coroutine", "_value", "_waits_for", "done")

    def __init__(self, coroutine: Coroutine[object, object, Value]) -> None:
        self._coroutine = coroutine
        self._value: Value
        self._waits_for: object = None
        self.done = False
        """Whether it never waited: `value` has the result."""
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as ended:
            self._value = ended.value
            self.done = True

    def close(self) -> None:
        """Give up one that waits: nobody will await it."""
        self._coroutine.close()

    @property
    def value(self) -> Value:
        """The result of one that is done."""
        return self._value

    def __await__(self) -> Generator[object, object, Value]:
        if self.done:
            return self._value
        waits_for = self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's own to deal with
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(sent)
        except StopIteration as ended:
            value: Value = ended.value
            return value


class Starter(Generic[Value]):
    """Begins coroutines where no task runs, such as in a protocol's callbacks.

    Each runs as a task runs it that stands ready: it finds that task as the current one, for its timeouts and groups, and the task's context. One that waits is
    the task's from there on, and another is made ready.
    """

    def __init__(self, take_over: Callable[[Begun[Value]], Coroutine[object, object, None]]) -> None:
        """`take_over`: what the task does with a coroutine that waits; it awaits it."""
        self._take_over = take_over
        self._spare: _Spare[Value] | None = None
        self._busy: set[asyncio.Task[None]] = set()

    def begin(self, coroutine: Coroutine[object, object, Value]) -> Begun[Value]:
        """Let it run as far as it can without waiting. If it is not done by then, it is not the caller's any more."""
        spare = self._spare
        if spare is None or spare.task.done():
            spare = self._spare = _Spare(self._take_over)
        begun = spare.run(coroutine)
        if not begun.done:
            self._spare = None
            self._busy.add(spare.task)
            spare.task.add_done_callback(self._busy.discard)
            spare.handed.set_result(begun)
        return begun


class _Spare(Generic[Value]):
    """A task that waits for what it is to take over."""

    def __init__(self, take_over: Callable[[Begun[Value]], Coroutine[object, object, None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self.handed: asyncio.Future[Begun[Value]] = self._loop.create_future()
        self.task = self._loop.create_task(self._wait(take_over), context=self._context)

    async def _wait(self, take_over: Callable[[Begun[Value]], Coroutine[object, object, None]]) -> None:
        await take_over(await self.handed)

    def run(self, coroutine: Coroutine[object, object, Value]) -> Begun[Value]:
        outer = asyncio.current_task()
        if outer is not None:
            _leave_task(self._loop, outer)
        _enter_task(self._loop, self.task)
        try:
            return self._context.run(Begun, coroutine)
        finally:
            _leave_task(self._loop, self.task)
            if outer is not None:
                _enter_task(self._loop, outer)
