"""What goes wrong with calls to the database and to Redis: they take time, fail before or after they were done, and kill who called."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.simulation.virtual_time import Life, current_life, stay_alive

T = TypeVar("T")


@dataclass(slots=True)
class Chances:
    """How likely one call fails in which way."""

    before: float = 0.0
    after: float = 0.0
    partial: float = 0.0
    killed: float = 0.0
    slow: float = 0.0


class Faults:
    """The weather of one server. `away` is set while it does not answer; `calm` ends all faults."""

    def __init__(self, name: str, randomness: random.Random, counts: Counter[str], error: type[Exception]) -> None:
        self._name = name
        self._randomness = randomness
        self._counts = counts
        self._error = error
        self.chances = Chances()
        self.away = False
        self.kill: Callable[[Life], None] = lambda life: None

    def calm(self) -> None:
        """From now on nothing fails."""
        self.chances, self.away = Chances(), False

    async def call(self, apply: Callable[[float], T]) -> T:
        """Let `apply` happen, or not, or in part (it is told which part of it); a call that fails after that raises all the same."""
        stay_alive()
        await asyncio.sleep(self._seconds())
        stay_alive()
        if self.away:
            self._counts[f"{self._name}.away"] += 1
            raise self._error(f"{self._name} is away")
        fate = self._fate()
        if fate == "before":
            raise self._error("lost on the way there")
        part = self._randomness.random() if fate == "partial" else 1.0
        failure: Exception | None = None
        try:
            result = apply(part)
        except Exception as error:  # noqa: BLE001 - raised once the answer is there
            failure = error
        await asyncio.sleep(self._seconds())
        stay_alive()
        if fate in {"after", "partial"}:
            raise self._error("lost on the way back")
        if fate == "killed":
            self._kill_caller("after")
        if failure is not None:
            raise failure
        return result

    def _fate(self) -> str:
        drawn, chances = self._randomness.random(), self.chances
        for fate in ("before", "after", "partial", "killed"):
            drawn -= getattr(chances, fate)
            if drawn < 0:
                if fate == "killed" and (current_life() is None or self._randomness.random() < 0.5):
                    self._kill_caller("before")
                    return ""
                self._counts[f"{self._name}.{fate}"] += 1
                return fate
        return ""

    def _kill_caller(self, when: str) -> None:
        life = current_life()
        if life is not None:
            self._counts[f"{self._name}.killed_{when}"] += 1
            self.kill(life)
            raise asyncio.CancelledError

    def _seconds(self) -> float:
        drawn = self._randomness.random()
        if self._randomness.random() < self.chances.slow:
            self._counts[f"{self._name}.slow"] += 1
            return drawn * 3
        return drawn * 0.003
