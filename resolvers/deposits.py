"""Root fields about deposits."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graph.context import Context
from graph.types.deposit import CreateDepositAddressInput, Deposit, DepositAddress, DepositAddressPayload
from resolvers.viewers import viewer_of

Info = strawberry.Info[Context, None]


async def create_deposit_address(
    info: Info, input: Annotated[CreateDepositAddressInput, strawberry.argument(description="The chain.")]
) -> DepositAddressPayload:
    addresses = info.context.custody.deposit_addresses
    row, chain = await addresses.create(viewer_of(info), input.chain)
    return DepositAddressPayload(deposit_address=DepositAddress.of(row, chain, *addresses.drawn(row, chain)))


async def deposit_updated(info: Info) -> AsyncGenerator[Deposit, None]:
    async with aclosing(info.context.custody.deposit_reads.watch(viewer_of(info).user_id)) as states:
        async for state in states:
            yield Deposit.of(state)
