"""Public trades of a market."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import MarketDataOrigin, OrderSide, origin_of
from events.market import TradeAccepted
from graph.scalars import Long
from graph.types.node import Node


@strawberry.type(description="One public trade.")
class Trade(Node):
    symbol: str = strawberry.field(description="The market.")
    origin: MarketDataOrigin = strawberry.field(description="Where it happened.")
    price: Decimal = strawberry.field(description="Price, in quote.")
    quantity: Decimal = strawberry.field(description="Quantity, in base.")
    taker_side: OrderSide | None = strawberry.field(description="Side of the taker; null when the venue does not say.")
    time: datetime = strawberry.field(description="When the venue says it happened.")
    sequence: Long = strawberry.field(
        description="+1 for every accepted trade of this market and feed, or of this exchange."
    )

    @staticmethod
    def of(trade: TradeAccepted) -> "Trade":
        """The trade as clients see it."""
        return Trade(
            id=strawberry.ID(encode_id("Trade", trade.series, trade.symbol, trade.sequence)),
            symbol=trade.symbol,
            origin=origin_of(trade.series),
            price=trade.price,
            quantity=trade.quantity,
            taker_side=trade.taker_side,
            time=to_datetime(trade.time_ms),
            sequence=Long(trade.sequence),
        )
