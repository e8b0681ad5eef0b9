"""What trading did to accounts, as its readers see it: whole states, in decimals.

Every state carries `sequence`, the place in the exchange's journal it is true at: of two states of one thing the higher one is newer.
`number` counts an account's things of a kind from 1 without a gap. Times are epoch milliseconds, UTC; quantities are in the base
asset, prices and quote quantities in the quote asset of the market.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.order_vocabulary import (
    Liquidity,
    OrderErrorCode,
    OrderEventType,
    OrderGroupKind,
    OrderGroupStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TrailingUnit,
    TransactionKind,
    TriggerSource,
)
from core.vocabulary import OrderSide, PriceSource


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What fired a stop: the price that reached it, the one before, and the peak of one that trailed."""

    price: Decimal
    previous_price: Decimal | None
    peak: Decimal | None
    source: PriceSource
    time_ms: int


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order at one moment. `id` is the sequence of its acceptance, `group` that of its group's.

    `fee` is in the quote asset. `trailing_delta` is a price, or with PERCENT a fraction (0.01 is 1 %). `reason`: why it ended before it
    was filled.
    """

    id: int
    account: str
    client_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    status: OrderStatus
    time_in_force: TimeInForce
    good_till_ms: int | None
    quantity: Decimal | None
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    trailing_delta: Decimal | None
    trailing_unit: TrailingUnit | None
    activation_price: Decimal | None
    trigger_source: TriggerSource | None
    trigger: TriggerState | None
    post_only: bool
    display_quantity: Decimal | None
    max_slippage: Decimal | None
    self_trade: SelfTradePrevention
    filled_quantity: Decimal
    filled_quote: Decimal
    remaining_quantity: Decimal | None
    fee: Decimal
    fee_asset: str
    group: int | None
    reason: OrderErrorCode | None
    created_ms: int
    updated_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class GroupState:
    """Orders that belong together; `orders` are their ids in the order of their acceptance."""

    id: int
    account: str
    client_id: str
    symbol: str
    kind: OrderGroupKind
    status: OrderGroupStatus
    orders: tuple[int, ...]
    created_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class FillState:
    """One side of a trade. `id` is twice the trade's sequence, plus 1 for the taker; `trade` is the market's number of the trade.

    `quote_quantity` is what was paid or earned before the fee.
    """

    id: int
    number: int
    account: str
    order: int
    trade: int
    symbol: str
    side: OrderSide
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: Liquidity
    time_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class BalanceState:
    """What an account has of an asset; `debt` is what it owes of it after a deposit was reversed."""

    account: str
    asset: str
    available: Decimal
    held: Decimal
    time_ms: int
    sequence: int
    debt: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A posting on an account's statement. `entry` is the sequence of the event it belongs to: all its postings sum to zero per asset.

    `balance_after` is available and held together. `fill` and `order`: what it came from, of trades and their fees; `transfer`, `deposit:ID` or
    `withdrawal:ID`, of what came in or went out on a chain.
    """

    number: int
    entry: int
    kind: TransactionKind
    asset: str
    amount: Decimal
    balance_after: Decimal
    symbol: str | None
    fill: int | None
    order: int | None
    time_ms: int
    transfer: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedOrder:
    """An order changed. `quantity` and `price` are of the fill, of the trigger, or the terms after an amendment."""

    number: int
    change: OrderEventType
    order: OrderState
    quantity: Decimal | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class LoggedFill:
    """An order of the account traded."""

    number: int
    fill: FillState


@dataclass(frozen=True, slots=True)
class LoggedBalance:
    """A balance changed; what one batch of the journal changed of it is one event."""

    number: int
    balance: BalanceState


@dataclass(frozen=True, slots=True)
class AccountLogged:
    """What a batch of the journal did to one account, in order: `first` to `last` of its account log without a gap."""

    account: str
    first: int
    last: int
    orders: tuple[LoggedOrder, ...]
    fills: tuple[LoggedFill, ...]
    balances: tuple[LoggedBalance, ...]
    sequence: int
    time_ms: int


Logged = LoggedOrder | LoggedFill | LoggedBalance


def in_order(logged: AccountLogged) -> list[Logged]:
    """Its events by number."""
    events: list[Logged] = [*logged.orders, *logged.fills, *logged.balances]
    return sorted(events, key=lambda event: event.number)


@dataclass(frozen=True, slots=True)
class ProjectionAdvanced:
    """Everything up to this sequence of the journal can be read in the documents."""

    sequence: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class JournalAppended:
    """The journal reaches to this batch."""

    batch: int
    last_sequence: int


JOURNAL_TOPIC = "exchange.journal"
"""JournalAppended, for those who follow the journal."""
PROJECTION_TOPIC = "exchange.projection"
"""ProjectionAdvanced, for those who read documents."""


def trading_topic(account: str) -> str:
    """Where an account's AccountLogged are published."""
    return f"trading.{account}"
