"""The rows of the table: what is measured, of whom, and what is to be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bench import shape
from bench.contenders import MERCURIUS, MERCURIUS_JIT, STRAIGHT, UVLOOP, UVLOOP_REDIS, VAULT

SUBSCRIBED = (VAULT, UVLOOP, "asgi", "ws", MERCURIUS, "graphql-ws", "yoga", "stock")
ASKED = (VAULT, UVLOOP, "asgi", "ws", MERCURIUS_JIT, "mercurius-jit-held", MERCURIUS, "yoga-jit", "yoga", "stock")


class Measure(StrEnum):
    """A figure that medians and ratios are made of."""

    PER_CPU = "per server CPU s"
    PER_SECOND = "per s"
    P50 = "p50 ms"
    P99 = "p99 ms"


@dataclass(frozen=True, slots=True)
class Goal:
    """At least (or at most) so many times the figure of another contender; without one, the figure itself. `who`: is to reach it."""

    measure: Measure
    bound: float
    of: str | None = None
    at_most: bool = False
    who: str = VAULT

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        who = "" if self.who == VAULT else f", {self.who}"
        return f"{self.measure} {sign} {self.bound:,g}" + (f" × {self.of}" if self.of else "") + who


@dataclass(frozen=True, slots=True)
class FanRow:
    """Deliveries of ticks to many sockets."""

    key: str
    title: str
    operations: int
    symbols: int
    goals: tuple[Goal, ...]
    options: tuple[str, ...]
    contenders: tuple[str, ...] = SUBSCRIBED
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueryRow:
    """Answers to one query, while every market ticks. `settings`: of CryptoVault, for this row alone."""

    key: str
    title: str
    query: shape.Query
    goals: tuple[Goal, ...]
    signed_in: bool = False
    contenders: tuple[str, ...] = ASKED
    settings: Mapping[str, str] = field(default_factory=dict)


Row = FanRow | QueryRow
ROWS: tuple[Row, ...] = (
    FanRow(
        key="fan-one",
        title="Fan-out: one operation on one market, 2 ticks under way",
        operations=1,
        symbols=1,
        goals=(Goal(Measure.PER_CPU, 0.85, UVLOOP), Goal(Measure.PER_CPU, 4.5, MERCURIUS)),
        options=("--mode", "closed", "--window", "2"),
    ),
    FanRow(
        key="fan-mixed",
        title="Fan-out: 20 operations, each on the same 50 markets, 2 ticks under way",
        operations=20,
        symbols=50,
        goals=(Goal(Measure.PER_CPU, 0.85, UVLOOP), Goal(Measure.PER_CPU, 4, MERCURIUS)),
        options=("--mode", "closed", "--window", "2"),
    ),
    FanRow(
        key="bursts",
        title="Bursts across markets: one operation on 20 markets, 20 ticks under way",
        operations=1,
        symbols=20,
        goals=(Goal(Measure.PER_SECOND, 5, UVLOOP), Goal(Measure.PER_CPU, 750_000)),
        options=("--mode", "closed", "--window", "20"),
        contenders=(VAULT, UVLOOP, "ws", MERCURIUS, "graphql-ws"),
    ),
    FanRow(
        key="latency",
        title="Latency: one operation on one market, 20 ticks a second",
        operations=1,
        symbols=1,
        goals=(
            Goal(Measure.P50, 1.2, UVLOOP, at_most=True, who=STRAIGHT),
            Goal(Measure.P50, 1.2, UVLOOP_REDIS, at_most=True),
            Goal(Measure.P50, 1.2, UVLOOP, at_most=True),
            Goal(Measure.P99, 2, UVLOOP, at_most=True),
            Goal(Measure.P99, 0.5, MERCURIUS, at_most=True),
        ),
        options=("--mode", "rate", "--rate", "20"),
        contenders=(VAULT, STRAIGHT, UVLOOP, UVLOOP_REDIS, *SUBSCRIBED[2:]),
    ),
    QueryRow(
        key="markets-plain",
        title="`markets(first: 100)` with a field of the viewer's, so that nothing may be held for others",
        query=shape.markets_query("watched", "ticker"),
        goals=(Goal(Measure.PER_CPU, 1.2, MERCURIUS_JIT),),
    ),
    QueryRow(
        key="markets-ticking",
        title="`markets(first: 100)` with tickers, all of which change",
        query=shape.markets_query("ticker"),
        goals=(Goal(Measure.PER_CPU, 3, MERCURIUS_JIT),),
    ),
    QueryRow(
        key="markets-held",
        title="`markets(first: 100)` with rules, none of which change",
        query=shape.markets_query("rules"),
        goals=(Goal(Measure.PER_CPU, 7, MERCURIUS_JIT),),
    ),
    QueryRow(
        key="viewer",
        title="`viewer { id email }` with an EdDSA token",
        query=shape.viewer_query(),
        goals=(Goal(Measure.PER_CPU, 1, MERCURIUS_JIT),),
        signed_in=True,
    ),
)
