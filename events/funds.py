"""What people own, valued, and what operators see of it: whole states, in decimals, from the services to the surface.

Assets are named by their codes. Values are in the quote that a state names; None: not known. Shares are fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from events.market import TickAccepted

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class HoldingState:
    """What is owned of one asset. `average_cost` is of one unit, of those whose cost is known. `on_chain`: in linked wallets; None where that was not
    asked for, or is not known."""

    account: str
    asset: str
    quote: str
    available: Decimal
    held: Decimal
    price: TickAccepted | None
    price_stale: bool
    value: Decimal | None
    share: Decimal | None
    average_cost: Decimal | None
    unrealized: Decimal | None
    unrealized_percent: Decimal | None
    on_chain: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """An account's portfolio at a moment. Sums are None where a part of them is not known; `stale` are the assets that are missing."""

    account: str
    quote: str
    as_of_ms: int
    total: Decimal | None
    change_24h: Decimal | None
    change_percent_24h: Decimal | None
    cost_basis: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    holdings: Sequence[HoldingState]
    stale: Sequence[str]


@dataclass(frozen=True, slots=True)
class SliceState:
    """A part of a portfolio."""

    key: str
    label: str
    value: Decimal | None
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class SummaryState:
    """The sums of one day, week, month, asset or kind. Times are those of the key, [from, to)."""

    key: str
    from_: datetime | None
    to: datetime | None
    count: int
    inflow: Decimal | None
    outflow: Decimal | None
    fees: Decimal | None


@dataclass(frozen=True, slots=True)
class TierState:
    """Where an account stands. Fees are fractions; `next_at` is the volume of the next tier, None in the highest."""

    account: str
    number: int
    maker: Decimal
    taker: Decimal
    volume: Decimal
    volume_asset: str
    next_at: Decimal | None


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """A reader was too far behind: what lies between these cursors was not given."""

    missed_from: str
    missed_to: str


@dataclass(slots=True)
class AuditLine:
    """One asset over all people. `house` is what the house has of it, `chain_loss` what it lacks of that because people owe it; `off` adds up,
    without their signs, what single accounts are off. `hot` and `cold` are what the house's wallets hold by the ledger, by chain."""

    asset: str
    postings: Decimal = _ZERO
    balances: Decimal = _ZERO
    holds: Decimal = _ZERO
    open_orders: Decimal = _ZERO
    house: Decimal = _ZERO
    off: Decimal = _ZERO
    withdrawals: Decimal = _ZERO
    debts: Decimal = _ZERO
    chain_loss: Decimal = _ZERO
    hot: dict[str, Decimal] = field(default_factory=dict)
    cold: dict[str, Decimal] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal:
        """0 when everything agrees; errors cannot cancel each other out."""
        return self.off + abs(self.balances + self.house) + abs(self.debts - self.chain_loss)


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """An audit of the documents as they were at this sequence of the journal."""

    time_ms: int
    sequence: int
    lines: Sequence[AuditLine]

    @property
    def balanced(self) -> bool:
        return all(not line.difference for line in self.lines)


@dataclass(frozen=True, slots=True)
class HousePositionState:
    """The house's position in an asset. `pnl`: what inventory and fees of it are worth in USD."""

    asset: str
    inventory: Decimal
    limit: Decimal | None
    pnl: Decimal | None
