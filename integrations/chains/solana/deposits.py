"""What came in to a house address, and from whom by memo.

Solana addresses cannot be derived without the private key, so people pay to one house address and write a memo that names them. What came in is
read from the balances of our own accounts before and after, whichever instruction moved it: the address itself for SOL, its associated token
accounts for tokens. No instruction that only looks like a transfer counts, and none that is hidden in another program's is missed. A token account
that was handed over to the house (its owner changed) is not one of these, and does not count.
A transaction that failed moved nothing. One that the house itself signed is the house's own doing, not a deposit.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from integrations.chains.errors import ChainUnavailable, NodesContradict
from integrations.chains.solana.addresses import TOKEN_PROGRAMS, associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.messages import ChainTransaction, Commitment

AT_ONCE = 8
MOST_TRANSACTIONS = 200
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


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the chain found, the oldest first. Look again from `covered_slot`; `more`: at once, there is more already.

    `waiting`: signatures that too few nodes tell of, though all have passed them, or none can tell (a newer kind of transaction); `contradicted`: those
    that nodes tell differently. Both hold `covered_slot` back but no other transaction; those that stay are for an operator.
    """

    transactions: tuple[ChainTransaction, ...]
    covered_slot: int
    waiting: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()
    more: bool = False


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


def accounts_of(wallet: str, mints: Iterable[str]) -> list[str]:
    """Whose histories tell of all that comes in to a wallet: a transfer to a token account does not name the wallet. Each program has its own place for one."""
    return [wallet, *(associated_token_address(wallet, mint, program) for mint in mints for program in TOKEN_PROGRAMS)]


async def scan(
    client: SolanaClient,
    accounts: Sequence[str],
    *,
    since_slot: int,
    again: int = 0,
    commitment: Commitment = Commitment.FINALIZED,
    witnesses: int = 2,
    known: Collection[str] = (),
    later: Collection[str] = (),
) -> Scan:
    """What happened to these accounts from a slot on, what failed included (it has cost its fee). `known`: signatures to leave out; `later`: those that could not
    be told before, which others are not to wait for.

    Credit only what is FINALIZED. Raises ChainUnavailable.
    """
    listing = await client.signatures_since(accounts, since_slot, commitment, again=again, witnesses=witnesses)
    slots = {each.signature: each.slot for each in listing.records if each.signature not in known}
    chosen = sorted(slots, key=lambda signature: (signature in later, slots[signature], signature))
    looked_at, left = chosen[:MOST_TRANSACTIONS], chosen[MOST_TRANSACTIONS:]
    found = await _look_at(client, looked_at, commitment, witnesses)
    waiting = [signature for signature in looked_at if found[signature] is None]
    contradicted = [signature for signature in looked_at if isinstance(found[signature], NodesContradict)]
    open_slots = [slots[signature] for signature in (*waiting, *contradicted, *left)]
    return Scan(
        transactions=tuple(each for each in found.values() if isinstance(each, ChainTransaction)),
        covered_slot=min([listing.covered_slot, *open_slots]),
        waiting=tuple(signature for signature in waiting if slots[signature] <= listing.covered_slot),
        contradicted=tuple(contradicted),
        more=any(signature not in later for signature in left),
    )


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
