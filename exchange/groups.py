"""Orders that belong together.

The exits of a group share one hold: what the dearer of them could cost for what is left. What one of them fills the other loses, and a
trigger ends the other; what is held is always enough for the one that is left.
"""

from core.order_vocabulary import OrderGroupKind
from core.vocabulary import OrderSide
from events.journal import GroupAccepted, Terms
from exchange.accounts import Account
from exchange.market import Market
from exchange.order import Order


class Group:
    """`id` is the sequence of its acceptance; `legs` are its open exits. `lots` is what they still are to trade; what they traded is summed up
    as in an order (see there), and anew when exits open again after all have ended; `traded`: any exit of it ever did. `worst` is the worst price in ticks any of them trades at.
    `entered`: a bracket's entry was accepted; `entry` is that while it is open, `unprotected` what it has filled and no exit is for yet."""

    __slots__ = (
        "account", "client_id", "created_ms", "entered", "entry", "exits", "fee_value", "fees", "hold", "id", "kind", "legs", "lots", "maker_ppm", "market",
        "quote", "side", "taker_ppm", "traded", "unprotected", "value", "worst",
    )  # fmt: skip

    def __init__(self, sequence: int, account: Account, market: Market, accepted: GroupAccepted) -> None:
        self.id = sequence
        self.account = account
        self.market = market
        self.client_id = accepted.client_id
        self.kind: OrderGroupKind = accepted.kind
        self.side: OrderSide = accepted.side
        self.worst = accepted.worst
        self.hold = accepted.hold
        self.exits: tuple[Terms, ...] = accepted.exits
        self.maker_ppm, self.taker_ppm = accepted.maker_ppm, accepted.taker_ppm
        self.created_ms: int = accepted.time_ms
        self.lots = accepted.exits[0].lots
        self.value = self.fee_value = 0
        self.quote = self.fees = 0
        self.entered = False
        self.entry: Order | None = None
        self.unprotected = 0
        self.traded = False
        self.legs: list[Order] = []
