"""What an order or a fill must be to be listed; None: anything. Times are epoch milliseconds: from <= time < to."""

from collections.abc import Collection
from dataclasses import dataclass

from core.order_vocabulary import OrderStatus, OrderType
from core.vocabulary import OrderSide


@dataclass(frozen=True, slots=True)
class OrderCriteria:
    """Of an order; the time is that of its acceptance, `group` the id of its group."""

    symbols: Collection[str] | None = None
    sides: Collection[OrderSide] | None = None
    types: Collection[OrderType] | None = None
    statuses: Collection[OrderStatus] | None = None
    group: int | None = None
    open: bool | None = None
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class FillCriteria:
    """Of a fill; `order` is the id of its order."""

    symbols: Collection[str] | None = None
    order: int | None = None
    side: OrderSide | None = None
    from_ms: int | None = None
    to_ms: int | None = None
