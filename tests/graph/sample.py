# mypy: disable-error-code="untyped-decorator"
"""A small schema with the shapes the real one has, and a pipeline on it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import strawberry
from strawberry.extensions.field_extension import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from core.budget import MemoryBudget
from core.cache import Cache, MemoryCache
from core.channel import ReaderTooSlow
from core.clock import Clock, ManualClock
from core.errors import InvalidInput
from graph.directives import Cost
from graph.execution import PipelineSchema
from graph.persisted import PersistedQueries
from graph.pipeline import Pipeline, PipelineLimits
from graph.request import Caller
from services.viewer import Client

LARGEST_LONG = 2**53 - 1


class LongNumber(int):
    """An integer beyond 32 bits."""


@dataclass
class Probe:
    """What the sample's resolvers and generators did; one per server."""

    contexts: list["SampleContext"] = field(default_factory=list)
    open_streams: int = 0
    cancelled: int = 0
    mutations: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class SampleContext:
    """The context of one operation."""

    caller: Caller
    probe: Probe


Info = strawberry.Info[SampleContext, None]


class Never(BasePermission):
    """Refuses everybody, to show that Strawberry's permissions are asked."""

    message = "not for you"
    error_extensions = {"code": "FORBIDDEN"}

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return False


class Shout(FieldExtension):
    """Changes a result, to show that field extensions run."""

    def resolve(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> str:
        return str(next_(source, info, **kwargs)).upper()


@strawberry.type
class Ticker:
    last: str | None = "1.5"

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("the database password is hunter2")


@strawberry.type
class Market:
    symbol: str

    @strawberry.field
    def ticker(self) -> Ticker | None:
        return Ticker()

    @strawberry.field
    def networks(self) -> list[Ticker]:
        return []

    @strawberry.field
    def self(self) -> "Market":
        return self


@strawberry.type
class MarketEdge:
    cursor: str
    node: Market


@strawberry.type
class MarketConnection:
    edges: list[MarketEdge]
    nodes: list[Market]


@strawberry.input
class Filter:
    symbols: list[str] | None = None
    amount: int = 1


@strawberry.type
class Query:
    @strawberry.field
    def markets(
        self, first: int | None = None, where: Annotated[Filter | None, strawberry.argument(name="filter")] = None
    ) -> MarketConnection:
        markets = [Market(symbol=f"M{index}") for index in range(min(first or 3, 100))]
        return MarketConnection(edges=[MarketEdge(cursor=m.symbol, node=m) for m in markets], nodes=markets)

    @strawberry.field
    def market(self, symbol: str) -> Market | None:
        if symbol == "NONE":
            raise InvalidInput("there is no such market", field="symbol")
        return Market(symbol=symbol)

    @strawberry.field
    def nodes(self, ids: list[strawberry.ID]) -> list[Market | None]:
        return [Market(symbol=str(each)) for each in ids]

    @strawberry.field
    def sequence(self) -> "LongNumber":
        return LongNumber(LARGEST_LONG)

    @strawberry.field(directives=[Cost(points=500)])
    def expensive(self) -> int:
        return 1

    @strawberry.field(permission_classes=[Never])
    def secret(self) -> str | None:
        return "s"

    @strawberry.field(extensions=[Shout()])
    def quiet(self) -> str:
        return "loud"

    @strawberry.field
    def required(self, number: int) -> int:
        return number

    @strawberry.field
    async def slow(self, info: Info) -> int:
        probe = info.context.probe
        probe.started.set()
        try:
            await probe.release.wait()
        except asyncio.CancelledError:
            probe.cancelled += 1
            probe.ended.set()
            raise
        return 1

    @strawberry.field
    def remember_context(self, info: Info) -> int:
        info.context.probe.contexts.append(info.context)
        return len(info.context.probe.contexts)

    @strawberry.field
    def bytes(self, count: int) -> str:
        return "x" * count

    @strawberry.field
    def unencodable(self) -> str:
        return "\ud800"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def place(self, info: Info, quantity: int = 1) -> int:
        info.context.probe.mutations += 1
        return quantity


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Cost(points=3, per_event=2)])
    async def count(self, info: Info, to: int = 3) -> AsyncIterator[int]:
        async with Counted(info.context.probe):
            for number in range(to):
                yield number

    @strawberry.subscription
    async def ticks(self, info: Info, symbols: list[str]) -> AsyncIterator[Market]:
        async with Counted(info.context.probe):
            for symbol in symbols:
                yield Market(symbol=symbol)
            await info.context.probe.release.wait()

    @strawberry.subscription
    async def forever(self, info: Info, size: int = 10) -> AsyncIterator[str]:
        async with Counted(info.context.probe):
            info.context.probe.contexts.append(info.context)
            while True:
                yield "x" * size

    @strawberry.subscription
    async def lagging(self, info: Info) -> AsyncIterator[int]:
        async with Counted(info.context.probe):
            yield 1
            raise ReaderTooSlow("the reader fell too far behind")

    @strawberry.subscription
    async def faulty(self, info: Info) -> AsyncIterator[int]:
        async with Counted(info.context.probe):
            yield 1
            raise RuntimeError("the database password is hunter2")

    @strawberry.subscription
    async def stillborn(self, fail: bool = True) -> AsyncIterator[int]:
        if fail:
            raise InvalidInput("no such stream")
        yield 1


class Counted:
    """Counts the streams that are open."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def __aenter__(self) -> None:
        self._probe.open_streams += 1
        self._probe.started.set()

    async def __aexit__(self, *_: object) -> None:
        self._probe.open_streams -= 1
        if not self._probe.open_streams:
            self._probe.ended.set()


def build_schema() -> PipelineSchema:
    """The sample."""
    config = StrawberryConfig(
        scalar_map={LongNumber: strawberry.scalar(name="Long", serialize=int, parse_value=LongNumber)}
    )
    return PipelineSchema(query=Query, mutation=Mutation, subscription=Subscription, config=config)


def build_pipeline(
    *,
    probe: Probe | None = None,
    clock: Clock | None = None,
    cache: Cache | None = None,
    per_minute: int = 600_000,
    limits: PipelineLimits | None = None,
) -> Pipeline:
    """A pipeline on the sample."""
    used = probe or Probe()
    return Pipeline(
        build_schema(),
        context_factory=lambda caller: SampleContext(caller, used),
        budget=MemoryBudget(clock or ManualClock(), per_minute=per_minute),
        events_budget=MemoryBudget(clock or ManualClock(), per_minute=per_minute),
        persisted=PersistedQueries(cache or MemoryCache(ManualClock())),
        limits=limits or PipelineLimits(),
        broadcast=lambda shared, arguments: shared.mark(None, **arguments),
    )


CALLER = Caller(Client(address="192.0.2.1", request_id="request-1", locale="en"))
