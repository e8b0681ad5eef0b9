"""The way to the exchange: every process asks its one writer through this, wherever the writer runs."""

import asyncio
from abc import ABC, abstractmethod
from typing import Protocol

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from core.order_vocabulary import OrderErrorCode
from core.redis_requests import NotAsked, RedisRequests, Reply
from core.timeouts import Timeouts
from events import codec, questions_codec
from events.answers import Answer, HouseState, PreviewOrder, PreviewState, ReadHouse
from events.commands import Command, key_of
from events.questions_codec import Question
from models import client_key
from services.exchange_inbox import Answered, Asked, Inbox, refused

log = structlog.get_logger(__name__)

DEADLINE_MS = 5_000
"""How long a question may wait for the writer; one that is begun later is refused there."""
GRACE_SECONDS = 1.0
"""How much longer its answer is waited for."""
_UNKNOWN = refused(OrderErrorCode.OUTCOME_UNKNOWN)


class ExchangeGateway(Protocol):
    """Asks the exchange. Nothing here raises for an exchange that does not answer: that is an answer, too.

    What could not be sent, or was too late, is refused with EXCHANGE_UNAVAILABLE or COMMAND_EXPIRED and changed nothing; of what was
    sent and not answered in time the refusal is OUTCOME_UNKNOWN: the same key may be tried again.
    """

    async def ask(self, command: Command) -> Answer:
        """Have a command executed, durably, before this returns."""
        ...

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        """What an order would do now; None: the exchange does not answer."""
        ...

    async def house(self) -> HouseState | None:
        """The house's position; None: the exchange does not answer."""
        ...


class NoExchange:
    """The gateway of a process from which no exchange can be reached."""

    async def ask(self, command: Command) -> Answer:  # noqa: ARG002
        return refused(OrderErrorCode.EXCHANGE_UNAVAILABLE)

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:  # noqa: ARG002
        return None

    async def house(self) -> HouseState | None:
        return None


class _Gateway(ABC):
    """What all ways have in common."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def ask(self, command: Command) -> Answer:
        answer = await self._ask(command)
        if not isinstance(answer, Answer):
            answer = refused(OrderErrorCode.OUTCOME_UNKNOWN)
        if answer.refusal is not None and answer.refusal.code is OrderErrorCode.OUTCOME_UNKNOWN:
            return await self._looked_up(command) or answer
        return answer

    async def _looked_up(self, command: Command) -> Answer | None:
        """What the command's key led to, if that can be read already."""
        key = key_of(command)
        if key is None:
            return None
        try:
            found = (await client_key.find_keys([key])).get(key)
        except PyMongoError:
            return None
        digest = getattr(command, "digest", None)
        return Answer(made=found[1], replayed=True, sequence=found[1]) if found and found[0] == digest else None

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        answer = await self._ask(wish)
        return answer if isinstance(answer, PreviewState) else None

    async def house(self) -> HouseState | None:
        answer = await self._ask(ReadHouse())
        return answer if isinstance(answer, HouseState) else None

    @abstractmethod
    async def _ask(self, question: Command | PreviewOrder | ReadHouse) -> Answered:
        """The writer's answer; a refusal where there is none."""


class LocalGateway(_Gateway):
    """To a writer in this process."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        super().__init__(clock)
        self._inbox = inbox
        self._timeouts = Timeouts(DEADLINE_MS / 1000 + GRACE_SECONDS)

    async def _ask(self, question: Command | PreviewOrder | ReadHouse) -> Answered:
        waiting: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        def reply(answer: Answered) -> None:
            if not waiting.done():
                waiting.set_result(answer)

        if not self._inbox.put(Asked(question, self._clock.now_ms() + DEADLINE_MS, reply)):
            return refused(OrderErrorCode.EXCHANGE_UNAVAILABLE)
        try:
            with self._timeouts.limit():
                return await waiting
        except TimeoutError:
            return _UNKNOWN


class RedisGateway(_Gateway):
    """To a writer in any process."""

    def __init__(self, requests: RedisRequests, clock: Clock) -> None:
        super().__init__(clock)
        self._requests = requests

    async def _ask(self, question: Command | PreviewOrder | ReadHouse) -> Answered:
        body = questions_codec.encode(Question(question, self._clock.now_ms() + DEADLINE_MS))
        try:
            answer = codec.decode(await self._requests.ask(body, timeout_seconds=DEADLINE_MS / 1000 + GRACE_SECONDS))
        except NotAsked:
            return refused(OrderErrorCode.EXCHANGE_UNAVAILABLE)
        except (TimeoutError, codec.UnknownEvent):
            return refused(OrderErrorCode.OUTCOME_UNKNOWN)
        if isinstance(answer, Answer | PreviewState | HouseState):
            return answer
        return refused(OrderErrorCode.OUTCOME_UNKNOWN)


def take_remote(inbox: Inbox, body: bytes, again: bool, reply: Reply) -> None:
    """Let a question of another process wait for the writer. `again`: another may have taken it, and executed it."""
    try:
        asked, deadline_ms = questions_codec.decode(body)
    except questions_codec.UnknownQuestion:
        log.warning("exchange.unknown_question")
        reply(codec.encode(refused(OrderErrorCode.EXCHANGE_UNAVAILABLE)))
        return
    question = Asked(asked, deadline_ms, lambda answer: reply(codec.encode(answer)), again)
    if not inbox.put(question):
        question.reply(question.not_done(OrderErrorCode.EXCHANGE_UNAVAILABLE))
