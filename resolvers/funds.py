"""Root fields about what people own: test funds, and balances and portfolios as they change."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graph.context import Context
from graph.types.balance import Balance, BalancesPayload, ClaimTestFundsInput, Quote
from graph.types.portfolio import Portfolio
from resolvers.viewers import viewer_of

Info = strawberry.Info[Context, None]


async def claim_test_funds(
    info: Info, input: Annotated[ClaimTestFundsInput, strawberry.argument(description="What is asked for.")]
) -> BalancesPayload:
    claimed = await info.context.funds.sandbox.claim(viewer_of(info), input.client_claim_id, input.asset, input.amount)
    return BalancesPayload(balances=[Balance.of(claimed.balance)], replayed=claimed.replayed)


async def balance_updated(
    info: Info,
    assets: Annotated[
        list[str] | None, strawberry.argument(description="Only these assets, at most 100; without it all.")
    ] = None,
) -> AsyncGenerator[Balance, None]:
    async with aclosing(info.context.funds.streams.balances(viewer_of(info).user_id, assets)) as states:
        async for state in states:
            yield Balance.of(state)


async def portfolio_updated(
    info: Info,
    quote: Quote = None,
    every_seconds: Annotated[int, strawberry.argument(description="At most once in so many seconds, 1 to 60.")] = 1,
) -> AsyncGenerator[Portfolio, None]:
    account = viewer_of(info).user_id
    into = await info.context.quote_of(account, quote)
    async with aclosing(info.context.funds.streams.portfolio(account, into, every_seconds)) as states:
        async for state in states:
            yield Portfolio.of(state)
