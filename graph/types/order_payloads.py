"""What mutations about orders give, and what an order would do."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.refusals import AuthRefused, OrderRefused
from core.vocabulary import OrderSide
from events.answers import PreviewState, TimerState
from graph.types.asset import Asset
from graph.types.errors import ERRORS, GeneralError
from graph.types.market import Market
from graph.types.order import Order, OrderGroup
from graph.types.order_book import BookLevel
from graph.types.order_errors import OrderError, OrderRefusable

_REPLAYED = (
    "Whether the key had been used for the same content before: nothing was done, and this is what came of it then."
)
_ORDER = "The order as it is now; null when it was refused, or cannot be read at the moment (`extensions.staleSince`)."
_GROUP = "The group as it is now; null when it was refused, or cannot be read at the moment (`extensions.staleSince`)."


@strawberry.type(description="An order that was placed, or why not.")
class PlaceOrderPayload(OrderRefusable):
    order: Order | None = strawberry.field(default=None, description=_ORDER)
    replayed: bool = strawberry.field(default=False, description=_REPLAYED)
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What became of several orders.")
class PlaceOrdersPayload:
    results: list[PlaceOrderPayload] = strawberry.field(description="One for each order, in the order of the input.")


@strawberry.type(description="A group that was placed, or why not.")
class PlaceOrderGroupPayload(OrderRefusable):
    group: OrderGroup | None = strawberry.field(default=None, description=_GROUP)
    replayed: bool = strawberry.field(default=False, description=_REPLAYED)
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="An order that was changed, or why not.")
class OrderPayload(OrderRefusable):
    order: Order | None = strawberry.field(default=None, description=_ORDER)
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A group that was changed, or why not.")
class OrderGroupPayload(OrderRefusable):
    group: OrderGroup | None = strawberry.field(default=None, description=_GROUP)
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="Orders that were canceled, or why not.")
class CancelAllOrdersPayload(OrderRefusable):
    orders: list[Order] = strawberry.field(default_factory=list, description="Those that were canceled.")
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A timer that cancels orders unless it is set again in time.")
class CancelTimer:
    id: strawberry.ID = strawberry.field(description="Stable per session or API key.")
    symbols: list[str] | None = strawberry.field(description="In which markets; null: in all.")
    expires_at: datetime = strawberry.field(description="When it cancels.")

    @staticmethod
    def of(timer: TimerState) -> "CancelTimer":
        """The timer as its owner sees it."""
        return CancelTimer(
            id=strawberry.ID(encode_id("CancelTimer", timer.owner)),
            symbols=list(timer.symbols) or None,
            expires_at=to_datetime(timer.expires_ms),
        )


@strawberry.type(description="A timer that was set, or why not.")
class CancelTimerPayload(OrderRefusable):
    timer: CancelTimer | None = strawberry.field(default=None, description="The timer; null when it was disarmed.")
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What an order would do now. Nothing is placed, and the next moment may be different.")
class OrderPreview:
    market: Market = strawberry.field(description="Where.")
    side: OrderSide = strawberry.field(description="Whether it buys or sells base.")
    quantity: Decimal | None = strawberry.field(description="How much of it would be filled at once, in base.")
    average_price: Decimal | None = strawberry.field(description="Average price of those fills, in quote.")
    worst_price: Decimal | None = strawberry.field(description="Worst price of those fills, in quote.")
    slippage: Decimal | None = strawberry.field(
        description="How far the average is from the best price, as a fraction."
    )
    fee: Decimal | None = strawberry.field(description="The fee of those fills, in `feeAsset`.")
    fee_asset: Asset | None = strawberry.field(description="What the fee is paid in.")
    total: Decimal | None = strawberry.field(
        description="What would be set aside for the order: in quote to buy, the fee included; in base to sell."
    )
    fills: list[BookLevel] = strawberry.field(description="Those fills by price, the best first.")
    errors: list[OrderError] = strawberry.field(description="Why it would be refused; empty when it would not.")

    @staticmethod
    def of(
        state: PreviewState,
        refused: OrderRefused | None,
        *,
        market: Market,
        side: OrderSide,
        fee_asset: Asset | None,
        locale: str,
    ) -> "OrderPreview":
        """The preview as clients see it."""
        levels: list[BookLevel] = []
        total = Decimal(0)
        for price, quantity in state.fills:
            total += quantity
            levels.append(BookLevel(price=price, quantity=quantity, total=total, orders=None))
        return OrderPreview(
            market=market,
            side=side,
            quantity=state.quantity,
            average_price=state.average_price,
            worst_price=state.worst_price,
            slippage=state.slippage,
            fee=state.fee,
            fee_asset=fee_asset,
            total=state.total,
            fills=levels,
            errors=[] if refused is None else [OrderError.of(refused, locale)],
        )


@strawberry.type(description="A market after a change.")
class MarketPayload:
    market: Market | None = strawberry.field(default=None, description="The market.")
    errors: list[GeneralError] = strawberry.field(default_factory=list, description=ERRORS)

    @classmethod
    def refused(cls, refused: AuthRefused, locale: str) -> Self:
        """Nothing but a refusal."""
        return cls(errors=[GeneralError.of(refused, locale)])
