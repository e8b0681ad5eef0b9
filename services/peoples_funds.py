"""What all people have at one moment, to the unit: the newest snapshot, folded on to where the documents reach.

The documents themselves change while they are read, and on a busy exchange never stand still for long enough. Batches of the journal do not change:
up to a given one they say the same however long the reading takes and whatever is traded meanwhile.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from exchange.accounts import Account
from exchange.state import State
from models import projection
from services import exchange_snapshots
from services.journal_feed import JournalDamaged, stored_after


@dataclass(frozen=True, slots=True)
class PeoplesFunds:
    """By account and asset, in the asset's smallest unit, available and held together: what the house owes, whatever people owe it.
    The house's own accounts are not in it. `sequence` is that of the newest event in it."""

    sequence: int
    accounts: Mapping[str, Mapping[str, int]]

    def totals(self) -> dict[str, int]:
        """Of all people together, by asset; without those of which there is nothing."""
        sums: dict[str, int] = {}
        for balances in self.accounts.values():
            for asset, units in balances.items():
                sums[asset] = sums.get(asset, 0) + units
        return {asset: sums[asset] for asset in sorted(sums) if sums[asset]}


async def read() -> PeoplesFunds:
    """What people have where the documents reach now. Raises JournalDamaged, UnknownFormat, PyMongoError."""
    mark = await projection.read_watermark()
    state, place = await exchange_snapshots.read_state(at_most=mark.batch)
    if place.batch < mark.batch:
        async with aclosing(stored_after(place)) as batches:
            async for batch, events in batches:
                for event in events:
                    state.evolve(event)
                if batch.number == mark.batch:
                    break
                await asyncio.sleep(0)
    if state.sequence != mark.sequence:
        raise JournalDamaged(f"the journal ends at {state.sequence}, and the documents reach to {mark.sequence}")
    return await asyncio.to_thread(_funds_of, state)


def _funds_of(state: State) -> PeoplesFunds:
    return PeoplesFunds(state.sequence, {account.id: _units(account) for account in state.accounts.values()})


def _units(account: Account) -> dict[str, int]:
    units = {asset: balance.available + balance.held for asset, balance in account.balances.items()}
    return {asset: amount for asset, amount in units.items() if amount}
