from prometheus_client import CollectorRegistry, Histogram, generate_latest

from server.timings import Timings

BOUNDS = (0.001, 0.01, 1.0)


def test_it_looks_as_prometheus_own_histogram() -> None:
    own, theirs = CollectorRegistry(), CollectorRegistry()
    timings = Timings("seconds", "How long", ["path"], bounds=BOUNDS, registry=own)
    histogram = Histogram("seconds", "How long", ["path"], buckets=BOUNDS, registry=theirs)
    for path, seconds in (("/a", 0.001), ("/a", 0.0010001), ("/b", 5.0), ("/a", 1.0), ("/a", 0.0)):
        timings.labels(path).observe(seconds)
        histogram.labels(path).observe(seconds)

    def shown(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert shown(own) == shown(theirs)
