"""Inputs about orders, as the services take them."""

from typing import cast

from core.clock import to_ms
from core.ids import sequence_in
from core.order_vocabulary import OrderErrorCode
from core.refusals import OrderRefused
from graph.scalars import OrderNumber
from graph.types.order_inputs import (
    BracketTerms,
    OcoTerms,
    OrderGroupRef,
    OrderRef,
    OrderTerms,
)
from services.order_changes import Ref
from services.order_wishes import Number, WantedBracket, WantedOco, WantedOrder


def number(given: OrderNumber | None) -> Number:
    """The number as the scalar parsed it."""
    return cast(Number, given)


def wanted_order(terms: OrderTerms) -> WantedOrder:
    """An order."""
    return WantedOrder(
        symbol=terms.symbol,
        side=terms.side,
        type=terms.type,
        quantity=number(terms.quantity),
        quote_quantity=number(terms.quote_quantity),
        price=number(terms.price),
        stop_price=number(terms.stop_price),
        trailing_delta=number(terms.trailing_delta),
        trailing_unit=terms.trailing_unit,
        activation_price=number(terms.activation_price),
        trigger_source=terms.trigger_source,
        time_in_force=terms.time_in_force,
        good_till_ms=None if terms.good_till_time is None else to_ms(terms.good_till_time),
        post_only=terms.post_only,
        display_quantity=number(terms.display_quantity),
        self_trade=terms.self_trade_prevention,
        max_slippage=number(terms.max_slippage),
    )


def wanted_oco(terms: OcoTerms) -> WantedOco:
    """Two orders of which one ends the other."""
    return WantedOco(
        symbol=terms.symbol,
        side=terms.side,
        quantity=number(terms.quantity),
        take_profit_price=number(terms.take_profit_price),
        stop_price=number(terms.stop_price),
        stop_limit_price=number(terms.stop_limit_price),
        trigger_source=terms.trigger_source,
        time_in_force=terms.time_in_force,
    )


def wanted_bracket(terms: BracketTerms) -> WantedBracket:
    """An entry and what closes it."""
    return WantedBracket(
        entry=wanted_order(terms.entry),
        take_profit_price=number(terms.take_profit_price),
        stop_price=number(terms.stop_price),
        stop_limit_price=number(terms.stop_limit_price),
        trailing_delta=number(terms.trailing_delta),
        trailing_unit=terms.trailing_unit,
        trigger_source=terms.trigger_source,
    )


def order_ref(by: OrderRef) -> Ref:
    """An order that is to be changed. Raises OrderRefused for an id of nothing."""
    return Ref(key=by.client_order_id) if by.client_order_id else Ref(_known(by.id, "Order"))


def group_ref(by: OrderGroupRef) -> Ref:
    """A group that is to be changed. Raises OrderRefused for an id of nothing."""
    return Ref(key=by.client_group_id) if by.client_group_id else Ref(_known(by.id, "OrderGroup"))


def _known(id_: str | None, kind: str) -> int:
    sequence = sequence_in(id_ or "", kind)
    if sequence is None:
        raise OrderRefused(OrderErrorCode.UNKNOWN_ORDER, field=["by"])
    return sequence
