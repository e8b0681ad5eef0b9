"""Waiting between tries: exponential with full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter")."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays that grow from `first_seconds` to `most_seconds`; `reset` after a success that lasted."""

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    randomness: random.Random = field(default_factory=random.Random)
    _attempt: int = 0

    def next_delay(self) -> float:
        """Seconds to wait before the next try: between half of the step and the whole of it."""
        step: float = min(self.most_seconds, self.first_seconds * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 30)
        return step * self.randomness.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again from the first delay."""
        self._attempt = 0
