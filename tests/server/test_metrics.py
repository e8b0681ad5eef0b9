from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from core.clock import ManualClock
from core.vocabulary import FeedStatus, PriceSource, Series
from events.chain import ChainProviderState, ChainState
from events.market import FeedChanged, SourceHealth
from server.metrics import Metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """Every sample as Prometheus reads it."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"cryptovault_{name}", frozenset(labels.items())))


def test_requests_are_counted_by_known_path_only() -> None:
    metrics = Metrics(paths=frozenset({"/graphql"}))
    for path in ("/graphql", "/graphql", "/wp-login.php", "/%00"):
        metrics.http_request(method="POST", path=path, status=200, seconds=0.004)
    metrics.http_request(method="BREW", path="/graphql", status=405, seconds=None)
    assert value(metrics, "http_requests_total", method="POST", path="/graphql", status="200") == 2
    assert value(metrics, "http_requests_total", method="POST", path="other", status="200") == 2
    assert value(metrics, "http_requests_total", method="other", path="/graphql", status="405") == 1
    assert value(metrics, "http_request_seconds_count", path="/graphql") == 2
    assert value(metrics, "http_request_seconds_bucket", path="/graphql", le="0.0025") == 0
    assert value(metrics, "http_request_seconds_bucket", path="/graphql", le="0.005") == 2


def test_losses_are_counted() -> None:
    metrics = Metrics()
    metrics.dropped("trades", 3)
    metrics.conflated("tickers", 2)
    metrics.conflated("tickers")
    metrics.bus_gap()
    assert value(metrics, "dropped_messages_total", stream="trades") == 3
    assert value(metrics, "conflated_messages_total", stream="tickers") == 3
    assert value(metrics, "bus_gaps_total") == 1


def test_feeds_are_read_at_every_scrape() -> None:
    clock = ManualClock(now_ms=1_700_000_010_000)
    metrics = Metrics()

    def feeds() -> Iterator[FeedChanged]:
        healthy = SourceHealth(PriceSource.BINANCE, healthy=True, last_update_ms=1_700_000_009_000)
        silent = SourceHealth(PriceSource.KRAKEN, healthy=False)
        yield FeedChanged(
            "BTC-USD", FeedStatus.DEGRADED, PriceSource.BINANCE, Series.LIVE, 1_700_000_009_000, 12, (healthy, silent)
        )

    metrics.watch_feeds(feeds, clock)

    assert value(metrics, "feed_status", symbol="BTC-USD", status="DEGRADED") == 1
    assert value(metrics, "feed_status", symbol="BTC-USD", status="LIVE") == 0
    assert value(metrics, "feed_lag_seconds", symbol="BTC-USD", source="BINANCE") == 1
    assert value(metrics, "feed_lag_seconds", symbol="BTC-USD", source="KRAKEN") is None
    assert value(metrics, "feed_source_healthy", symbol="BTC-USD", source="KRAKEN") == 0
    clock.advance(5)
    assert value(metrics, "feed_lag_seconds", symbol="BTC-USD", source="BINANCE") == 6


def test_chains_are_read_at_every_scrape() -> None:
    metrics = Metrics()
    providers = [
        ChainProviderState("node-1", healthy=True, head=12, latency_ms=3, error=None),
        ChainProviderState("infura", healthy=False, head=None, latency_ms=None, error="cannot be reached"),
    ]
    states = {"ethereum": ChainState(healthy=True, head=12, lag_seconds=4, providers=providers, error=None)}
    metrics.watch_chains(lambda: states)
    assert value(metrics, "chain_provider_healthy", chain="ethereum", provider="node-1") == 1
    assert value(metrics, "chain_provider_healthy", chain="ethereum", provider="infura") == 0
    assert value(metrics, "chain_head", chain="ethereum") == 12
    assert value(metrics, "chain_lag_seconds", chain="ethereum") == 4
    states["ethereum"] = ChainState(healthy=False, head=None, lag_seconds=None, providers=[], error="no node answers")
    assert value(metrics, "chain_head", chain="ethereum") is None


def test_the_process_itself_is_measured() -> None:
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"} <= {
        name for name, _ in samples(Metrics())
    }


def test_a_count_kept_elsewhere_is_read_at_every_scrape() -> None:
    metrics = Metrics()
    counts = [3]
    metrics.watch_count("things", "Things", lambda: counts[0])
    assert b"cryptovault_things_total 3.0" in metrics.exposition()
    counts[0] = 5
    assert b"cryptovault_things_total 5.0" in metrics.exposition()
