"""Orders and balances of the exchange's core as decimals: what clients, documents and events show of them."""

from dataclasses import dataclass
from decimal import Decimal

from core.order_vocabulary import OrderErrorCode, OrderGroupStatus, OrderStatus, OrderType, TrailingUnit
from core.vocabulary import OrderSide
from events.journal import MarketConfigured, OrderTriggered
from events.trading import GroupState, OrderState, TriggerState
from exchange.groups import Group
from exchange.market import ATTO, PPM, Market
from exchange.order import TRIGGERED, Order
from exchange.refusal import Refusal

_ATTO_DIGITS = 18


def amount(units: int, scale: int) -> Decimal:
    """Units of an asset with so many decimals."""
    return Decimal(units).scaleb(-scale)


def atto(number: int) -> Decimal:
    """A number in 10^-18, without zeros at its end."""
    return _step(number, 1)


def _step(multiplier: int, count: int) -> Decimal:
    digits = _ATTO_DIGITS
    while digits and multiplier % 10 == 0:
        multiplier //= 10
        digits -= 1
    return Decimal(count * multiplier).scaleb(-digits)


@dataclass(frozen=True, slots=True)
class Scales:
    """What ticks, lots and units of a market are in decimals."""

    tick: int
    tick_digits: int
    lot: int
    lot_digits: int
    base: int
    quote: int
    no_lots: Decimal
    no_money: Decimal
    """What most orders have filled and paid, in base and in quote."""

    def price(self, ticks: int) -> Decimal:
        """A price in the quote asset."""
        return Decimal(ticks * self.tick).scaleb(-self.tick_digits)

    def quantity(self, lots: int) -> Decimal:
        """A quantity of the base asset."""
        return Decimal(lots * self.lot).scaleb(-self.lot_digits)

    def quoted(self, units: int) -> Decimal:
        """An amount of the quote asset."""
        return Decimal(units).scaleb(-self.quote)


def scales_of(rules: MarketConfigured) -> Scales:
    """Of a market with these rules."""
    tick, lot = _step(rules.tick, 1).as_tuple(), _step(rules.lot, 1).as_tuple()
    tick_digits, lot_digits = -int(tick.exponent), -int(lot.exponent)
    return Scales(
        rules.tick * 10**tick_digits // ATTO,
        tick_digits,
        rules.lot * 10**lot_digits // ATTO,
        lot_digits,
        rules.base_scale,
        rules.quote_scale,
        Decimal(0).scaleb(-lot_digits),
        Decimal(0).scaleb(-rules.quote_scale),
    )


class TradingStates:
    """Makes states of what the core holds, with the scales of its markets."""

    def __init__(self) -> None:
        self._scales: dict[str, tuple[MarketConfigured, Scales]] = {}

    def scales(self, market: Market) -> Scales:
        """Those of this market's present rules."""
        known = self._scales.get(market.symbol)
        if known is None or known[0] is not market.rules:
            known = self._scales[market.symbol] = (market.rules, scales_of(market.rules))
        return known[1]

    def order(self, order: Order, time_ms: int) -> OrderState:
        """The order as it stands; `time_ms` is when it last changed."""
        terms, market = order.terms, order.market
        scales = self.scales(market)
        price, quantity = scales.price, scales.quantity
        waits = terms.type in TRIGGERED
        filled = order.lots - order.remaining
        whole = quantity(order.lots)
        sized_in_quote = terms.budget > 0
        trail = None
        if terms.trail:
            trail = price(terms.trail) if terms.trail_unit is TrailingUnit.ABSOLUTE else _share(terms.trail)
        return OrderState(
            order.id,
            order.account.id,
            order.client_id,
            market.symbol,
            terms.side,
            terms.type,
            order.status,
            terms.time_in_force,
            terms.expires_ms or None,
            None if sized_in_quote else whole,
            scales.quoted(terms.budget) if sized_in_quote else None,
            price(terms.price) if terms.price and terms.type is not OrderType.MARKET else None,
            price(terms.stop) if terms.stop else None,
            trail,
            terms.trail_unit if terms.trail else None,
            price(terms.activation) if terms.activation else None,
            terms.source if waits else None,
            _trigger(order.trigger, scales),
            terms.post_only,
            quantity(terms.display) if terms.display else None,
            None if terms.slippage_ppm < 0 else _share(terms.slippage_ppm),
            terms.self_trade,
            quantity(filled) if filled else scales.no_lots,
            scales.quoted(order.quote) if order.quote else scales.no_money,
            None if sized_in_quote else quantity(order.remaining) if filled else whole,
            scales.quoted(order.fees) if order.fees else scales.no_money,
            market.quote,
            None if order.group is None else order.group.id,
            order.reason,
            order.created_ms,
            time_ms,
            order.sequence,
        )

    def refused_number(
        self, refusal: Refusal, number: int | None, market: Market | None, side: OrderSide
    ) -> Decimal | None:
        """A refusal's `limit` or `actual`, which the core gives in the unit of its code."""
        if number is None:
            return None
        code = refusal.code
        if code in _COUNTS:
            return Decimal(number)
        if code is OrderErrorCode.INSUFFICIENT_FUNDS and market is not None:
            scales = self.scales(market)
            return amount(number, scales.quote if side is OrderSide.BUY else scales.base)
        return atto(number)


_COUNTS = {OrderErrorCode.TOO_MANY_OPEN_ORDERS, OrderErrorCode.ORDER_CHANGED, OrderErrorCode.EXPIRY_IN_PAST}


def group_state(group: Group, orders: tuple[int, ...], *, lives: bool, sequence: int) -> GroupState:
    """A group as it stands; one that lives no longer is done if an exit of it has traded."""
    if lives:
        status = OrderGroupStatus.ACTIVE if group.legs or group.lots else OrderGroupStatus.PENDING
    else:
        status = OrderGroupStatus.DONE if group.traded else OrderGroupStatus.CANCELED
    return GroupState(
        group.id,
        group.account.id,
        group.client_id,
        group.market.symbol,
        group.kind,
        status,
        orders,
        group.created_ms,
        sequence,
    )


def is_over(status: OrderStatus) -> bool:
    """Whether an order of this status will not change any more."""
    return status in _OVER


_OVER = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED}


def _share(ppm: int) -> Decimal:
    return (Decimal(ppm) / PPM).normalize() if ppm else Decimal(0)


def _trigger(event: OrderTriggered | None, scales: Scales) -> TriggerState | None:
    if event is None:
        return None
    return TriggerState(
        scales.price(event.trigger_price),
        scales.price(event.previous_price) if event.previous_price else None,
        scales.price(event.peak) if event.peak else None,
        event.source,
        event.time_ms,
    )
