from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from server.timings import Counts, Timings

BOUNDS = (0.001, 0.01, 1.0)


def test_it_looks_as_prometheus_own_histogram() -> None:
    own, theirs = CollectorRegistry(), CollectorRegistry()
    timings = Timings("seconds", "How long", ["path"], bounds=BOUNDS, registry=own)
    histogram = Histogram("seconds", "How long", ["path"], buckets=BOUNDS, registry=theirs)
    for path, seconds in (("/a", 0.001), ("/a", 0.0010001), ("/b", 5.0), ("/a", 1.0), ("/a", 0.0)):
        timings.labels(path).observe(seconds)
        histogram.labels(path).observe(seconds)

    assert shown(own) == shown(theirs)


def test_it_looks_as_prometheus_own_counter() -> None:
    own, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts("requests", "How many", ["path", "status"], registry=own)
    counter = Counter("requests", "How many", ["path", "status"], registry=theirs)
    for labels in (("/a", "200"), ("/b", "404"), ("/a", "200")):
        counts.labels(*labels).value += 1
        counter.labels(*labels).inc()
    assert shown(own) == shown(theirs)


def shown(registry: CollectorRegistry) -> list[bytes]:
    return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]
