"""Orders and fills, as their owner sees them."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.order_vocabulary import OrderStatus
from core.vocabulary import OrderSide
from events.trading import FillState, OrderState
from graph.scalars import Long
from graph.types.node import Node


@strawberry.type(description="An order.")
class Order(Node):
    symbol: str = strawberry.field(description="The market, BASE-QUOTE.")
    side: OrderSide = strawberry.field(description="Whether it buys or sells base.")
    status: OrderStatus = strawberry.field(description="Where it is in its life.")
    sequence: Long = strawberry.field(description="The place in the exchange's journal this is true at.")

    @staticmethod
    def of(state: OrderState) -> "Order":
        """The order as its owner sees it."""
        return Order(
            id=strawberry.ID(encode_id("Order", state.id)),
            symbol=state.symbol,
            side=state.side,
            status=state.status,
            sequence=Long(state.sequence),
        )


@strawberry.type(description="One side of a trade: what an order of the account bought or sold at once.")
class Fill(Node):
    symbol: str = strawberry.field(description="The market, BASE-QUOTE.")
    side: OrderSide = strawberry.field(description="Whether base was bought or sold.")
    price: Decimal = strawberry.field(description="Price, in quote.")
    quantity: Decimal = strawberry.field(description="Quantity, in base.")
    time: datetime = strawberry.field(description="When.")

    @staticmethod
    def of(state: FillState) -> "Fill":
        """The fill as its owner sees it."""
        return Fill(
            id=strawberry.ID(encode_id("Fill", state.id)),
            symbol=state.symbol,
            side=state.side,
            price=state.price,
            quantity=state.quantity,
            time=to_datetime(state.time_ms),
        )
