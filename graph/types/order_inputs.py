"""What is asked for when orders are placed, changed and ended.

Numbers here are `OrderNumber`: a malformed one is answered as data, MALFORMED_NUMBER with the path of its field.
"""

from datetime import datetime

import strawberry

from core.clock import to_ms
from core.errors import InvalidInput
from core.ids import sequence_in
from core.order_filters import FillCriteria, OrderCriteria
from core.order_vocabulary import (
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TrailingUnit,
    TriggerSource,
)
from core.vocabulary import MarketStatus, OrderSide
from graph.scalars import Long, OrderNumber

_KEY = (
    "1 to 64 printable ASCII characters, one key space for everything the account does with money, remembered for ever."
)
_SYMBOL = "The market, BASE-QUOTE."
_SOURCE = "Which price fires it."


@strawberry.input(one_of=True, description="An order of yours.")
class OrderRef:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    client_order_id: str | None = strawberry.field(default=strawberry.UNSET, description="The key it was placed under.")


@strawberry.input(one_of=True, description="A group of orders of yours.")
class OrderGroupRef:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    client_group_id: str | None = strawberry.field(default=strawberry.UNSET, description="The key it was placed under.")


@strawberry.input(description="An order. Quantities in base, prices in quote; `Market.rules` says what they must be.")
class OrderTerms:
    symbol: str = strawberry.field(description=_SYMBOL)
    side: OrderSide = strawberry.field(description="Whether to buy or to sell base.")
    type: OrderType = strawberry.field(description="When it trades, and at which prices.")
    quantity: OrderNumber | None = strawberry.field(
        default=None, description="How much, in base. Exactly one of `quantity` and `quoteQuantity`."
    )
    quote_quantity: OrderNumber | None = strawberry.field(
        default=None, description="How much to spend, fees included, or to earn, in quote. Market orders only."
    )
    price: OrderNumber | None = strawberry.field(
        default=None, description="The limit, in quote, for the types that have one."
    )
    stop_price: OrderNumber | None = strawberry.field(
        default=None, description="What fires it, in quote, for the types that wait."
    )
    trailing_delta: OrderNumber | None = strawberry.field(
        default=None,
        description="The distance of a TRAILING_STOP: a price, or with PERCENT a fraction of at most 6 digits (0.01 is 1 %).",
    )
    trailing_unit: TrailingUnit | None = strawberry.field(
        default=None, description="What `trailingDelta` is counted in; ABSOLUTE when left out."
    )
    activation_price: OrderNumber | None = strawberry.field(
        default=None, description="The price from which on a TRAILING_STOP follows, in quote; without it, at once."
    )
    trigger_source: TriggerSource = strawberry.field(default=TriggerSource.LAST, description=_SOURCE)
    time_in_force: TimeInForce = strawberry.field(default=TimeInForce.GTC, description="How long it stands.")
    good_till_time: datetime | None = strawberry.field(
        default=None, description="When it ends; for GTD, and only then."
    )
    post_only: bool = strawberry.field(
        default=False, description="Refuse it with POST_ONLY_WOULD_TAKE rather than let it trade at once."
    )
    display_quantity: OrderNumber | None = strawberry.field(
        default=None, description="How much of it the book shows at a time, in base; without it, all."
    )
    self_trade_prevention: SelfTradePrevention = strawberry.field(
        default=SelfTradePrevention.CANCEL_NEWEST,
        description="What ends when it would trade with another order of the account.",
    )
    max_slippage: OrderNumber | None = strawberry.field(
        default=None,
        description="Market orders: what cannot be filled within this fraction of the best price is canceled. At most 6 digits; 0.01 is 1 %.",
    )


@strawberry.input(
    description="Two orders of which one ends the other: a limit order and a stop, of one side and quantity."
)
class OcoTerms:
    symbol: str = strawberry.field(description=_SYMBOL)
    side: OrderSide = strawberry.field(description="Whether both buy or both sell base.")
    quantity: OrderNumber = strawberry.field(description="How much, in base.")
    take_profit_price: OrderNumber = strawberry.field(description="The limit order's price, in quote.")
    stop_price: OrderNumber = strawberry.field(description="What fires the stop, in quote.")
    stop_limit_price: OrderNumber | None = strawberry.field(
        default=None, description="The stop's limit, in quote; without it, it takes the best prices there are."
    )
    trigger_source: TriggerSource = strawberry.field(default=TriggerSource.LAST, description=_SOURCE)
    time_in_force: TimeInForce = strawberry.field(default=TimeInForce.GTC, description="How long both stand.")


@strawberry.input(
    description="An entry, and what closes it: a limit order that takes the profit, a stop or a stop that trails, or one of each kind. "
    "They are of the other side, and for what the entry has filled."
)
class BracketTerms:
    entry: OrderTerms = strawberry.field(description="The order that opens.")
    take_profit_price: OrderNumber | None = strawberry.field(
        default=None, description="Price of the limit order, in quote."
    )
    stop_price: OrderNumber | None = strawberry.field(default=None, description="What fires the stop, in quote.")
    stop_limit_price: OrderNumber | None = strawberry.field(
        default=None, description="The stop's limit, in quote; without it, it takes the best prices there are."
    )
    trailing_delta: OrderNumber | None = strawberry.field(
        default=None, description="The distance of a stop that trails, in the place of `stopPrice`; to sell only."
    )
    trailing_unit: TrailingUnit | None = strawberry.field(
        default=None, description="What `trailingDelta` is counted in; ABSOLUTE when left out."
    )
    trigger_source: TriggerSource = strawberry.field(default=TriggerSource.LAST, description=_SOURCE)


@strawberry.input(one_of=True, description="What to look at before it is placed.")
class OrderPreviewInput:
    order: OrderTerms | None = strawberry.field(default=strawberry.UNSET, description="One order.")
    oco: OcoTerms | None = strawberry.field(
        default=strawberry.UNSET, description="Two orders of which one ends the other."
    )
    bracket: BracketTerms | None = strawberry.field(
        default=strawberry.UNSET, description="An entry and what closes it."
    )


@strawberry.input(description="An order to be placed.")
class PlaceOrderInput:
    client_order_id: str = strawberry.field(description=f"Your key for it: {_KEY}")
    order: OrderTerms = strawberry.field(description="The order.")


@strawberry.input(description="Orders to be placed, each by itself.")
class PlaceOrdersInput:
    orders: list[PlaceOrderInput] = strawberry.field(description="The orders, at most 20, placed in this order.")


@strawberry.input(description="Two orders of which one ends the other, to be placed.")
class PlaceOcoInput:
    client_group_id: str = strawberry.field(description=f"Your key for the group: {_KEY}")
    oco: OcoTerms = strawberry.field(description="The two orders.")


@strawberry.input(description="An entry and what closes it, to be placed.")
class PlaceBracketInput:
    client_group_id: str = strawberry.field(description=f"Your key for the group: {_KEY}")
    bracket: BracketTerms = strawberry.field(description="The entry and what closes it.")


@strawberry.input(
    description="Changes of an open order; what is left out stays as it is. Of an order of a group only prices change."
)
class AmendOrderInput:
    by: OrderRef = strawberry.field(description="The order.")
    quantity: OrderNumber | None = strawberry.field(
        default=None,
        description="The new whole quantity, what is filled included, in base. Less keeps its place in the queue.",
    )
    price: OrderNumber | None = strawberry.field(default=None, description="The new limit, in quote.")
    stop_price: OrderNumber | None = strawberry.field(default=None, description="The new stop, in quote.")
    trailing_delta: OrderNumber | None = strawberry.field(
        default=None, description="The new distance, in the order's own unit."
    )
    display_quantity: OrderNumber | None = strawberry.field(
        default=None, description="How much the book shows, in base."
    )
    good_till_time: datetime | None = strawberry.field(default=None, description="The new end, for GTD.")
    expected_sequence: Long | None = strawberry.field(
        default=None, description="Refuse with ORDER_CHANGED unless the order's `sequence` is this."
    )


@strawberry.input(description="An order to be canceled.")
class CancelOrderInput:
    by: OrderRef = strawberry.field(description="The order.")


@strawberry.input(description="A group of orders to be canceled.")
class CancelOrderGroupInput:
    by: OrderGroupRef = strawberry.field(description="The group.")


@strawberry.input(description="Which orders to cancel; what is left out does not matter.")
class CancelAllOrdersInput:
    symbols: list[str] | None = strawberry.field(default=None, description="In these markets.")
    sides: list[OrderSide] | None = strawberry.field(default=None, description="Of these sides.")


@strawberry.input(description="A timer that cancels orders unless it is set again. Each session and API key has one.")
class CancelAllOrdersAfterInput:
    timeout_seconds: int = strawberry.field(description="When, from now, in seconds: 1 to 86400; 0 disarms.")
    symbols: list[str] | None = strawberry.field(default=None, description="In these markets; without it, in all.")


@strawberry.input(description="What an order must be to be listed; what is left out does not matter.")
class OrderFilter:
    symbols: list[str] | None = strawberry.field(default=None, description="In one of these markets.")
    sides: list[OrderSide] | None = strawberry.field(default=None, description="Of one of these sides.")
    types: list[OrderType] | None = strawberry.field(default=None, description="Of one of these types.")
    statuses: list[OrderStatus] | None = strawberry.field(default=None, description="In one of these states.")
    group_id: strawberry.ID | None = strawberry.field(default=None, description="Of this group.")
    open: bool | None = strawberry.field(default=None, description="Open, or ended.")
    from_: datetime | None = strawberry.field(default=None, name="from", description="Placed not before this moment.")
    to: datetime | None = strawberry.field(default=None, description="Placed before this moment.")

    def criteria(self) -> OrderCriteria:
        """The same in our terms. Raises InvalidInput."""
        return OrderCriteria(
            symbols=self.symbols,
            sides=self.sides,
            types=self.types,
            statuses=self.statuses,
            group=_sequence(self.group_id, "OrderGroup", "groupId"),
            open=self.open,
            from_ms=_milliseconds(self.from_),
            to_ms=_milliseconds(self.to),
        )


@strawberry.input(description="What a fill must be to be listed; what is left out does not matter.")
class FillFilter:
    symbols: list[str] | None = strawberry.field(default=None, description="In one of these markets.")
    order_id: strawberry.ID | None = strawberry.field(default=None, description="Of this order.")
    side: OrderSide | None = strawberry.field(default=None, description="Of this side.")
    from_: datetime | None = strawberry.field(default=None, name="from", description="Not before this moment.")
    to: datetime | None = strawberry.field(default=None, description="Before this moment.")

    def criteria(self) -> FillCriteria:
        """The same in our terms. Raises InvalidInput."""
        return FillCriteria(
            symbols=self.symbols,
            order=_sequence(self.order_id, "Order", "orderId"),
            side=self.side,
            from_ms=_milliseconds(self.from_),
            to_ms=_milliseconds(self.to),
        )


@strawberry.input(description="What a market accepts from now on.")
class SetMarketStatusInput:
    symbol: str = strawberry.field(description=_SYMBOL)
    status: MarketStatus = strawberry.field(description="What it accepts.")
    reason: str = strawberry.field(description="Why, for the audit log: 1 to 500 characters.")
    step_up_proof: str | None = strawberry.field(
        default=None, description="From `reauthenticate` with this mutation's name and these parameters."
    )


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _sequence(id_: str | None, kind: str, field: str) -> int | None:
    if id_ is None:
        return None
    sequence = sequence_in(id_, kind)
    if sequence is None:
        raise InvalidInput(f"expected the id of an {kind}", field=["filter", field])
    return sequence
