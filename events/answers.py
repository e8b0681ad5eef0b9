"""What the exchange answers to what it is asked, and what it can be asked beside commands. Numbers are decimals, as clients see them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from core.order_vocabulary import OrderErrorCode
from events.commands import OrderWish
from events.trading import GroupState, OrderState


@dataclass(frozen=True, slots=True)
class RefusalState:
    """Why nothing changed: the code, the field of the input it is about (empty: none), and the limit that was crossed by `actual`."""

    code: OrderErrorCode
    field: str = ""
    limit: Decimal | None = None
    actual: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TimerState:
    """An account's cancel timer. `symbols` empty: all markets."""

    owner: str
    symbols: tuple[str, ...]
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command. `made` is the sequence its key led to (id of an order or group, or a movement of funds), 0 without one.

    `orders` are those it placed, changed or ended, as they stood when it was done; a replayed one names `made` alone. `sequence` is the
    place in the journal from which on everything it did can be read.
    """

    refusal: RefusalState | None = None
    made: int = 0
    replayed: bool = False
    orders: tuple[OrderState, ...] = ()
    group: GroupState | None = None
    timer: TimerState | None = None
    sequence: int = 0


class PreviewOrder(NamedTuple):
    """Say what an order would do, without placing it."""

    account: str
    wish: OrderWish
    verified: bool = True


@dataclass(frozen=True, slots=True)
class PreviewState:
    """What an order would do at once: its fills by price (price, quantity), their average and worst price, the fee and what it holds in all."""

    fills: tuple[tuple[Decimal, Decimal], ...]
    quantity: Decimal | None
    average_price: Decimal | None
    worst_price: Decimal | None
    slippage: Decimal | None
    fee: Decimal | None
    fee_asset: str | None
    total: Decimal | None
    refusal: RefusalState | None


class ReadHouse(NamedTuple):
    """Say what the house owns and owes."""


@dataclass(frozen=True, slots=True)
class HouseLine:
    """The house's position in an asset: what quoting has brought it (negative: it owes), how much it may be, and what fees brought."""

    asset: str
    inventory: Decimal
    limit: Decimal | None
    fees: Decimal


@dataclass(frozen=True, slots=True)
class HouseState:
    """All positions of the house, true at `sequence`."""

    lines: tuple[HouseLine, ...]
    sequence: int
