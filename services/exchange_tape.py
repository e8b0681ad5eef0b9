"""STANDIN"""

from decimal import Decimal
from typing import NamedTuple

from core.vocabulary import OrderSide


class ExchangeTrade(NamedTuple):
    symbol: str
    number: int
    price: Decimal
    quantity: Decimal
    taker_side: OrderSide
    time_ms: int
