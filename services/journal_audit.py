"""Whether the exchange's journal is whole, and whether what people read is what it says.

The whole journal is folded anew, as a writer would: every batch continues the one before and has its hash. Then each asset must sum to zero
over people and the house, each hold must be held by an open order, group or withdrawal, what people owe must be what the house has lost, and the
documents' balances must be those of the fold.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.errors import InvariantBroken
from core.money import canonical
from core.vocabulary import OrderSide
from events.journal_codec import UnknownFormat, decode
from exchange.accounts import HOUSE, Account, Balance, House
from exchange.groups import Group
from exchange.order import Order
from exchange.state import State
from models import journal, projection, trading_account
from models.journal import NO_HASH, Batch, is_sound
from services.trading_accounts import Funds, read_row

_LOOK_SECONDS = 0.1
_BROKEN = (InvariantBroken, UnknownFormat, KeyError, IndexError, ValueError, AttributeError, TypeError)
"""What folding a damaged journal may raise."""


@dataclass(slots=True)
class JournalReport:
    """What was read, and every problem in a sentence. `newer`: accounts whose documents are ahead of what was folded, and were not compared;
    `debts`: what people owe, by asset."""

    batches: int = 0
    sequence: int = 0
    accounts: int = 0
    newer: int = 0
    problems: list[str] = field(default_factory=list)
    debts: Mapping[str, Decimal] = field(default_factory=dict)


class _Fold:
    """The state after the batches so far."""

    def __init__(self) -> None:
        self.state = State()
        self.number = 0
        self.hash = NO_HASH

    def apply(self, batch: Batch) -> str | None:
        """Go on by a batch; what is wrong with it."""
        if batch.number != self.number + 1 or batch.first_seq != self.state.sequence + 1:
            return f"batch {batch.number} does not follow batch {self.number}, which ends at {self.state.sequence}"
        if batch.prev_hash != self.hash or not is_sound(batch, self.hash):
            return f"batch {batch.number} is not as it was written"
        try:
            for event in decode(batch.payload, written_in=batch.format):
                self.state.evolve(event)
        except _BROKEN as error:
            return f"batch {batch.number} cannot have happened: {type(error).__name__} {error}"
        if batch.last_seq != self.state.sequence:
            return f"batch {batch.number} says that it ends at {batch.last_seq}, and ends at {self.state.sequence}"
        self.number, self.hash = batch.number, batch.hash
        return None


async def audit(scales: Mapping[str, int], *, patience_seconds: float = 10.0) -> JournalReport:
    """Fold the journal and compare. `scales`: the digits of each asset's units."""
    fold, report = _Fold(), JournalReport()
    while batches := await journal.following(fold.state.sequence):
        for batch in batches:
            problem = fold.apply(batch)
            if problem is not None:
                report.problems.append(problem)
                return report
            report.batches, report.sequence = fold.number, fold.state.sequence
    report.accounts = sum(not account.startswith(HOUSE) for account in fold.state.accounts)
    report.debts = {asset: _whole(units, scales[asset]) for asset, units in sorted(_owed(fold.state).items())}
    report.problems += sums(fold.state) + debts(fold.state)
    for account in fold.state.accounts.values():
        report.problems += holds(account, fold.state)
    await _compare(fold.state, scales, report, patience_seconds)
    return report


def sums(state: State) -> list[str]:
    """Assets that do not sum to zero over everybody."""
    totals: dict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            totals[asset] += balance.available + balance.held
    for balances in state.house.values():
        for asset, units in balances.items():
            totals[asset] += units
    return [
        f"{asset}: all accounts and the house sum to {units} units, not 0" for asset, units in totals.items() if units
    ]


def debts(state: State) -> list[str]:
    """Assets of which people owe more or less than the house has lost."""
    owed, lost = _owed(state), state.house[House.CHAIN_LOSS]
    return [
        f"{asset}: people owe {owed.get(asset, 0)} units, the house has lost {-lost.get(asset, 0)}"
        for asset in sorted({*owed, *lost})
        if owed.get(asset, 0) != -lost.get(asset, 0)
    ]


def _owed(state: State) -> dict[str, int]:
    owed: dict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        for asset, units in account.debts.items():
            owed[asset] += units
    return owed


def holds(account: Account, state: State) -> list[str]:
    """Assets of which an account holds more or less than its open orders, groups and withdrawals do."""
    held: dict[str, int] = defaultdict(int)
    groups = {order.group.id: order.group for order in account.open.values() if order.group is not None}
    groups |= {group.id: group for group in state.groups.values() if group.account is account}
    holders: list[Order | Group] = [*account.open.values(), *groups.values()]
    for holder in holders:
        held[holder.market.quote if holder.side is OrderSide.BUY else holder.market.base] += holder.hold
    for withdrawal in account.withdrawals.values():
        held[withdrawal.asset] += withdrawal.units
    problems = []
    for asset in {*held, *account.balances}:
        has = account.balances[asset].held if asset in account.balances else 0
        if has != held[asset]:
            problems.append(
                f"{account.id}: {has} units of {asset} are on hold, its orders and withdrawals hold {held[asset]}"
            )
    return sorted(problems)


async def _reached(sequence: int, patience_seconds: float) -> int:
    """How far the documents reach, given a moment to reach this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_seconds):
            while (await projection.read_watermark()).sequence < sequence:
                await asyncio.sleep(_LOOK_SECONDS)
    return (await projection.read_watermark()).sequence


async def _compare(state: State, scales: Mapping[str, int], report: JournalReport, patience_seconds: float) -> None:
    """Compare the documents. Those of a busy exchange may be older or newer than the fold: older ones belong to the projection's lag."""
    reached = await _reached(state.sequence, patience_seconds)
    if reached < state.sequence:
        report.problems.append(
            f"the documents reach to {reached} of {state.sequence}: the projection is behind, or does not run"
        )
        return
    seen = set()
    async for row in trading_account.everybody():
        account = read_row(row["_id"], row)
        seen.add(account.account)
        if account.sequence > state.sequence:
            report.newer += 1
            continue
        folded = _folded(state, account.account, scales)
        for asset in sorted({*folded, *account.balances}):
            says, is_ = account.balances.get(asset, Funds()), folded.get(asset, Funds())
            if says != is_:
                report.problems.append(
                    f"{account.account}: the documents say {_said(says)} {asset}, the journal {_said(is_)}"
                )
    report.problems += [f"{account}: there is no document" for account in sorted(set(state.accounts) - seen)]


def _folded(state: State, account: str, scales: Mapping[str, int]) -> dict[str, Funds]:
    if account.startswith(HOUSE):
        house: Mapping[str, int] = next((held for name, held in state.house.items() if name == account), {})
        return {asset: Funds(_whole(units, scales[asset]), Decimal(0)) for asset, units in house.items() if units}
    if account not in state.accounts:
        return {}
    owner = state.accounts[account]
    found = {}
    for asset in {*owner.balances, *owner.debts}:
        balance, debt = owner.balances.get(asset) or Balance(), owner.debts.get(asset, 0)
        if balance.available or balance.held or debt:
            units = (balance.available, balance.held, debt)
            found[asset] = Funds(*[_whole(each, scales[asset]) for each in units])
    return found


def _said(funds: Funds) -> str:
    """Available and held, and what is owed."""
    owed = f" (owing {canonical(funds.debt)})" if funds.debt else ""
    return f"{canonical(funds.available)} + {canonical(funds.held)}{owed}"


def _whole(units: int, scale: int) -> Decimal:
    return Decimal(units).scaleb(-scale)
