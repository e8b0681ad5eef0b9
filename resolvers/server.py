"""The server's own state, and what an operation would cost."""

from decimal import Decimal
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from core.clock import to_datetime
from core.errors import InvalidInput
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Chain
from graph.types.price import PriceSourceHealth
from graph.types.server import ComponentStatus, CostEstimate, ServerStatus

Info = strawberry.Info[Context, None]


def _milliseconds(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(round(value, 3)))


async def status(info: Info) -> ServerStatus | None:
    state = await info.context.server_status()
    return ServerStatus(
        version=state.version,
        time=to_datetime(state.time_ms),
        mode=state.mode,
        database=ComponentStatus(
            healthy=state.database.healthy,
            detail=state.database.detail,
            latency_ms=_milliseconds(state.database.latency_ms),
            lag=None,
        ),
        bus=ComponentStatus(
            healthy=state.bus.healthy,
            detail=state.bus.detail,
            latency_ms=_milliseconds(state.bus.latency_ms),
            lag=None,
        ),
        exchange=ComponentStatus(
            healthy=state.exchange.healthy,
            detail=state.exchange.detail,
            latency_ms=_milliseconds(state.exchange.latency_ms),
            lag=Long(state.exchange.lag),
        ),
        feeds=[PriceSourceHealth.of(health) for health in state.sources],
        chains=[Chain.of(chain) for chain in info.context.catalogue.chains.values()],
    )


async def estimate_cost(
    info: Info,
    document: Annotated[str, strawberry.argument(description="A GraphQL document with one operation.")],
    variables: Annotated[JSON | None, strawberry.argument(description="Its variables, as an object.")] = None,
) -> CostEstimate | None:
    if variables is not None and not isinstance(variables, dict):
        raise InvalidInput("expected an object with the operation's variables", field=["variables"])
    estimate = await info.context.estimate_cost(document, variables)
    return CostEstimate(
        cost=estimate.cost,
        per_event=estimate.per_event,
        limit=estimate.limit,
        remaining=estimate.remaining,
        restore_per_second=estimate.restore_per_second,
    )
