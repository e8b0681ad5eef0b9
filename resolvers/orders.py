"""Orders: placed, changed, ended, looked at and watched."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.clock import to_ms
from core.ids import sequence_in
from core.refusals import OrderRefused
from graph.context import Context
from graph.types.asset import Asset
from graph.types.market import Market
from graph.types.order import Fill, Order, OrderGroup
from graph.types.order_errors import OrderError
from graph.types.order_inputs import (
    AmendOrderInput,
    CancelAllOrdersAfterInput,
    CancelAllOrdersInput,
    CancelOrderGroupInput,
    CancelOrderInput,
    OrderGroupRef,
    OrderPreviewInput,
    OrderRef,
    PlaceBracketInput,
    PlaceOcoInput,
    PlaceOrderInput,
    PlaceOrdersInput,
)
from graph.types.order_payloads import (
    CancelAllOrdersPayload,
    CancelTimer,
    CancelTimerPayload,
    OrderGroupPayload,
    OrderPayload,
    OrderPreview,
    PlaceOrderGroupPayload,
    PlaceOrderPayload,
    PlaceOrdersPayload,
)
from resolvers.order_inputs import group_ref, number, order_ref, wanted_bracket, wanted_oco, wanted_order
from resolvers.viewers import viewer_of
from services.order_changes import Amendment
from services.order_placing import Placed, PlacedGroup
from services.order_previews import Preview

Info = strawberry.Info[Context, None]
Symbols = Annotated[list[str] | None, strawberry.argument(description="1 to 100 markets, BASE-QUOTE; without it, all.")]


async def place_order(
    info: Info, input: Annotated[PlaceOrderInput, strawberry.argument(description="The order and its key.")]
) -> PlaceOrderPayload:
    wanted = wanted_order(input.order)
    placed = await info.context.trading.placing.place(
        viewer_of(info), input.client_order_id, wanted, info.context.reader
    )
    return _placed(placed, info)


async def place_orders(
    info: Info, input: Annotated[PlaceOrdersInput, strawberry.argument(description="The orders and their keys.")]
) -> PlaceOrdersPayload:
    wanted = [(each.client_order_id, wanted_order(each.order)) for each in input.orders]
    results = await info.context.trading.placing.place_several(viewer_of(info), wanted, info.context.reader)
    return PlaceOrdersPayload(results=[_placed(result, info) for result in results])


async def place_oco(
    info: Info, input: Annotated[PlaceOcoInput, strawberry.argument(description="The orders and their key.")]
) -> PlaceOrderGroupPayload:
    placed = await info.context.trading.placing.place_oco(
        viewer_of(info), input.client_group_id, wanted_oco(input.oco), info.context.reader
    )
    return _placed_group(placed)


async def place_bracket(
    info: Info, input: Annotated[PlaceBracketInput, strawberry.argument(description="The orders and their key.")]
) -> PlaceOrderGroupPayload:
    placed = await info.context.trading.placing.place_bracket(
        viewer_of(info), input.client_group_id, wanted_bracket(input.bracket), info.context.reader
    )
    return _placed_group(placed)


async def amend_order(
    info: Info, input: Annotated[AmendOrderInput, strawberry.argument(description="The order and its changes.")]
) -> OrderPayload:
    amendment = Amendment(
        quantity=number(input.quantity),
        price=number(input.price),
        stop_price=number(input.stop_price),
        trailing_delta=number(input.trailing_delta),
        display_quantity=number(input.display_quantity),
        good_till_ms=None if input.good_till_time is None else to_ms(input.good_till_time),
        expected_sequence=input.expected_sequence,
    )
    state = await info.context.trading.changes.amend(
        viewer_of(info), order_ref(input.by), amendment, info.context.reader
    )
    return OrderPayload(order=None if state is None else Order.of(state))


async def cancel_order(
    info: Info, input: Annotated[CancelOrderInput, strawberry.argument(description="The order.")]
) -> OrderPayload:
    state = await info.context.trading.changes.cancel(viewer_of(info), order_ref(input.by), info.context.reader)
    return OrderPayload(order=None if state is None else Order.of(state))


async def cancel_order_group(
    info: Info, input: Annotated[CancelOrderGroupInput, strawberry.argument(description="The group.")]
) -> OrderGroupPayload:
    group, orders = await info.context.trading.changes.cancel_group(
        viewer_of(info), group_ref(input.by), info.context.reader
    )
    known = {state.id: state for state in orders}
    return OrderGroupPayload(group=None if group is None else OrderGroup.of(group, known))


async def cancel_all_orders(
    info: Info, input: Annotated[CancelAllOrdersInput, strawberry.argument(description="Which orders.")]
) -> CancelAllOrdersPayload:
    ended = await info.context.trading.changes.cancel_all(
        viewer_of(info), input.symbols or [], input.sides or [], info.context.reader
    )
    return CancelAllOrdersPayload(orders=[Order.of(state) for state in ended])


async def cancel_all_orders_after(
    info: Info, input: Annotated[CancelAllOrdersAfterInput, strawberry.argument(description="The timer.")]
) -> CancelTimerPayload:
    timer = await info.context.trading.timers.set(
        viewer_of(info), input.timeout_seconds, input.symbols or [], info.context.reader
    )
    return CancelTimerPayload(timer=None if timer is None else CancelTimer.of(timer))


async def order(info: Info, by: Annotated[OrderRef, strawberry.argument(description="Which order.")]) -> Order | None:
    reads, account, reader = info.context.trading.reads, viewer_of(info).user_id, info.context.reader
    if by.client_order_id:
        state = await reads.order_of_key(account, by.client_order_id, reader)
    else:
        state = await reads.order(account, sequence_in(by.id or "", "Order") or 0, reader)
    return None if state is None else Order.of(state)


async def order_group(
    info: Info, by: Annotated[OrderGroupRef, strawberry.argument(description="Which group.")]
) -> OrderGroup | None:
    reads, account, reader = info.context.trading.reads, viewer_of(info).user_id, info.context.reader
    if by.client_group_id:
        state = await reads.group_of_key(account, by.client_group_id, reader)
    else:
        state = await reads.group(account, sequence_in(by.id or "", "OrderGroup") or 0, reader)
    return None if state is None else OrderGroup.of(state)


async def order_preview(
    info: Info, input: Annotated[OrderPreviewInput, strawberry.argument(description="What to look at.")]
) -> list[OrderPreview] | None:
    previews, viewer = info.context.trading.previews, viewer_of(info)
    if input.order:
        found = await previews.of_order(viewer, wanted_order(input.order))
    elif input.oco:
        found = await previews.of_oco(viewer, wanted_oco(input.oco))
    elif input.bracket:
        found = await previews.of_bracket(viewer, wanted_bracket(input.bracket))
    else:
        found = []
    return [_preview(preview, info) for preview in found]


async def order_updated(info: Info, symbols: Symbols = None) -> AsyncGenerator[Order, None]:
    account = viewer_of(info).user_id
    async with aclosing(info.context.trading.streams.watch_orders(account, symbols, info.context.reader)) as states:
        async for state in states:
            yield Order.of(state)


async def fill_received(info: Info, symbols: Symbols = None) -> AsyncGenerator[Fill, None]:
    account = viewer_of(info).user_id
    async with aclosing(info.context.trading.streams.watch_fills(account, symbols, info.context.reader)) as states:
        async for state in states:
            yield Fill.of(state)


def _placed(placed: Placed | OrderRefused, info: Info) -> PlaceOrderPayload:
    if isinstance(placed, OrderRefused):
        return PlaceOrderPayload(errors=[OrderError.of(placed, info.context.client.locale)])
    return PlaceOrderPayload(order=None if placed.order is None else Order.of(placed.order), replayed=placed.replayed)


def _placed_group(placed: PlacedGroup) -> PlaceOrderGroupPayload:
    known = {state.id: state for state in placed.orders}
    group = None if placed.group is None else OrderGroup.of(placed.group, known)
    return PlaceOrderGroupPayload(group=group, replayed=placed.replayed)


def _preview(preview: Preview, info: Info) -> OrderPreview:
    catalogue = info.context.catalogue
    fee_asset = preview.state.fee_asset
    return OrderPreview.of(
        preview.state,
        preview.refusal,
        market=Market.of(catalogue.market(preview.symbol)),
        side=preview.side,
        fee_asset=None if fee_asset is None else Asset.of(catalogue.asset(fee_asset)),
        locale=info.context.client.locale,
    )
