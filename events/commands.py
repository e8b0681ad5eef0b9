"""What the exchange is asked to do. Numbers are in 10^-18 of a unit of their asset, times in milliseconds; `units` are the asset's smallest.

What moves funds is done once for ever under its key, within the keys of its account. A client's key is printable ASCII; a key of the house's
own begins with `HOUSE_KEY`, which is not, so that no client can take the key of a deposit.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from core.order_vocabulary import OrderType, SelfTradePrevention, TimeInForce, TrailingUnit, TriggerSource
from core.vocabulary import MarketStatus, OrderSide, PriceSource
from events.journal import MarketConfigured

HOUSE_KEY = "§"
"""What every key begins with that the house chooses, and none that a client does."""
MOVEMENTS = "house:movements"
"""Whose the keys of movements between house accounts are. It has no balances."""


class OrderWish(NamedTuple):
    """An order as it was asked for; None: not given. `trail` is a distance in price, or in millionths; `malformed` names the field of a number that no asset can have."""

    symbol: str
    side: OrderSide
    type: OrderType
    quantity: int | None = None
    quote_quantity: int | None = None
    price: int | None = None
    stop_price: int | None = None
    source: TriggerSource = TriggerSource.LAST
    time_in_force: TimeInForce = TimeInForce.GTC
    good_till_ms: int | None = None
    post_only: bool = False
    display_quantity: int | None = None
    self_trade: SelfTradePrevention = SelfTradePrevention.CANCEL_NEWEST
    max_slippage_ppm: int | None = None
    trail: int | None = None
    trail_unit: TrailingUnit = TrailingUnit.ABSOLUTE
    activation_price: int | None = None
    malformed: str | None = None


class PlaceOrder(NamedTuple):
    """Place an order under the client's key; `digest` is of the wish."""

    account: str
    client_id: str
    digest: str
    wish: OrderWish
    verified: bool = True


class PlaceOco(NamedTuple):
    """Place two orders of one quantity, of which one ends the other: a limit order at `profit` and a stop."""

    account: str
    client_id: str
    digest: str
    profit: OrderWish
    stop: OrderWish
    verified: bool = True


class PlaceBracket(NamedTuple):
    """Place an entry and, for what it fills, its exits: one or two orders of the other side, of which one ends the other. Their own quantity
    does not count."""

    account: str
    client_id: str
    digest: str
    entry: OrderWish
    exits: tuple[OrderWish, ...]
    verified: bool = True


class CancelGroup(NamedTuple):
    """End all orders of a group of this account, by its id or the client's."""

    account: str
    group: int = 0
    client_id: str = ""


class CancelOrder(NamedTuple):
    """End an order of this account, by its id or the client's."""

    account: str
    order: int = 0
    client_id: str = ""


class AmendOrder(NamedTuple):
    """Change an open order, named as for a cancel; None: stays as it is. `quantity` is the new total, what is filled included."""

    account: str
    order: int = 0
    client_id: str = ""
    quantity: int | None = None
    price: int | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    good_till_ms: int | None = None
    trail: int | None = None
    expected_sequence: int | None = None


class CancelAll(NamedTuple):
    """End all orders of this account; in these markets and of these sides, where given."""

    account: str
    symbols: tuple[str, ...] = ()
    sides: tuple[OrderSide, ...] = ()


class SetCancelTimer(NamedTuple):
    """End all orders of this account (in these markets, where given) in so many milliseconds, unless it is set again; 0 disarms it."""

    account: str
    owner: str
    timeout_ms: int
    symbols: tuple[str, ...] = ()


class MoveFunds(NamedTuple):
    """Move units (not 10^-18) of an asset from a house account to a person's; negative: back."""

    account: str
    house: str
    asset: str
    units: int
    key: str
    digest: str


class CreditDeposit(NamedTuple):
    """Give an account what came in on a chain, from the house account that has it; what it owes of the asset is repaid first. Also done for a
    frozen account: the money is its own."""

    account: str
    asset: str
    units: int
    house: str
    key: str
    digest: str


class ReverseDeposit(NamedTuple):
    """Take back what was credited and is on its chain no longer. What is not available becomes a debt; what is on hold stays on hold. Also done
    for a frozen account."""

    account: str
    asset: str
    units: int
    house: str
    key: str
    digest: str


class RepayDebt(NamedTuple):
    """Take what an account owes of an asset, as far as it is available. Without a debt, or without funds, nothing happens."""

    account: str
    asset: str


class HoldWithdrawal(NamedTuple):
    """Set units aside for a withdrawal, under the client's key. `made` of the reply is the withdrawal's id."""

    account: str
    asset: str
    units: int
    key: str
    digest: str


class SettleWithdrawal(NamedTuple):
    """What a withdrawal holds has left by a chain, from this house account, but for the fee, which the house keeps. Also done for a frozen
    account. Settle and release under one key with two digests: then only one of them is ever done."""

    account: str
    withdrawal: int
    house: str
    fee_units: int
    key: str
    digest: str


class ReleaseWithdrawal(NamedTuple):
    """Let what a withdrawal holds be available again. Also done for a frozen account. See `SettleWithdrawal` for the key."""

    account: str
    withdrawal: int
    key: str
    digest: str


class MoveHouseFunds(NamedTuple):
    """Move units between two house accounts; the key is one of `MOVEMENTS`. A reserve's account says with the other sign what its wallet has:
    a sweep from hot to cold is a movement from `house:cold:…` to `house:hot:…`, a network's fee that the hot wallet paid is one from
    `house:network-fees` to `house:hot:…`."""

    source: str
    target: str
    asset: str
    units: int
    key: str
    digest: str


class FreezeAccount(NamedTuple):
    """Stop everything of an account: its orders end, nothing of it is placed or moved. Or let it go on."""

    account: str
    frozen: bool


class SetFeeTier(NamedTuple):
    """Fees, in millionths, of the orders an account places from now on."""

    account: str
    maker_ppm: int
    taker_ppm: int


class ForgetKeys(NamedTuple):
    """Remember the clients' keys no longer that led to this sequence or an older one: storage has them. What commands after this one need
    from there (`Exchange.lookups`) is to be asked for after it."""

    through: int


class ConfigureMarket(NamedTuple):
    """Open a market, or change its rules."""

    rules: MarketConfigured


class SetMarketStatus(NamedTuple):
    """What a market accepts from now on."""

    symbol: str
    status: MarketStatus
    reason: str


class ReferencePrice(NamedTuple):
    """An accepted price of the reference, in 10^-18. `is_mark`: the median of the sources, not the last trade."""

    symbol: str
    price: int
    source: PriceSource
    time_ms: int
    is_mark: bool = False


class ReferenceBook(NamedTuple):
    """Levels of the reference's book that the house mirrors: price and quantity, 0 where a level ended. A snapshot replaces what was there.

    `inventory_limit` is how many units of the base asset (not 10^-18) the house may own or owe.
    """

    symbol: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    is_snapshot: bool
    inventory_limit: int


class ReferenceLost(NamedTuple):
    """The market's reference is stale: nothing is judged by it until it speaks again."""

    symbol: str


class Advance(NamedTuple):
    """Time passed: what expired ends, and what cancel timers name."""


Command = (
    PlaceOrder
    | PlaceOco
    | PlaceBracket
    | CancelGroup
    | CancelOrder
    | AmendOrder
    | CancelAll
    | SetCancelTimer
    | MoveFunds
    | CreditDeposit
    | ReverseDeposit
    | RepayDebt
    | HoldWithdrawal
    | SettleWithdrawal
    | ReleaseWithdrawal
    | MoveHouseFunds
    | FreezeAccount
    | SetFeeTier
    | ForgetKeys
    | ConfigureMarket
    | SetMarketStatus
    | ReferencePrice
    | ReferenceBook
    | ReferenceLost
    | Advance
)


OF_AN_ASSET = (MoveFunds, CreditDeposit, ReverseDeposit, RepayDebt, HoldWithdrawal, MoveHouseFunds)
"""Commands that name an asset, and no market."""
_KEY_OF: dict[type, Callable[[Any], tuple[str, str]]] = {
    **dict.fromkeys((PlaceOrder, PlaceOco, PlaceBracket), attrgetter("account", "client_id")),
    **dict.fromkeys(
        (MoveFunds, CreditDeposit, ReverseDeposit, HoldWithdrawal, SettleWithdrawal, ReleaseWithdrawal),
        attrgetter("account", "key"),
    ),
    MoveHouseFunds: lambda command: (MOVEMENTS, command.key),
}


def key_of(command: Command) -> tuple[str, str] | None:
    """The account and the key of a command that is done once; None: it has none."""
    find = _KEY_OF.get(type(command))
    return None if find is None else find(command)
