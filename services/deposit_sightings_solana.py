"""What a transaction on Solana moves to and from the house's wallets, by balances before and after: whatever instruction moved it counts once. Pure.

Money that comes without a wallet of the house having signed may be a deposit. What the house signed is its own doing: between its wallets it is paired up, giver with
taker; the rent of token accounts that it opens for itself is a cost, like the fee.
"""

from collections.abc import Collection, Iterator, Mapping

import structlog

from integrations.chains.solana.deposits import incoming
from integrations.chains.solana.messages import ChainTransaction
from services.deposit_forms import Form, Sighting
from services.house_sorting import FeePaid, Sightings
from services.house_transfers import HouseWallets, say_unassigned

log = structlog.get_logger(__name__)
COINS = "coins"
"""What moves, when it is SOL."""
OUTSIDE = ""
"""Somebody who is not the house."""


def sightings_of(transaction: ChainTransaction, forms: Mapping[str | None, Form], wallets: HouseWallets) -> Sightings:
    """What it moves of what is taken here (by mint; None: SOL), and what it cost the house."""
    ours = wallets.everyone
    if not any(signer in ours for signer in transaction.signers):
        return Sightings(tuple(_of_strangers(transaction, forms, wallets)))
    payer = transaction.fee_payer
    cost = transaction.fee + _rent(transaction, ours) if payer in ours else 0
    fees = (FeePaid(transaction.signature, payer, cost),) if cost else ()
    if transaction.problem is not None:
        return Sightings((), fees)
    moved: list[Sighting] = []
    for mint, form in forms.items():
        changes = {wallet: _change(transaction, wallet, mint) for wallet in ours}
        if mint is None and cost:
            changes[payer] += cost
        moved += _paired(transaction, wallets, form, changes)
    return Sightings(tuple(moved), fees)


def _of_strangers(
    transaction: ChainTransaction, forms: Mapping[str | None, Form], wallets: HouseWallets
) -> Iterator[Sighting]:
    for wallet in wallets.everyone:
        for came in incoming(transaction, wallet):
            form = forms.get(came.mint)
            if form is not None and came.decimals == form.network.decimals:
                place = f"to-{came.account}"
                yield Sighting(form, came.payer, wallet, came.amount, transaction.signature, place)
            elif form is not None:
                log.error("deposits.other_decimals", hash=transaction.signature, mint=came.mint, decimals=came.decimals)
                say_unassigned(
                    wallets, transaction.signature, form.asset.code, came.amount, sender=came.payer, recipient=wallet
                )


def _paired(
    transaction: ChainTransaction, wallets: HouseWallets, form: Form, changes: Mapping[str, int]
) -> Iterator[Sighting]:
    """What the house's wallets gave and took of one asset: to each other first, the rest to somebody else."""
    left = dict(changes)
    what = form.network.contract or COINS
    for giver in [wallet for wallet, change in changes.items() if change < 0]:
        for taker in [wallet for wallet, change in changes.items() if change > 0]:
            units = min(-left[giver], left[taker])
            if units > 0:
                left[giver] += units
                left[taker] -= units
                place = f"{what}-{giver}-{taker}"
                yield Sighting(form, giver, taker, units, transaction.signature, place)
        if left[giver] < 0:
            yield Sighting(form, giver, OUTSIDE, -left[giver], transaction.signature, f"{what}-{giver}-out")
    for taker, units in left.items():
        if units > 0:
            say_unassigned(wallets, transaction.signature, form.asset.code, units, recipient=taker)


def _change(transaction: ChainTransaction, wallet: str, mint: str | None) -> int:
    return transaction.lamports_of(wallet) if mint is None else transaction.tokens_of(wallet).get(mint, 0)


def _rent(transaction: ChainTransaction, ours: Collection[str]) -> int:
    """Lamports that lie in token accounts of the house's wallets which were opened just now."""
    if transaction.problem is not None:
        return 0
    opened = {each.account for each in transaction.tokens if each.owner_before is None and each.owner_after in ours}
    return sum(max(0, transaction.lamports_of(account)) for account in opened - set(ours))
