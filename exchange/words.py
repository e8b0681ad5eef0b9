"""Words of trading by their plain names. Python 3.11 takes 80 ns to find a member in its enumeration, and the core asks a dozen times per command."""

from typing import Final

from core.order_vocabulary import OrderStatus, OrderType, SelfTradePrevention, TimeInForce, TrailingUnit, TriggerSource
from core.vocabulary import MarketStatus, OrderSide

BUY: Final = OrderSide.BUY
SELL: Final = OrderSide.SELL

LIMIT: Final = OrderType.LIMIT
MARKET: Final = OrderType.MARKET
TRAILING_STOP: Final = OrderType.TRAILING_STOP
FOK: Final = TimeInForce.FOK
CANCEL_NEWEST: Final = SelfTradePrevention.CANCEL_NEWEST
CANCEL_OLDEST: Final = SelfTradePrevention.CANCEL_OLDEST
LAST: Final = TriggerSource.LAST
ABSOLUTE: Final = TrailingUnit.ABSOLUTE

OPEN: Final = OrderStatus.OPEN
TRIGGER_PENDING: Final = OrderStatus.TRIGGER_PENDING
PARTIALLY_FILLED: Final = OrderStatus.PARTIALLY_FILLED
FILLED: Final = OrderStatus.FILLED
CANCELED: Final = OrderStatus.CANCELED

TRADING: Final = MarketStatus.TRADING
HALTED: Final = MarketStatus.HALTED
