"""Orders as clients ask for them, and what the exchange is asked for instead: whole numbers of 10^-18, and a digest of the content.

A number that cannot be read is named in the wish, so that the exchange refuses it in its place among all refusals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256

import orjson

from core.money import Unreadable
from core.order_vocabulary import OrderType, SelfTradePrevention, TimeInForce, TrailingUnit, TriggerSource
from core.vocabulary import OrderSide
from events.commands import OrderWish

Number = Decimal | Unreadable | None
_ATTO_DIGITS = 18
_PPM_DIGITS = 6
_REQUIRED = object()
_FIELDS = tuple((name, OrderWish._field_defaults.get(name, _REQUIRED)) for name in OrderWish._fields)


@dataclass(frozen=True, slots=True)
class WantedOrder:
    """One order. `trailing_delta` is a price, or with PERCENT a fraction; `max_slippage` is a fraction (0.01 is 1 %)."""

    symbol: str
    side: OrderSide
    type: OrderType
    quantity: Number = None
    quote_quantity: Number = None
    price: Number = None
    stop_price: Number = None
    trailing_delta: Number = None
    trailing_unit: TrailingUnit | None = None
    activation_price: Number = None
    trigger_source: TriggerSource = TriggerSource.LAST
    time_in_force: TimeInForce = TimeInForce.GTC
    good_till_ms: int | None = None
    post_only: bool = False
    display_quantity: Number = None
    self_trade: SelfTradePrevention = SelfTradePrevention.CANCEL_NEWEST
    max_slippage: Number = None


@dataclass(frozen=True, slots=True)
class WantedOco:
    """Two orders of which one ends the other: a limit at `take_profit_price`, and a stop."""

    symbol: str
    side: OrderSide
    quantity: Number
    take_profit_price: Number
    stop_price: Number
    stop_limit_price: Number = None
    trigger_source: TriggerSource = TriggerSource.LAST
    time_in_force: TimeInForce = TimeInForce.GTC


@dataclass(frozen=True, slots=True)
class WantedBracket:
    """An entry, and one or two orders that close what it fills."""

    entry: WantedOrder
    take_profit_price: Number = None
    stop_price: Number = None
    stop_limit_price: Number = None
    trailing_delta: Number = None
    trailing_unit: TrailingUnit | None = None
    trigger_source: TriggerSource = TriggerSource.LAST


class Reading:
    """Reads the numbers of one input, and remembers the first that cannot be read."""

    def __init__(self) -> None:
        self.malformed: str | None = None

    def atto(self, field: str, number: Number) -> int | None:
        """The number in 10^-18."""
        return self._scaled(field, number, _ATTO_DIGITS)

    def ppm(self, field: str, fraction: Number) -> int | None:
        """The fraction in millionths."""
        return self._scaled(field, fraction, _PPM_DIGITS)

    def trail(self, field: str, delta: Number, unit: TrailingUnit | None) -> int | None:
        """The distance of a stop that trails: in 10^-18, or in millionths."""
        return self.ppm(field, delta) if unit is TrailingUnit.PERCENT else self.atto(field, delta)

    def _scaled(self, field: str, number: Number, digits: int) -> int | None:
        if number is None:
            return None
        scaled = None if isinstance(number, Unreadable) else number.scaleb(digits)
        if scaled is None or scaled != scaled.to_integral_value():
            self.malformed = self.malformed or field
            return None
        return int(scaled)


def wish_of(wanted: WantedOrder) -> OrderWish:
    """What the exchange is asked for."""
    read = Reading()
    wish = OrderWish(
        symbol=wanted.symbol,
        side=wanted.side,
        type=wanted.type,
        quantity=read.atto("quantity", wanted.quantity),
        quote_quantity=read.atto("quoteQuantity", wanted.quote_quantity),
        price=read.atto("price", wanted.price),
        stop_price=read.atto("stopPrice", wanted.stop_price),
        source=wanted.trigger_source,
        time_in_force=wanted.time_in_force,
        good_till_ms=wanted.good_till_ms,
        post_only=wanted.post_only,
        display_quantity=read.atto("displayQuantity", wanted.display_quantity),
        self_trade=wanted.self_trade,
        max_slippage_ppm=read.ppm("maxSlippage", wanted.max_slippage),
        trail=read.trail("trailingDelta", wanted.trailing_delta, wanted.trailing_unit),
        trail_unit=wanted.trailing_unit or TrailingUnit.ABSOLUTE,
        activation_price=read.atto("activationPrice", wanted.activation_price),
    )
    return wish if read.malformed is None else wish._replace(malformed=read.malformed)


def oco_wishes(wanted: WantedOco) -> tuple[OrderWish, OrderWish]:
    """The limit order and the stop."""
    read = Reading()
    quantity = read.atto("quantity", wanted.quantity)
    profit = OrderWish(
        wanted.symbol,
        wanted.side,
        OrderType.LIMIT,
        quantity=quantity,
        price=read.atto("takeProfitPrice", wanted.take_profit_price),
        time_in_force=wanted.time_in_force,
    )
    stop = OrderWish(
        wanted.symbol,
        wanted.side,
        OrderType.STOP_LOSS if wanted.stop_limit_price is None else OrderType.STOP_LOSS_LIMIT,
        quantity=quantity,
        stop_price=read.atto("stopPrice", wanted.stop_price),
        price=read.atto("stopLimitPrice", wanted.stop_limit_price),
        source=wanted.trigger_source,
        time_in_force=wanted.time_in_force,
    )
    return profit._replace(malformed=read.malformed), stop


def bracket_wishes(wanted: WantedBracket) -> tuple[OrderWish, tuple[OrderWish, ...]]:
    """The entry and its exits, which have no quantity of their own. A number of theirs that cannot be read is named in the first."""
    entry = wish_of(wanted.entry)
    side = OrderSide.SELL if entry.side is OrderSide.BUY else OrderSide.BUY
    read = Reading()
    profit = read.atto("takeProfitPrice", wanted.take_profit_price)
    stop = read.atto("stopPrice", wanted.stop_price)
    limit = read.atto("stopLimitPrice", wanted.stop_limit_price)
    trail = read.trail("trailingDelta", wanted.trailing_delta, wanted.trailing_unit)
    exits = []
    if wanted.take_profit_price is not None:
        exits.append(OrderWish(wanted.entry.symbol, side, OrderType.LIMIT, price=profit))
    if wanted.trailing_delta is not None:
        exits.append(
            OrderWish(
                wanted.entry.symbol,
                side,
                OrderType.TRAILING_STOP,
                stop_price=stop if stop is not None else limit,  # refused: it does not go together with what trails
                source=wanted.trigger_source,
                trail=trail,
                trail_unit=wanted.trailing_unit or TrailingUnit.ABSOLUTE,
            )
        )
    elif wanted.stop_price is not None or wanted.stop_limit_price is not None:
        kind = OrderType.STOP_LOSS if wanted.stop_limit_price is None else OrderType.STOP_LOSS_LIMIT
        exits.append(
            OrderWish(wanted.entry.symbol, side, kind, stop_price=stop, price=limit, source=wanted.trigger_source)
        )
    if exits and read.malformed is not None:
        exits[0] = exits[0]._replace(malformed=read.malformed)
    return entry, tuple(exits)


def digest_of(kind: str, wishes: Sequence[OrderWish]) -> str:
    """SHA-256, in hex, of the content: the same however numbers are written and whether defaults are given or left out.

    It is kept for ever beside the client's key, so a field that is added to wishes must have a default.
    """
    return sha256(orjson.dumps([kind, *map(_content, wishes)], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _content(wish: OrderWish) -> dict[str, str]:
    return {
        name: str(value.value if isinstance(value, Enum) else value)
        for (name, default), value in zip(_FIELDS, wish, strict=True)
        if value is not default and value != default
    }
