"""What the transports count. Labels are names of the schema and codes of ours, never a caller's text."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.timings import Timings

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class TransportMetrics:
    """Instruments of the GraphQL transports in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.operation_seconds = Timings(
            "graphql_operation_seconds",
            "Time from a whole request to its answer, queries and mutations",
            ["transport", "operation"],
            bounds=_BUCKETS,
            registry=registry,
        )
        self.refusals = Counter(
            "graphql_refusals",
            "Operations that were not executed, or streams ended by the server, by code",
            ["transport", "code"],
            registry=registry,
        )
        self.sockets = Gauge("graphql_sockets", "Open sockets", registry=registry, multiprocess_mode="livesum")
        self.streams = Gauge(
            "graphql_streams",
            "Streaming responses under way",
            ["transport"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.socket_operations = Gauge(
            "graphql_socket_operations",
            "Operations under way on sockets, subscriptions included",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.socket_closes = Counter(
            "graphql_socket_closes", "Sockets closed by the server, by code", ["code"], registry=registry
        )
