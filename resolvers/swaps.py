"""Root fields about swaps."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.ids import key_in
from graph.context import Context
from graph.types.prepared_transaction import UnsignedTransaction, UnsignedTransactionPayload
from graph.types.swap import PrepareSwapInput, Swap, SwapQuote, SwapQuoteInput
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


async def prepare_swap(
    info: Info, input: Annotated[PrepareSwapInput, strawberry.argument(description="The quote.")]
) -> UnsignedTransactionPayload:
    viewer = viewer_of(info)
    await info.context.transfers.count(viewer, info.context.client)
    quote_id = key_in(input.quote_id, "SwapQuote") or ""
    made = await info.context.swaps.preparing.prepare(viewer.user_id, quote_id, input.speed)
    return UnsignedTransactionPayload(transaction=UnsignedTransaction.of(made.transaction), swap=Swap.of(made.swap))


async def swap_updated(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The swap's id.")]
) -> AsyncGenerator[Swap, None]:
    watched = info.context.swaps.swaps.watch(viewer_of(info).user_id, key_in(id, "Swap") or "")
    async with aclosing(watched) as rows:
        async for row in rows:
            yield Swap.of(row)
