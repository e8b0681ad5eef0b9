"""Streaming responses for applications that tests put together by hand."""

from core.clock import Clock
from server.http_streams import HttpStreams
from server.open_connections import OpenConnections
from server.realtime.hub import Hub
from server.transport_metrics import TransportMetrics
from services.authority import Authority


def http_streams(authority: Authority, clock: Clock, metrics: TransportMetrics) -> HttpStreams:
    """With a hub and counts of their own."""
    connections = OpenConnections(per_address=9, per_account=9)
    return HttpStreams(Hub(), authority, clock=clock, connections=connections, metrics=metrics)
