"""What the exchange's journal holds: everything that ever changed durable state, in one order.

An event's sequence is its place in the journal. Prices are in ticks, quantities in lots of the market as `MarketConfigured` says,
amounts in units of their asset (10 to the power of minus its scale), fees in millionths, times in milliseconds. An order's id is the sequence of its
`OrderAccepted`. 0 where an order's id stands is the house. Fields are only ever added at the end.
"""

from typing import NamedTuple

from core.order_vocabulary import (
    OrderErrorCode,
    OrderGroupKind,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TrailingUnit,
    TriggerSource,
)
from core.vocabulary import MarketStatus, OrderSide, PriceSource


class Terms(NamedTuple):
    """What an order asks for. 0 where a number is not given; `trail` is in ticks or millionths; `budget` is in units of the quote asset, of a market order sized in it;
    `slippage_ppm` of a market order is the most it may pay beyond the best price, -1: not given."""

    side: OrderSide
    type: OrderType
    time_in_force: TimeInForce
    lots: int
    price: int = 0
    budget: int = 0
    stop: int = 0
    source: TriggerSource = TriggerSource.LAST
    trail: int = 0
    trail_unit: TrailingUnit = TrailingUnit.ABSOLUTE
    activation: int = 0
    expires_ms: int = 0
    post_only: bool = False
    display: int = 0
    self_trade: SelfTradePrevention = SelfTradePrevention.CANCEL_NEWEST
    slippage_ppm: int = -1


class WriterStarted(NamedTuple):
    """From here on this writer alone appends."""

    epoch: int


class MarketConfigured(NamedTuple):
    """A market is there, with these rules. `tick` and `lot` in 10^-18; `min_value` in ticks times lots; `max_lots` and `band_ppm` 0: no limit.
    One without a reference is its own: its trades fire its stops."""

    symbol: str
    base: str
    quote: str
    base_scale: int
    quote_scale: int
    tick: int
    lot: int
    min_lots: int
    max_lots: int
    min_value: int
    max_open_orders: int
    band_ppm: int
    maker_ppm: int
    taker_ppm: int
    has_reference: bool = True


class MarketStatusChanged(NamedTuple):
    """What a market accepts from now on."""

    symbol: str
    status: MarketStatus
    reason: str


class FundsMoved(NamedTuple):
    """Units of an asset moved from a house account to a person's available balance; negative: the other way."""

    account: str
    house: str
    asset: str
    units: int
    key: str
    digest: str


class AccountFrozen(NamedTuple):
    """Nothing of this account may be placed or moved from now on (or may again)."""

    account: str
    frozen: bool


class FeeTierChanged(NamedTuple):
    """Orders this account places from now on pay these fees."""

    account: str
    maker_ppm: int
    taker_ppm: int


class CancelTimerSet(NamedTuple):
    """Unless it is set again, all orders of the account (in these markets, where given) end at this time; 0: they do not.

    `owner` is the session or API key whose timer it is.
    """

    account: str
    owner: str
    expires_ms: int
    symbols: tuple[str, ...]


class GroupAccepted(NamedTuple):
    """Orders that belong together follow. Those of `exits` share one hold, of which this event sets `hold` units aside; none of them trades at a
    worse price than `worst`. Of a bracket they are accepted when the entry fills, for what it filled."""

    account: str
    symbol: str
    client_id: str
    digest: str
    kind: OrderGroupKind
    side: OrderSide
    worst: int
    hold: int
    exits: tuple[Terms, ...]
    maker_ppm: int
    taker_ppm: int
    time_ms: int = 0


class GroupGrown(NamedTuple):
    """A bracket's entry filled so many lots: so much more is held, and its exits are of so many lots more. 0: what it filled
    is not protected, since its exits cannot be paid."""

    group: int
    lots: int
    hold: int


class OrderAccepted(NamedTuple):
    """An order is there, with `hold` units set aside for it, or for its `group`. It rests at its price unless its terms say that it does not wait."""

    account: str
    symbol: str
    client_id: str
    digest: str
    terms: Terms
    hold: int
    maker_ppm: int
    taker_ppm: int
    group: int = 0
    time_ms: int = 0


class Traded(NamedTuple):
    """Two orders met at the maker's price. `paid` by the buyer and `earned` by the seller before fees; they differ by what is rounded."""

    symbol: str
    maker: int
    taker: int
    taker_side: OrderSide
    price: int
    lots: int
    paid: int
    earned: int
    maker_fee: int
    taker_fee: int


class OrderEnded(NamedTuple):
    """An order is over before it is filled, and its hold released."""

    order: int
    status: OrderStatus
    code: OrderErrorCode


class OrderTriggered(NamedTuple):
    """An order that waited is now active, at this limit. What fired it: the price and the one before, the peak of one that trailed."""

    order: int
    price: int
    trigger_price: int
    previous_price: int
    peak: int
    source: PriceSource
    time_ms: int


class TrailStarted(NamedTuple):
    """A stop that trails follows from this price on."""

    order: int
    price: int
    source: PriceSource
    time_ms: int


class ReferenceExtreme(NamedTuple):
    """A price that moved the stops which trail in a market: a new high for those that sell, a new low for those that buy."""

    symbol: str
    trigger_source: TriggerSource
    side: OrderSide
    price: int
    source: PriceSource
    time_ms: int


class OrderAmended(NamedTuple):
    """An order's terms are now these. It keeps its place in the queue if only its quantity shrank."""

    order: int
    terms: Terms
    hold: int
    keeps_place: bool


class KeysForgotten(NamedTuple):
    """The clients' keys that led to this sequence or an older one are remembered in storage alone from now on."""

    through: int


class DepositCredited(NamedTuple):
    """Units came in from a house account (a chain's reserve): `repaid` of them for what the account owed of the asset, the rest is available."""

    account: str
    house: str
    asset: str
    units: int
    repaid: int
    key: str
    digest: str


class DepositReversed(NamedTuple):
    """Units that were credited never came: they go back to a house account, as far as they were available. The account owes the rest,
    `owed`, which the house has lost until it is repaid."""

    account: str
    house: str
    asset: str
    units: int
    owed: int
    key: str
    digest: str


class DebtRepaid(NamedTuple):
    """So many units of what an account owed were taken from what is available."""

    account: str
    asset: str
    units: int


class WithdrawalHeld(NamedTuple):
    """Units are set aside for a withdrawal, whose id is this event's sequence."""

    account: str
    asset: str
    units: int
    key: str
    digest: str


class WithdrawalSettled(NamedTuple):
    """What a withdrawal held has left, from a house account (a chain's reserve), but for the fee, which stays with the house."""

    account: str
    withdrawal: int
    house: str
    fee: int
    key: str
    digest: str


class WithdrawalReleased(NamedTuple):
    """A withdrawal does not take place: what it held is available again."""

    account: str
    withdrawal: int
    key: str
    digest: str


class HouseFundsMoved(NamedTuple):
    """Units of an asset moved from one house account to another."""

    source: str
    target: str
    asset: str
    units: int
    key: str
    digest: str


Event = (
    WriterStarted
    | MarketConfigured
    | MarketStatusChanged
    | FundsMoved
    | AccountFrozen
    | FeeTierChanged
    | CancelTimerSet
    | GroupAccepted
    | GroupGrown
    | OrderAccepted
    | Traded
    | OrderEnded
    | OrderTriggered
    | TrailStarted
    | ReferenceExtreme
    | OrderAmended
    | KeysForgotten
    | DepositCredited
    | DepositReversed
    | DebtRepaid
    | WithdrawalHeld
    | WithdrawalSettled
    | WithdrawalReleased
    | HouseFundsMoved
)
