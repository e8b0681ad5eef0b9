"""An order of an account, as the exchange holds it while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.order_vocabulary import OrderErrorCode, OrderStatus, OrderType, TimeInForce
from core.vocabulary import OrderSide
from events.journal import OrderAccepted, OrderTriggered
from exchange.words import LIMIT, MARKET, OPEN, TRAILING_STOP

AT_ANY_PRICE = frozenset({MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, TRAILING_STOP})
WITH_STOP = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
TRIGGERED = WITH_STOP | {TRAILING_STOP}
WAITING = frozenset({TimeInForce.GTC, TimeInForce.GTD})

if TYPE_CHECKING:
    from exchange.accounts import Account
    from exchange.book import Level
    from exchange.groups import Group
    from exchange.market import Market


class Order:
    """`id` is the sequence of its acceptance.

    `lots` is the whole quantity, `remaining` what is not filled, `visible` what the book shows of it; all in lots. `price` is the limit in
    ticks, or the worst price of an order that takes any price (`at_any_price`). `rests`: whether what is not filled at once waits in the book. `hold` is what is set aside for it, in units of the asset it pays with.
    `value` sums price times lots of its fills in ticks and lots, `fee_value` the same times the fee in millionths; what was paid is each of
    them rounded once, in the exchange's favour, so that an order of many fills pays no more than one of a single fill.
    `group` is what it belongs to; `shares`: the group holds for it. `follows`: it is a stop that trails a price already. `previous` and `following` are its neighbours in its level's queue.
    `trigger` is what fired a stop; `reason` why an ended order ended before it was filled.
    """

    __slots__ = (
        "account", "at_any_price", "client_id", "created_ms", "fee_value", "fees", "following", "follows", "group", "hold", "id", "level", "lots", "maker_ppm", "market",
        "previous", "price", "quote", "reason", "remaining", "rests", "sequence", "shares", "side", "status", "taker_ppm", "terms", "trigger", "value", "visible",
    )  # fmt: skip

    def __init__(self, sequence: int, account: Account, market: Market, accepted: OrderAccepted) -> None:
        _, _, client_id, _, terms, hold, maker_ppm, taker_ppm, _, created_ms = accepted
        kind = terms.type
        self.id = self.sequence = sequence
        self.account = account
        self.market = market
        self.client_id: str = client_id
        self.terms = terms
        self.status: OrderStatus = OPEN
        self.follows = False
        self.side: OrderSide = terms.side
        self.group: Group | None = None
        self.shares = False
        self.lots = self.remaining = terms.lots
        self.at_any_price = kind is not LIMIT and kind in AT_ANY_PRICE
        self.rests = not self.at_any_price and terms.time_in_force in WAITING
        self.price = terms.price
        self.visible = terms.display or terms.lots
        self.hold = hold
        self.maker_ppm = maker_ppm
        self.taker_ppm = taker_ppm
        self.created_ms = created_ms
        self.trigger: OrderTriggered | None = None
        self.reason: OrderErrorCode | None = None
        self.value = self.fee_value = self.quote = self.fees = 0
        self.level: Level | None = None
        self.previous: Order | None = None
        self.following: Order | None = None
