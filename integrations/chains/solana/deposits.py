"""What came in to a house address, and from whom by memo.

Solana addresses cannot be derived without the private key, so people pay to one house address and write a memo that names them. What came in is
read from the balances of our own accounts before and after, whichever instruction moved it: the address itself for SOL, its associated token
accounts for tokens. No instruction that only looks like a transfer counts, and none that is hidden in another program's is missed. A token account
that was handed over to the house (its owner changed) is not one of these, and does not count.
A transaction that failed moved nothing. One that the house itself signed is the house's own doing, not a deposit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from integrations.chains.errors import ChainUnavailable, NodesContradict
from integrations.chains.solana.addresses import associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.listing import Listing
from integrations.chains.solana.messages import ChainTransaction, Commitment

AT_ONCE = 8
MOST_TRANSACTIONS = 500
"""Looked at in one scan; the next goes on from there."""


@dataclass(frozen=True, slots=True)
class IncomingTransfer:
    """One asset that came in by one transaction. `mint`: None for SOL; `amount`: lamports, or the token's smallest units.

    `account`: where it lies now; `payer`: who paid the transaction's fee, usually the sender. `memos`: all texts that the transaction itself wrote.
    There is at most one of these per signature and account.
    """

    signature: str
    slot: int
    time_ms: int | None
    account: str
    mint: str | None
    decimals: int
    amount: int
    payer: str
    memos: tuple[str, ...]

    @property
    def memo(self) -> str | None:
        """The memo without blanks around it; None where there is none, or several that differ."""
        texts = {text.strip() for text in self.memos}
        return texts.pop() if len(texts) == 1 else None


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the chain found. Look again from `covered_slot`.

    `waiting`: signatures that too few nodes tell of as yet, or none can tell (a newer kind of transaction); `contradicted`: those that nodes tell
    differently. Both hold `covered_slot` back but no other deposit; those that stay are for an operator, who may have them taken as `known`.
    """

    transfers: tuple[IncomingTransfer, ...]
    covered_slot: int
    waiting: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()


SOL_DECIMALS = 9


def incoming(transaction: ChainTransaction, house: str) -> list[IncomingTransfer]:
    """What a transaction brought to the house address."""
    if transaction.problem is not None or house in transaction.signers:
        return []
    found = []
    lamports = transaction.lamports_of(house)
    if lamports > 0:
        found.append(_transfer(transaction, house, None, SOL_DECIMALS, lamports))
    for change in transaction.tokens:
        amount = change.after - change.before
        ours = change.account == associated_token_address(house, change.mint, change.program)
        if ours and change.owner_after == house and amount > 0:
            found.append(_transfer(transaction, change.account, change.mint, change.decimals, amount))
    return found


def _transfer(
    transaction: ChainTransaction, account: str, mint: str | None, decimals: int, amount: int
) -> IncomingTransfer:
    return IncomingTransfer(
        signature=transaction.signature,
        slot=transaction.slot,
        time_ms=transaction.time_ms,
        account=account,
        mint=mint,
        decimals=decimals,
        amount=amount,
        payer=transaction.fee_payer,
        memos=transaction.memos,
    )


async def scan(
    client: SolanaClient,
    house: str,
    tokens: Sequence[tuple[str, str]],
    *,
    since_slot: int,
    commitment: Commitment = Commitment.FINALIZED,
    witnesses: int = 2,
    known: frozenset[str] = frozenset(),
) -> Scan:
    """What came in from a slot on, the oldest first. `tokens`: mint and token program of each that is taken; `known`: signatures to leave out.

    A transfer to a token account does not name the house address: each account has its own history, and all are read.
    Credit only what is FINALIZED. Raises ChainUnavailable.
    """
    accounts = [house, *(associated_token_address(house, mint, program) for mint, program in tokens)]
    listings = [await client.signatures_since(account, since_slot, commitment) for account in accounts]
    covered = min(listing.covered_slot for listing in listings)
    slots = _to_look_at(listings, known)
    chosen = sorted(slots, key=lambda signature: (slots[signature], signature))
    looked_at, left = chosen[:MOST_TRANSACTIONS], chosen[MOST_TRANSACTIONS:]
    found = await _look_at(client, looked_at, commitment, witnesses)
    waiting = tuple(signature for signature in looked_at if found[signature] is None)
    contradicted = tuple(signature for signature in looked_at if isinstance(found[signature], NodesContradict))
    open_slots = [slots[signature] for signature in (*waiting, *contradicted, *left)]
    transfers = [
        transfer
        for signature in looked_at
        if isinstance(transaction := found[signature], ChainTransaction)
        for transfer in incoming(transaction, house)
    ]
    return Scan(tuple(transfers), min([covered, *open_slots]), waiting, contradicted)


def _to_look_at(listings: Sequence[Listing], known: frozenset[str]) -> dict[str, int]:
    records = [each for listing in listings for each in listing.records]
    return {each.signature: each.slot for each in records if not each.failed and each.signature not in known}


async def _look_at(
    client: SolanaClient, signatures: Sequence[str], commitment: Commitment, witnesses: int
) -> dict[str, ChainTransaction | NodesContradict | None]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(signature: str) -> ChainTransaction | NodesContradict | None:
        async with turn:
            try:
                return await client.agreed_transaction(signature, commitment, witnesses=witnesses)
            except NodesContradict as contradiction:
                return contradiction
            except ChainUnavailable:
                return None

    found = await asyncio.gather(*(one(signature) for signature in signatures))
    return dict(zip(signatures, found, strict=True))
