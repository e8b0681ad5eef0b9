"""Metrics in Prometheus' text format, one registry per process; every label has a bounded set of values.

Counters count since the process started. Times are seconds. https://prometheus.io/docs/practices/naming/
The GraphQL transports add their own to the same registry (`transport_metrics.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from core.clock import Clock
from core.vocabulary import FeedStatus
from events.chain import ChainState
from events.market import FeedChanged
from server.timings import Count, Counts, Timing, Timings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAMESPACE = "cryptovault"
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})

FeedReader = Callable[[], Iterable[FeedChanged]]
"""Gives the newest state of every market's feed that this process knows."""

ChainReader = Callable[[], Mapping[str, ChainState]]
"""Gives the state of every chain that has nodes, by its key."""


class Metrics:
    """What this process counts. `paths` are the paths told apart; any other is counted as `other`."""

    def __init__(self, paths: frozenset[str] = frozenset()) -> None:
        self.registry = CollectorRegistry()
        self._paths = paths
        ProcessCollector(registry=self.registry)
        self._http_requests = Counts(
            f"{NAMESPACE}_http_requests",
            "Answered HTTP requests",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self._http_seconds = Timings(
            f"{NAMESPACE}_http_request_seconds",
            "Time to answer, streams excepted",
            ["path"],
            bounds=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._dropped = self._counter("dropped_messages", "Messages a slow reader lost, told to it", "stream")
        self._conflated = self._counter("conflated_messages", "Messages replaced by a newer one", "stream")
        self._bus_gaps = self._counter("bus_gaps", "Times this process may have missed messages of the bus")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=NAMESPACE, registry=self.registry)

    def http_request(self, *, method: str, path: str, status: int, seconds: float | None) -> None:
        """Count an answered request; `seconds` is None for a stream, whose length says nothing."""
        self.requests(method, path, status).value += 1
        if seconds is not None:
            self.seconds(path).observe(seconds)

    def requests(self, method: str, path: str, status: int) -> Count:
        """What counts requests of this kind."""
        return self._http_requests.labels(method if method in _METHODS else "other", self._known(path), str(status))

    def seconds(self, path: str) -> Timing:
        """What times answers on this path."""
        return self._http_seconds.labels(self._known(path))

    def _known(self, path: str) -> str:
        return path if path in self._paths else "other"

    def dropped(self, stream: str, messages: int = 1) -> None:
        """Count messages lost to a slow reader; `stream` is a name from our code."""
        self._dropped.labels(stream).inc(messages)

    def conflated(self, stream: str, messages: int = 1) -> None:
        """Count messages that a newer one replaced; `stream` is a name from our code."""
        self._conflated.labels(stream).inc(messages)

    def bus_gap(self) -> None:
        """Count a gap that the bus told of."""
        self._bus_gaps.inc()

    def watch_feeds(self, read: FeedReader, clock: Clock) -> None:
        """Show the state of the feeds at every scrape."""
        self.registry.register(_FeedCollector(read, clock))

    def watch_chains(self, read: ChainReader) -> None:
        """Show the state of chains and their nodes at every scrape."""
        self.registry.register(_ChainCollector(read))

    def watch_count(self, name: str, text: str, read: Callable[[], int]) -> None:
        """Show a count that somebody else keeps; `name` without the namespace."""
        self.registry.register(_CountCollector(f"{NAMESPACE}_{name}", text, read))

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class _CountCollector(Collector):
    """Reads a count when it is scraped."""

    def __init__(self, name: str, text: str, read: Callable[[], int]) -> None:
        self._name = name
        self._text = text
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


class _FeedCollector(Collector):
    """Reads the feeds when it is scraped, so that a lag grows by itself while a source is silent."""

    def __init__(self, read: FeedReader, clock: Clock) -> None:
        self._read = read
        self._clock = clock

    def describe(self) -> list[GaugeMetricFamily]:
        return list(self._families())

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(f"{NAMESPACE}_feed_status", "1 for the state a feed is in", labels=("symbol", "status")),
            GaugeMetricFamily(f"{NAMESPACE}_feed_lag_seconds", "Since its last price", labels=("symbol", "source")),
            GaugeMetricFamily(f"{NAMESPACE}_feed_source_healthy", "1 when it is used", labels=("symbol", "source")),
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status, lag, healthy = self._families()
        now_ms = self._clock.now_ms()
        for feed in self._read():
            for state in FeedStatus:
                status.add_metric((feed.symbol, state.value), float(state is feed.status))
            for source in feed.sources:
                labels = (feed.symbol, source.source.value)
                healthy.add_metric(labels, float(source.healthy))
                if source.last_update_ms is not None:
                    lag.add_metric(labels, max(0, now_ms - source.last_update_ms) / 1000)
        yield from (status, lag, healthy)


class _ChainCollector(Collector):
    """Reads the chains when it is scraped."""

    def __init__(self, read: ChainReader) -> None:
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        return list(self._families())

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                f"{NAMESPACE}_chain_provider_healthy", "1 when a node can be used", labels=("chain", "provider")
            ),
            GaugeMetricFamily(f"{NAMESPACE}_chain_head", "Number of the newest block", labels=("chain",)),
            GaugeMetricFamily(f"{NAMESPACE}_chain_lag_seconds", "Age of the newest block", labels=("chain",)),
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        healthy, head, lag = self._families()
        for chain, state in self._read().items():
            for provider in state.providers:
                healthy.add_metric((chain, provider.name), float(provider.healthy))
            if state.head is not None:
                head.add_metric((chain,), float(state.head))
            if state.lag_seconds is not None:
                lag.add_metric((chain,), float(state.lag_seconds))
        yield from (healthy, head, lag)
