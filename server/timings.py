"""What is observed for every request: a number in a list, not four locks. It is shown as Prometheus' own histograms and counters."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Timing:
    """Observations under one set of labels."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket, the last for what is above all bounds."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one. For the thread of the event loop only."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class Count:
    """How often something happened under one set of labels. For the thread of the event loop only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


Observed = TypeVar("Observed")


class _Labelled(Collector, Generic[Observed]):
    """What is observed, by the values of its labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], begin: Callable[[], Observed]) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._observed: dict[tuple[str, ...], Observed] = {}
        self._begin = begin

    def labels(self, *values: str) -> Observed:
        """What is observed under these values of the labels."""
        observed = self._observed.get(values)
        if observed is None:
            observed = self._observed[values] = self._begin()
        return observed


class Timings(_Labelled[Timing]):
    """One histogram with its labels. `bounds`: upper ones of the buckets, ascending, in seconds."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], *, bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        super().__init__(name, text, labels, partial(Timing, tuple(bounds)))
        self._names = (*map(floatToGoString, bounds), "+Inf")
        registry.register(self)

    def describe(self) -> list[HistogramMetricFamily]:
        return [HistogramMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, timing in self._observed.items():
            buckets, below = [], 0
            for name, count in zip(self._names, timing.counts, strict=True):
                below += count
                buckets.append((name, below))
            family.add_metric(values, buckets, timing.total)
        yield family


class Counts(_Labelled[Count]):
    """One counter with its labels. `name`: without `_total`."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry) -> None:
        super().__init__(name, text, labels, Count)
        registry.register(self)

    def describe(self) -> list[CounterMetricFamily]:
        return [CounterMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, count in self._observed.items():
            family.add_metric(values, count.value)
        yield family
