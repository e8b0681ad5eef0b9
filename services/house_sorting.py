"""Deposits and the house's own movements, told apart by who sent: for chains whose transactions move from one address to another, in accounts."""

from collections.abc import Collection
from dataclasses import dataclass

from models import withdrawal
from models.house_transfer import HouseTransferDocument
from services.deposit_forms import Sighting, ledger_units
from services.house_transfers import HouseWallets, InBlock, Movement, Sorted, fee_row, movement_row, say_unassigned


@dataclass(frozen=True, slots=True)
class FeePaid:
    """What a transaction cost its sender, in units of the chain's coin."""

    hash: str
    payer: str
    units: int


@dataclass(frozen=True, slots=True)
class Sightings:
    """Of one block."""

    moved: tuple[Sighting, ...] = ()
    fees: tuple[FeePaid, ...] = ()


async def sort_out(wallets: HouseWallets, block: InBlock, found: Sightings) -> Sorted:
    """What is a deposit, and what the ledger is to move between the house's accounts. What it cannot place is left out, and said in the log."""
    paid_out = await _paid_out(wallets, {each.hash for each in found.moved} | {each.hash for each in found.fees})
    deposits, transfers = [], []
    for each in found.moved:
        is_payout = each.sender == wallets.hot and each.hash in paid_out
        if each.address in wallets.deposits and (each.sender not in wallets or is_payout):
            deposits.append(each)
        elif each.sender in wallets and each.address in wallets:
            transfers += _movement(wallets, block, each)
        elif not is_payout:
            asset = each.form.asset.code
            say_unassigned(wallets, each.hash, asset, each.units, sender=each.sender, recipient=each.address)
    for fee in found.fees:
        if not (fee.payer == wallets.hot and fee.hash in paid_out):
            transfers += _fee(wallets, block, fee)
    return Sorted(deposits, transfers)


async def _paid_out(wallets: HouseWallets, hashes: Collection[str]) -> set[str]:
    """Those that were signed for withdrawals."""
    if wallets.hot is None:
        return set()
    return {hash_ for hash_ in hashes if await withdrawal.by_attempt(hash_) is not None}


def _movement(wallets: HouseWallets, block: InBlock, moved: Sighting) -> list[HouseTransferDocument]:
    giving, taking = wallets.reserve(moved.sender), wallets.reserve(moved.address)
    units = ledger_units(moved)
    if giving == taking or not units:
        return []
    return [
        movement_row(wallets, block, Movement(moved.hash, moved.place, giving, taking, moved.form.asset.code, units))
    ]


def _fee(wallets: HouseWallets, block: InBlock, fee: FeePaid) -> list[HouseTransferDocument]:
    return [fee_row(wallets, block, fee.hash, wallets.reserve(fee.payer), fee.units)] if fee.units else []
