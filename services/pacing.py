"""Pacing a replay at full speed by its readers: nothing more is played until every process's readers have taken what was.

The worker asks (`PaceRequested`) after every few trades; a process answers (`PaceConfirmed`) once the readers of the market's ticks have taken
everything before the question, with how many readers it has. With no reader anywhere the replay waits for one.
"""

import asyncio

from core.bus import Bus
from core.clock import Clock
from events.market import MARKET_TOPIC, PaceConfirmed, PaceRequested

ANSWER_SECONDS = 6.0
"""A process that does not answer by then is taken for gone; longer than it waits for its own readers."""
ASK_AGAIN_SECONDS = 0.1


class Pacer:
    """Asks and waits, for one market."""

    def __init__(self, bus: Bus, clock: Clock, symbol: str) -> None:
        self._bus = bus
        self._clock = clock
        self._symbol = symbol
        self._number = 0
        self._processes: set[str] = set()
        self._answers: dict[str, int] = {}
        self._answered = asyncio.Event()

    def joined(self, process: str) -> None:
        """A process follows the markets from now on."""
        self._processes.add(process)

    def confirmed(self, answer: PaceConfirmed) -> None:
        """A process answered."""
        if answer.symbol == self._symbol and answer.number == self._number:
            self._processes.add(answer.process)
            self._answers[answer.process] = answer.readers
            self._answered.set()

    async def wait(self) -> None:
        """Return once there is a reader and every reader has taken what was published before."""
        while await self._ask() == 0:
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _ask(self) -> int:
        """Readers in all processes, once each of them has answered or is given up."""
        self._number += 1
        self._answers.clear()
        self._bus.publish(MARKET_TOPIC, PaceRequested(self._symbol, self._number))
        deadline = self._clock.monotonic() + ANSWER_SECONDS
        while not self._processes or not self._processes <= self._answers.keys():
            self._answered.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - self._clock.monotonic())):
                    await self._answered.wait()
            except TimeoutError:
                self._processes = set(self._answers)
                break
        return sum(self._answers.values())
