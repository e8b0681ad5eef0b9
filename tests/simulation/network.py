"""The bus between processes, which loses messages now and then, with a BusGap or without anybody noticing."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from core.bus import DEFAULT_CAPACITY, BusGap, BusHealth, BusMessage, Subscription, SubscriptionRegistry
from tests.simulation.virtual_time import Life


@dataclass
class Network:
    """All processes' ends of the bus. `heard` is told of everything that was published."""

    randomness: random.Random
    counts: Counter[str]
    heard: Callable[[object], None]
    loss: float = 0.0
    ends: list["LifeBus"] = field(default_factory=list)

    def publish(self, topic: str, event: object) -> None:
        """Deliver to everybody who lives, except where it is lost."""
        self.heard(event)
        self.ends = [end for end in self.ends if end.life.alive]
        for end in self.ends:
            if self.randomness.random() >= self.loss:
                end.readers.deliver(BusMessage(topic, event))
            elif self.randomness.random() < 0.5:
                self.counts["bus.gap"] += 1
                end.readers.deliver(BusGap(topic, "lost"))
            else:
                self.counts["bus.lost"] += 1


class LifeBus:
    """One process's end."""

    def __init__(self, network: Network, life: Life) -> None:
        self.life = life
        self.readers = SubscriptionRegistry()
        self._network = network
        network.ends.append(self)

    async def start(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        self.readers.close()

    def publish(self, topic: str, event: object) -> None:
        if self.life.alive:
            self._network.publish(topic, event)

    def subscribe(self, *topics: str, capacity: int = DEFAULT_CAPACITY) -> Subscription:
        return self.readers.add(topics, capacity)

    async def health(self) -> BusHealth:
        return BusHealth(healthy=True, detail="in memory", latency_ms=0.0)
