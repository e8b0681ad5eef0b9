"""Live values: what holds now, then every change; and what a reader is given that falls behind."""

from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from core.channel import Channel, ConflatingChannel
from services.market_states import Observer, Watchers

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Live(Generic[Item]):
    """What is followed. Of two with the same `watchers`, only `keys` may differ in what they tell."""

    name: str
    """What the observer calls it."""
    keys: tuple[Hashable, ...]
    """What is watched, each once."""
    watchers: Watchers[Item]
    current: Callable[[Hashable], Item | None]
    """What holds now of a key; None: not known."""
    capacity: int
    """Items a reader of its own may be behind."""
    observer: Observer
    place: Callable[[Item], Hashable] | None = None
    """Of items with the same place the newest is enough for a reader that falls behind. None: nothing may be left out."""
    restarts: bool = False
    """A reader that falls behind begins again with what holds then."""
    hold: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered for as long as anybody follows."""

    def lost(self, items: int) -> None:
        """So many items were not shown to a reader."""
        if self.place is None and not self.restarts:
            self.observer.dropped(self.name, items)
        else:
            self.observer.conflated(self.name, items)


class _RestartingChannel(Channel[Item]):
    """When its reader is too far behind, what waits is replaced by what holds."""

    def __init__(self, capacity: int, *, current: Callable[[], Item | None], lost: Callable[[int], None]) -> None:
        super().__init__(capacity, lost=lost)
        self._current = current

    def overflow(self, item: Item) -> None:
        self.replace(self._current() or item)


async def follow(live: Live[Item]) -> AsyncGenerator[Item, None]:
    """What holds of each key, then every change, for one reader. Ends with ReaderTooSlow where nothing may be left out."""
    with live.hold():
        channel = _channel(live)
        with live.watchers.open(live.keys, channel):
            for key in live.keys:
                if (item := live.current(key)) is not None:
                    channel.put(item)
            async for item in channel:
                yield item


def _channel(live: Live[Item]) -> Channel[Item]:
    if live.restarts:
        return _RestartingChannel(live.capacity, current=partial(live.current, live.keys[0]), lost=live.lost)
    if live.place is None:
        return Channel(live.capacity, lost=live.lost)
    return ConflatingChannel(live.capacity, live.place, lost=live.lost)
