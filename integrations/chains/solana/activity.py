"""What a transaction moved from or to a wallet, by balances before and after; the fee is left out, and so is what a wallet puts into token accounts of its own. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from integrations.chains.solana.addresses import WRAPPED_SOL
from integrations.chains.solana.messages import ChainTransaction

SOL_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Moved:
    """One asset: `units` that the wallet has more of, less if negative; `mint`: None for SOL. `others`: whose balances went the other way."""

    mint: str | None
    decimals: int
    units: int
    others: tuple[str, ...]


def moved(transaction: ChainTransaction, owner: str) -> list[Moved]:
    """SOL first, then tokens by mint; nothing for one that failed."""
    if transaction.problem is not None:
        return []
    lamports = _lamports_by_owner(transaction, owner)
    found = [_of(None, SOL_DECIMALS, lamports, owner)]
    decimals = {each.mint: each.decimals for each in transaction.tokens}
    for mint in sorted(decimals):
        found.append(_of(mint, decimals[mint], _tokens_by_owner(transaction, mint), owner))
    return [each for each in found if each.units]


def _of(mint: str | None, decimals: int, changes: Mapping[str, int], owner: str) -> Moved:
    units = changes.get(owner, 0)
    others = sorted(each for each, change in changes.items() if each != owner and change * units < 0)
    return Moved(mint, decimals, units, tuple(others))


def _lamports_by_owner(transaction: ChainTransaction, owner: str) -> dict[str, int]:
    """By wallet, with the fee given back to who paid it. What lies in token accounts counts for their owners, but not for this one who did not sign: somebody
    else has opened an account for them."""
    owners = {each.account: each.owner_after or each.owner_before for each in transaction.tokens}
    wrapped = {each.account: each.after - each.before for each in transaction.tokens if each.mint == WRAPPED_SOL}
    found: dict[str, int] = {}
    for account in transaction.lamports:
        change = transaction.lamports_of(account) - wrapped.get(account, 0)
        if account == transaction.fee_payer:
            change += transaction.fee
        whose = owners.get(account) or account
        if account in owners and whose == owner and owner not in transaction.signers:
            continue
        found[whose] = found.get(whose, 0) + change
    return found


def _tokens_by_owner(transaction: ChainTransaction, mint: str) -> dict[str, int]:
    owners = dict.fromkeys(_owners(transaction, mint))
    return {owner: transaction.tokens_of(owner).get(mint, 0) for owner in owners}


def _owners(transaction: ChainTransaction, mint: str) -> Iterator[str]:
    for each in transaction.tokens:
        if each.mint == mint:
            yield from (owner for owner in (each.owner_before, each.owner_after) if owner is not None)
