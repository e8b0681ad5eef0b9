"""Root fields about swaps."""

from typing import Annotated

import strawberry

from graph.context import Context
from graph.types.swap import SwapQuote, SwapQuoteInput
from resolvers.viewers import viewer_of
from services.swap_wishes import SwapWish

Info = strawberry.Info[Context, None]


async def swap_quotes(
    info: Info, input: Annotated[SwapQuoteInput, strawberry.argument(description="The swap.")]
) -> list[SwapQuote] | None:
    wish = SwapWish(
        from_chain=input.from_chain,
        to_chain=input.to_chain,
        from_token=input.from_,
        to_token=input.to,
        amount=input.amount,
        address=input.address,
        max_slippage=input.max_slippage,
    )
    rows = await info.context.swaps.quotes.ask(viewer_of(info), info.context.client, wish)
    return [SwapQuote.of(row) for row in rows]
