"""Orders, their groups and fills, as their owner sees them."""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.order_texts import order_text
from core.order_vocabulary import (
    Liquidity,
    OrderErrorCode,
    OrderEventType,
    OrderGroupKind,
    OrderGroupStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TrailingUnit,
    TriggerSource,
)
from core.paging import PageRequest
from core.translations import translated
from core.vocabulary import OrderSide, PriceSource, TimeOrder
from events.trading import FillState, GroupState, LoggedOrder, OrderState
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Asset, AssetAmount
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.market import Market
from graph.types.node import Node

Info = strawberry.Info[Context, None]
_FINEST = Decimal(1).scaleb(-18)
_DIRECTION = strawberry.argument(description="Direction in time.")


@strawberry.type(description="Why an order was rejected, canceled or expired.")
class OrderReason:
    code: OrderErrorCode = strawberry.field(description="For programs; the same in every language.")
    message: str = strawberry.field(description="For people, in the account's language.")
    limit: Decimal | None = strawberry.field(description="The bound that was crossed, where that is known.")
    actual: Decimal | None = strawberry.field(description="What crossed it.")

    @staticmethod
    def of(code: OrderErrorCode | None, locale: str) -> "OrderReason | None":
        """The reason in the reader's language."""
        if code is None:
            return None
        return OrderReason(
            code=code, message=translated(order_text(code, None, None)[0], locale), limit=None, actual=None
        )


@strawberry.type(description="What fired a stop.")
class TriggerTrace:
    source: TriggerSource = strawberry.field(description="Which price is watched.")
    stop_price: Decimal = strawberry.field(description="The stop when it fired, in quote.")
    price: Decimal = strawberry.field(description="The price that reached it, in quote.")
    previous_price: Decimal | None = strawberry.field(
        description="The price before that one; null when there was none."
    )
    peak: Decimal | None = strawberry.field(description="The best price a stop that trails has followed.")
    price_source: PriceSource = strawberry.field(description="Where the price comes from.")
    time: datetime = strawberry.field(description="The time of the price.")


@strawberry.type(description="Something that happened to an order.")
class OrderEvent:
    id: strawberry.ID = strawberry.field(description="Stable id.")
    state: strawberry.Private[LoggedOrder]
    sequence: Long = strawberry.field(description="Its place in the exchange's journal.")
    type: OrderEventType = strawberry.field(description="What happened.")
    time: datetime = strawberry.field(description="When.")
    quantity: Decimal | None = strawberry.field(
        description="Of the fill, or the order's whole quantity after an amendment, in base."
    )
    price: Decimal | None = strawberry.field(
        description="Of the fill or the trigger, or the order's price after an amendment, in quote."
    )

    @strawberry.field(description="Why it was rejected, canceled or expired.")
    def reason(self, info: Info) -> OrderReason | None:
        ends = (OrderEventType.REJECTED, OrderEventType.CANCELED, OrderEventType.EXPIRED)
        code = self.state.order.reason if self.type in ends else None
        return OrderReason.of(code, info.context.client.locale)

    @staticmethod
    def of(event: LoggedOrder) -> "OrderEvent":
        """The event as the order's owner sees it."""
        order = event.order
        return OrderEvent(
            id=strawberry.ID(encode_id("OrderEvent", order.id, event.number)),
            state=event,
            sequence=Long(order.sequence),
            type=event.change,
            time=to_datetime(order.updated_ms),
            quantity=event.quantity,
            price=event.price,
        )


@strawberry.type(
    description="An order. Quantities are in the base asset, prices and quote quantities in the quote asset."
)
class Order(Node):
    state: strawberry.Private[OrderState]
    client_order_id: str = strawberry.field(
        description="The key its client chose; of an order of a group, made of the group's."
    )
    symbol: str = strawberry.field(description="The market, BASE-QUOTE.")
    side: OrderSide = strawberry.field(description="Whether it buys or sells base.")
    type: OrderType = strawberry.field(description="When it trades, and at which prices.")
    status: OrderStatus = strawberry.field(description="Where it is in its life.")
    time_in_force: TimeInForce = strawberry.field(description="How long it stands.")
    good_till_time: datetime | None = strawberry.field(description="When it ends, for GTD.")
    quantity: Decimal | None = strawberry.field(
        description="The whole quantity, in base; null for a market order sized in quote."
    )
    quote_quantity: Decimal | None = strawberry.field(
        description="What a market order sized in quote may cost or bring, in quote."
    )
    price: Decimal | None = strawberry.field(description="The limit, in quote.")
    stop_price: Decimal | None = strawberry.field(description="The price that fires it, in quote.")
    trailing_delta: Decimal | None = strawberry.field(
        description="The distance of a stop that trails, in the unit of `trailingUnit`."
    )
    trailing_unit: TrailingUnit | None = strawberry.field(description="What `trailingDelta` is counted in.")
    activation_price: Decimal | None = strawberry.field(description="The price from which on a stop trails, in quote.")
    trigger_source: TriggerSource | None = strawberry.field(
        description="Which price fires it; null for what waits for none."
    )
    post_only: bool = strawberry.field(description="Whether it may only rest in the book.")
    display_quantity: Decimal | None = strawberry.field(
        description="How much of it the book shows, in base; null: all."
    )
    max_slippage: Decimal | None = strawberry.field(
        description="How far from the best price a market order is filled, as a fraction: 0.01 is 1 %."
    )
    self_trade_prevention: SelfTradePrevention = strawberry.field(
        description="What ends when it would trade with another order of the account."
    )
    filled_quantity: Decimal = strawberry.field(description="What is filled, in base.")
    filled_quote_quantity: Decimal = strawberry.field(
        description="What was paid or earned for it before fees, in quote."
    )
    remaining_quantity: Decimal | None = strawberry.field(
        description="What is left to be filled, in base; null for a market order sized in quote."
    )
    created_at: datetime = strawberry.field(description="When it was placed.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    sequence: Long = strawberry.field(
        description="The place in the exchange's journal this is true at: of two states of an order the higher one is newer."
    )

    @strawberry.field(description="Where it trades.")
    def market(self, info: Info) -> Market:
        return Market.of(info.context.catalogue.market(self.symbol))

    @strawberry.field(description="What fired its stop: the very price, its source and time. Null before.")
    def trigger(self, info: Info) -> TriggerTrace | None:
        state = self.state
        if state.trigger is None:
            return None
        tick = info.context.catalogue.market(self.symbol).rules.tick_size
        return TriggerTrace(
            source=state.trigger_source or TriggerSource.LAST,
            stop_price=state.stop_price if state.stop_price is not None else _trailed(state, tick),
            price=state.trigger.price,
            previous_price=state.trigger.previous_price,
            peak=state.trigger.peak,
            price_source=state.trigger.source,
            time=to_datetime(state.trigger.time_ms),
        )

    @strawberry.field(
        description="Average price of its fills, in quote, rounded to 18 digits after the point; null before the first."
    )
    def average_price(self) -> Decimal | None:
        if not self.filled_quantity:
            return None
        average = self.filled_quote_quantity / self.filled_quantity
        return average.quantize(_FINEST, rounding=ROUND_HALF_EVEN)

    @strawberry.field(description="What it has paid in fees, by asset.")
    def fees(self, info: Info) -> list[AssetAmount]:
        if not self.state.fee:
            return []
        asset = Asset.of(info.context.catalogue.asset(self.state.fee_asset))
        return [AssetAmount(asset=asset, amount=self.state.fee)]

    @strawberry.field(description="Why it was rejected, canceled or expired.")
    def reason(self, info: Info) -> OrderReason | None:
        return OrderReason.of(self.state.reason, info.context.client.locale)

    @strawberry.field(description="The group it belongs to.")
    async def group(self, info: Info) -> "OrderGroup | None":
        if self.state.group is None:
            return None
        group = await info.context.loaders.group(self.state.account, self.state.group)
        return None if group is None else OrderGroup.of(group)

    @strawberry.field(description="Its fills. At most 500 a page, 50 without a size.")
    async def fills(
        self,
        info: Info,
        order_by: Annotated[TimeOrder, _DIRECTION] = TimeOrder.OLDEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> "Connection[Fill] | None":
        context, request = info.context, PageRequest(first, after, last, before)
        page = await context.trading.pages.fills_of(
            self.state.account, self.state.id, order_by, request, context.reader
        )
        return connect(page, node=lambda each: Fill.of(each[1]), cursor=lambda each: str(each[0]))

    @strawberry.field(
        description="Everything that happened to it, oldest first. At most 500 a page, 50 without a size."
    )
    async def events(self, info: Info, first: First = None, after: After = None) -> Connection[OrderEvent] | None:
        context = info.context
        page = await context.trading.pages.events_of(
            self.state.account, self.state, PageRequest(first, after), context.reader
        )
        return connect(page, node=OrderEvent.of, cursor=lambda event: str(event.number))

    @staticmethod
    def of(state: OrderState) -> "Order":
        """The order as its owner sees it."""
        return Order(
            id=strawberry.ID(encode_id("Order", state.id)),
            state=state,
            client_order_id=state.client_id,
            symbol=state.symbol,
            side=state.side,
            type=state.type,
            status=state.status,
            time_in_force=state.time_in_force,
            good_till_time=None if state.good_till_ms is None else to_datetime(state.good_till_ms),
            quantity=state.quantity,
            quote_quantity=state.quote_quantity,
            price=state.price,
            stop_price=state.stop_price,
            trailing_delta=state.trailing_delta,
            trailing_unit=state.trailing_unit,
            activation_price=state.activation_price,
            trigger_source=state.trigger_source,
            post_only=state.post_only,
            display_quantity=state.display_quantity,
            max_slippage=state.max_slippage,
            self_trade_prevention=state.self_trade,
            filled_quantity=state.filled_quantity,
            filled_quote_quantity=state.filled_quote,
            remaining_quantity=state.remaining_quantity,
            created_at=to_datetime(state.created_ms),
            updated_at=to_datetime(state.updated_ms),
            sequence=Long(state.sequence),
        )


@strawberry.type(description="Orders that belong together.")
class OrderGroup(Node):
    state: strawberry.Private[GroupState]
    known: strawberry.Private[dict[int, OrderState]]
    client_group_id: str = strawberry.field(description="The key its client chose.")
    kind: OrderGroupKind = strawberry.field(description="How they belong together.")
    status: OrderGroupStatus = strawberry.field(description="Where it is in its life.")
    created_at: datetime = strawberry.field(description="When it was placed.")

    @strawberry.field(
        description="Its orders, in the order of their acceptance: a bracket's entry first, its exits once they are open."
    )
    async def orders(self, info: Info) -> list[Order]:
        ids, known = self.state.orders, self.known
        if missing := [each for each in ids if each not in known]:
            known = {**known, **await info.context.loaders.orders(self.state.account, missing)}
        return [Order.of(known[each]) for each in ids if each in known]

    @staticmethod
    def of(state: GroupState, known: dict[int, OrderState] | None = None) -> "OrderGroup":
        """The group as its owner sees it; `known`: states of its orders that are as new."""
        return OrderGroup(
            id=strawberry.ID(encode_id("OrderGroup", state.id)),
            state=state,
            known=known or {},
            client_group_id=state.client_id,
            kind=state.kind,
            status=state.status,
            created_at=to_datetime(state.created_ms),
        )


@strawberry.type(description="One side of a trade: what an order of the account bought or sold at once.")
class Fill(Node):
    state: strawberry.Private[FillState]
    trade_id: strawberry.ID = strawberry.field(description="The trade's id, as in the market's public trades.")
    symbol: str = strawberry.field(description="The market, BASE-QUOTE.")
    side: OrderSide = strawberry.field(description="Whether base was bought or sold.")
    price: Decimal = strawberry.field(description="Price, in quote.")
    quantity: Decimal = strawberry.field(description="Quantity, in base.")
    quote_quantity: Decimal = strawberry.field(description="What was paid or earned before the fee, in quote.")
    fee: Decimal = strawberry.field(description="The fee, in `feeAsset`.")
    liquidity: Liquidity = strawberry.field(description="Whether the order rested or took.")
    time: datetime = strawberry.field(description="When.")
    sequence: Long = strawberry.field(description="Its place in the exchange's journal.")

    @strawberry.field(description="The order that was filled, as it is now. Null when it cannot be read at the moment.")
    async def order(self, info: Info) -> Order | None:
        state = (await info.context.loaders.orders(self.state.account, [self.state.order])).get(self.state.order)
        return None if state is None else Order.of(state)

    @strawberry.field(description="Where it happened.")
    def market(self, info: Info) -> Market:
        return Market.of(info.context.catalogue.market(self.symbol))

    @strawberry.field(description="What the fee was paid in.")
    def fee_asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.fee_asset))

    @staticmethod
    def of(state: FillState) -> "Fill":
        """The fill as its owner sees it."""
        return Fill(
            id=strawberry.ID(encode_id("Fill", state.id)),
            state=state,
            trade_id=strawberry.ID(encode_id("Trade", "EXCHANGE", state.symbol, state.trade)),
            symbol=state.symbol,
            side=state.side,
            price=state.price,
            quantity=state.quantity,
            quote_quantity=state.quote_quantity,
            fee=state.fee,
            liquidity=state.liquidity,
            time=to_datetime(state.time_ms),
            sequence=Long(state.sequence),
        )


def _trailed(state: OrderState, tick: Decimal) -> Decimal:
    """Where the stop of an order that trails stood when it fired: at its distance from the peak, rounded to a tick, so that it fires early."""
    trigger, delta = state.trigger, state.trailing_delta
    if trigger is None or trigger.peak is None or delta is None:
        return Decimal(0) if trigger is None else trigger.price
    sign = 1 if state.side is OrderSide.SELL else -1
    distance = trigger.peak * delta if state.trailing_unit is TrailingUnit.PERCENT else delta
    ticks = sign * (trigger.peak - sign * distance) / tick
    return sign * ticks.to_integral_value(rounding=ROUND_CEILING) * tick
