"""Our own sequence numbers: +1 each, never given out twice, also over a kill.

Blocks of numbers are reserved in the database before any of them is used. A clean stop gives the unused rest back, so that counting
continues at +1; after a kill the rest of the block is skipped.
"""

from collections.abc import Iterable

from core.vocabulary import Series
from models.market_state import read_sequences, write_sequences

BLOCK = 10_000
"""Numbers reserved at a time: minutes of the busiest market, so that counting outlives a short absence of the database."""


def trade_sequence(series: Series, symbol: str) -> str:
    """Name of the counter of a market's trades in one series."""
    return f"trade:{series}:{symbol}"


def tick_sequence(symbol: str) -> str:
    """Name of the counter of a market's ticks."""
    return f"tick:{symbol}"


def book_sequence(symbol: str) -> str:
    """Name of the counter of a market's reference book."""
    return f"book:{symbol}"


class Sequences:
    """The counters of one process, by name. Only one process may hold a name at a time."""

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._next: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        """First number that is not reserved."""

    async def load(self, names: Iterable[str]) -> None:
        """Continue these counters where they stand, the unknown ones at 1, and reserve a block of each."""
        wanted = [name for name in names if name not in self._next]
        stored = await read_sequences(wanted)
        reserved = {name: stored.get(name, 1) + self._block for name in wanted}
        await write_sequences(reserved)
        for name in wanted:
            self._next[name] = stored.get(name, 1)
        self._reserved |= reserved

    def peek(self, name: str) -> int:
        """The number that `next` would give out."""
        return self._next[name]

    async def next(self, name: str) -> int:
        """Give out the next number. Waits for the database only when the reserved block is used up."""
        while self._next[name] >= self._reserved[name]:
            await self._reserve([name])
        number = self._next[name]
        self._next[name] = number + 1
        return number

    def used(self, name: str, number: int) -> None:
        """A number was given out by somebody who counts by himself, from `peek` on.

        He never waits: should the database be away for more than a block, he counts on beyond what is reserved, and only a kill
        in that time could make a later start repeat a number.
        """
        self._next[name] = number + 1

    async def top_up(self) -> None:
        """Reserve ahead for counters that have used more than half of their block; call it every second or so."""
        await self._reserve(
            [name for name, number in self._next.items() if self._reserved[name] - number < self._block // 2]
        )

    async def close(self) -> None:
        """Give back what was reserved and not used. No number may be taken afterwards."""
        numbers = self._next
        self._next, self._reserved = {}, {}
        await write_sequences(numbers)

    async def _reserve(self, names: Iterable[str]) -> None:
        reserved = {name: self._next[name] + self._block for name in names}
        await write_sequences(reserved)
        for name, number in reserved.items():
            self._reserved[name] = max(self._reserved[name], number)
