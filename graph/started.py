"""An operation that a transport has begun."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from graph.broadcast import Broadcast, SharedField
from graph.request import Answer
from graph.sharing import SharedStream

MakeBroadcast = Callable[[SharedField, Mapping[str, object]], Broadcast[object, object]]
"""What a shared field tells with these arguments."""


async def _never_shared(error: Exception) -> Answer:
    raise error


@dataclass(frozen=True, slots=True)
class Started:
    """An operation that was admitted, or refused. Either its answers are iterated, or it is followed as `shared`."""

    answers: Callable[[], AsyncGenerator[Answer, None]]
    label: str
    refused: Answer | None = None
    """Why it was not admitted; its answers are this one."""
    goes_on: bool = False
    """Whether it may have more than one answer."""
    shared: SharedStream | None = None
    ended: Callable[[Exception], Awaitable[Answer]] = field(default=_never_shared)
    """What a subscriber is told whose shared stream ended with this."""


async def only(answer: Answer) -> AsyncGenerator[Answer, None]:
    """This one."""
    yield answer


async def running(answer: Awaitable[Answer]) -> AsyncGenerator[Answer, None]:
    """The one that is being made."""
    yield await answer
