"""Root fields about deposits."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.ids import MalformedId, decode_id
from core.paging import PageRequest
from core.refusals import UnknownObject
from graph.context import Context
from graph.types.connection import After, Connection, First, connect
from graph.types.deposit import (
    AssignDepositInput,
    CreateDepositAddressInput,
    Deposit,
    DepositAddress,
    DepositAddressPayload,
    DepositPayload,
    UnclaimedDeposit,
)
from resolvers.ids import key_of
from resolvers.reasons import reason_of
from resolvers.viewers import viewer_of
from services.deposits import to_state

Info = strawberry.Info[Context, None]


async def create_deposit_address(
    info: Info, input: Annotated[CreateDepositAddressInput, strawberry.argument(description="The chain.")]
) -> DepositAddressPayload:
    addresses = info.context.custody.deposit_addresses
    row, chain = await addresses.create(viewer_of(info), input.chain)
    return DepositAddressPayload(deposit_address=DepositAddress.of(row, chain, *addresses.drawn(row, chain)))


async def unclaimed_deposits(
    info: Info,
    dust: Annotated[
        bool, strawberry.argument(description="Those below their network's minimum, instead of the others.")
    ] = False,
    first: First = None,
    after: After = None,
) -> Connection[UnclaimedDeposit] | None:
    page = await info.context.custody.unclaimed.page(PageRequest(first, after), dust=dust)
    return connect(page, node=lambda each: UnclaimedDeposit.of(each.row), cursor=lambda each: str(each.place))


async def assign_deposit(
    info: Info, input: Annotated[AssignDepositInput, strawberry.argument(description="The decision.")]
) -> DepositPayload:
    row = await info.context.custody.unclaimed.assign(
        viewer_of(info), _deposit_key(input.id), _account(input.account), reason_of(input.reason), info.context.client
    )
    return DepositPayload(deposit=Deposit.of(to_state(row)))


def _deposit_key(id_: str) -> str:
    """The plain id in an id of an unclaimed deposit; nothing's for any other text."""
    try:
        kind, parts = decode_id(id_)
    except MalformedId:
        return ""
    return ":".join(parts) if kind == "UnclaimedDeposit" else ""


def _account(id_: str) -> str:
    try:
        return key_of(id_, "User", "AdminUser")
    except UnknownObject:
        return ""


async def deposit_updated(info: Info) -> AsyncGenerator[Deposit, None]:
    async with aclosing(info.context.custody.deposit_reads.watch(viewer_of(info).user_id)) as states:
        async for state in states:
            yield Deposit.of(state)
