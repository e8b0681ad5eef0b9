"""The roots of trading: parts of the roots in `graph/schema.py`."""

from collections.abc import AsyncGenerator
from operator import attrgetter

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, query, subscription
from graph.types.order import Fill, Order, OrderGroup
from graph.types.order_payloads import (
    CancelAllOrdersPayload,
    CancelTimerPayload,
    OrderGroupPayload,
    OrderPayload,
    OrderPreview,
    PlaceOrderGroupPayload,
    PlaceOrderPayload,
    PlaceOrdersPayload,
)
from resolvers import orders as order_resolvers


@strawberry.type
class TradingQuery:
    order: Order | None = query(
        order_resolvers.order,
        "An order of yours; null when there is none such.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )
    order_group: OrderGroup | None = query(
        order_resolvers.order_group,
        "A group of orders of yours; null when there is none such.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )
    order_preview: list[OrderPreview] | None = query(
        order_resolvers.order_preview,
        "What orders would do now, without placing them: one entry for each order of the input.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )


@strawberry.type
class TradingSubscription:
    order_updated: AsyncGenerator[Order, None] = subscription(
        order_resolvers.order_updated,
        "Your open orders as they are now, then every state an order takes on. None is skipped; a reader more than 10,000 "
        "events behind is ended with EVENTS_MISSED. To resume after a disconnection use `accountEvents`.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=attrgetter("state"),
    )
    fill_received: AsyncGenerator[Fill, None] = subscription(
        order_resolvers.fill_received,
        "Your newest fill, then every new one. None is skipped, as above.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=attrgetter("state"),
    )


@strawberry.type
class TradingMutation:
    place_order: PlaceOrderPayload = mutation(
        order_resolvers.place_order,
        "Place an order.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
        idempotent="clientOrderId",
    )
    place_orders: PlaceOrdersPayload = mutation(
        order_resolvers.place_orders,
        "Place up to 20 orders, in this order and each by itself: one that is refused does not keep the others. Costs 10 points for each of them.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
        idempotent="clientOrderId",
    )
    place_oco: PlaceOrderGroupPayload = mutation(
        order_resolvers.place_oco,
        "Place two orders of which one ends the other.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
        idempotent="clientGroupId",
    )
    place_bracket: PlaceOrderGroupPayload = mutation(
        order_resolvers.place_bracket,
        "Place an entry and what closes it.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
        idempotent="clientGroupId",
    )
    amend_order: OrderPayload = mutation(
        order_resolvers.amend_order, "Change an open order.", access=Access.SELF, scope=ApiScope.TRADE
    )
    cancel_order: OrderPayload = mutation(
        order_resolvers.cancel_order, "Cancel an order.", access=Access.SELF, scope=ApiScope.TRADE
    )
    cancel_order_group: OrderGroupPayload = mutation(
        order_resolvers.cancel_order_group, "Cancel all orders of a group.", access=Access.SELF, scope=ApiScope.TRADE
    )
    cancel_all_orders: CancelAllOrdersPayload = mutation(
        order_resolvers.cancel_all_orders,
        "Cancel all open orders, or those in some markets or of a side.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
    )
    cancel_all_orders_after: CancelTimerPayload = mutation(
        order_resolvers.cancel_all_orders_after,
        "Cancel all open orders in so many seconds, unless this is called again before.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
    )
