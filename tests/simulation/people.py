"""People who ask the exchange, as programs of clients do: with keys, again when they cannot know, sometimes several times at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from core.order_vocabulary import OrderErrorCode
from events.answers import Answer, PreviewOrder
from events.commands import (
    CancelGroup,
    CancelOrder,
    Command,
    CreditDeposit,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    ReleaseWithdrawal,
    ReverseDeposit,
    SettleWithdrawal,
)
from services.exchange_gateway import ExchangeGateway
from tests.exchange.floor import FUNDS
from tests.simulation.wishes import Wishes

Code = OrderErrorCode
FUNDS_KEYED = (
    MoveFunds, CreditDeposit, ReverseDeposit, HoldWithdrawal, SettleWithdrawal, ReleaseWithdrawal, MoveHouseFunds,
)  # fmt: skip
KEYED = (PlaceOrder, PlaceOco, PlaceBracket, *FUNDS_KEYED)
AGAIN = {Code.OUTCOME_UNKNOWN, Code.COMMAND_EXPIRED, Code.EXCHANGE_UNAVAILABLE}
"""After these the same may be asked again."""


@dataclass(slots=True)
class Attempt:
    """One question and its answer; None: nobody waited for it."""

    command: Command
    answer: Answer | None = None
    asked_at: float = 0.0

    def __str__(self) -> str:
        """Short enough for a failure."""
        if self.answer is None:
            said = "no answer"
        else:
            said = self.code or f"made {self.answer.made}{' again' if self.answer.replayed else ''}"
            said = f"{said} at {self.answer.sequence}"
        return f"{self.asked_at:.3f} s: {type(self.command).__name__}{tuple(self.command)[:2]}: {said}"

    @property
    def code(self) -> OrderErrorCode | None:
        """Why it was refused; None: it was not."""
        return self.answer.refusal.code if self.answer is not None and self.answer.refusal is not None else None

    @property
    def is_open(self) -> bool:
        """Whether nobody can know what became of it."""
        return self.answer is None or self.code is Code.OUTCOME_UNKNOWN


@dataclass
class Records:
    """Everything that was asked. `answered` is told of every answer at once."""

    counts: Counter[str]
    answered: Callable[[Attempt], None]
    attempts: list[Attempt] = field(default_factory=list)

    async def ask(self, gateway: ExchangeGateway, command: Command) -> Attempt:
        """Ask once."""
        attempt = Attempt(command, asked_at=asyncio.get_running_loop().time())
        self.attempts.append(attempt)
        attempt.answer = await gateway.ask(command)
        self.counts["asked"] += 1
        if attempt.code is not None:
            self.counts[f"refused.{attempt.code}"] += 1
        elif attempt.answer.replayed:
            self.counts["replayed"] += 1
        else:
            self.counts["accepted"] += 1
        self.answered(attempt)
        return attempt

    async def insist(self, gateway: Callable[[], ExchangeGateway], command: Command, tries: int) -> Attempt:
        """Ask until it is known what became of it, but no more often than this."""
        while True:
            attempt = await self.ask(gateway(), command)
            tries -= 1
            if attempt.code not in AGAIN or tries <= 0:
                return attempt
            await asyncio.sleep(0.7)


@dataclass
class Person:
    """One account and its program."""

    wishes: Wishes
    randomness: random.Random
    records: Records
    gateway: Callable[[], ExchangeGateway]
    now_ms: Callable[[], int]

    async def live(self, commands: int, pause_seconds: float) -> None:
        """Ask for so many things."""
        wealth = self.randomness.choice((1, 1, 1, 10_000, 10_000_000))
        for asset, units in FUNDS.items():
            await self._insist(self.wishes.funds(asset, units // wealth))
        for _ in range(commands):
            await asyncio.sleep(self.randomness.expovariate(1 / pause_seconds))
            await self._do(self.wishes.anything(self.now_ms()))

    async def _do(self, command: Command) -> None:
        drawn = self.randomness.random()
        if drawn < 0.06:
            await asyncio.gather(*(self._insist(command) for _ in range(self.randomness.randint(2, 5))))
        elif drawn < 0.09 and (other := self.wishes.again(command, self.now_ms())) is not None:
            await asyncio.gather(self._insist(command), self._insist(other))
        elif drawn < 0.11 and isinstance(command, PlaceOrder):
            await self.gateway().preview(PreviewOrder(command.account, command.wish))
        elif drawn < 0.13:
            await self._give_up(command)
        else:
            await self._insist(command)

    async def _give_up(self, command: Command) -> None:
        """Ask, and go away before the answer; ask again later, perhaps."""
        asking = asyncio.ensure_future(self.records.ask(self.gateway(), command))
        await asyncio.sleep(self.randomness.random() * 0.03)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if self.randomness.random() < 0.7:
            await self._insist(command)

    async def _insist(self, command: Command) -> None:
        tries = 1 if self.randomness.random() < 0.1 else 8
        attempt = await self.records.insist(self.gateway, command, tries)
        answer = attempt.answer
        if answer is None or answer.refusal is not None or not answer.made:
            return
        if isinstance(command, PlaceOco | PlaceBracket):
            self.wishes.groups.append(answer.made)
            self.wishes.orders += [order.id for order in answer.orders]
        elif isinstance(command, PlaceOrder):
            self.wishes.orders.append(answer.made)


def ended_by(attempt: Attempt) -> int:
    """The order or group that an acknowledged cancel has ended; 0: none."""
    if attempt.answer is None or attempt.answer.refusal is not None:
        return 0
    return attempt.answer.made if isinstance(attempt.command, CancelOrder | CancelGroup) else 0
