"""What moved from and to a wallet on Solana: a row for each asset that a transaction moved, and one for each transaction of its own that failed, the newest first.

A transfer of tokens does not name the wallet but its token account, so the histories of all of them are read and put together. A cursor names a transaction and how
many of its rows were given: nodes go on from any transaction that they know.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import ChainTxStatus, TransferDirection
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.errors import ChainUnavailable
from integrations.chains.solana.activity import SOL_DECIMALS, Moved, moved
from integrations.chains.solana.addresses import TOKEN_PROGRAMS, associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.messages import ChainTransaction, Commitment, SignatureRecord
from models.chain import ChainEntry
from services.forward_pages import cursor_in, page_of_both, require_forwards
from services.tokens import Tokens

COIN = "coin"
MOST_ACCOUNTS = 40
"""Token accounts that are read: those of tokens that this server vouches for, then those that hold most kinds of something."""
_AT_ONCE = 8
_LEAST_LISTED, _MOST_LISTED = 20, 101
_MOST_ROUNDS = 4
"""Of one page; after so many it ends, full or not."""
_ALL = 999
"""More rows than one transaction has."""
_CURSOR = re.compile(r"([1-9A-HJ-NP-Za-km-z]{43,90})-([0-9]{1,3})", re.ASCII)


class _After(NamedTuple):
    """Where to go on: after so many rows of this transaction."""

    signature: str
    rows: int

    def __str__(self) -> str:
        return f"{self.signature}-{self.rows}"


class _Heads(NamedTuple):
    """The newest slots: of the confirmed, and of the final block."""

    confirmed: int
    final: int


class SolanaActivity:
    """Of one chain."""

    def __init__(self, client: SolanaClient, entry: ChainEntry, tokens: Tokens) -> None:
        self._client = client
        self._entry = entry
        self._tokens = tokens
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def page(
        self, address: str, order: TimeOrder, request: PageRequest, own: Sequence[WalletMovement] = ()
    ) -> Page[WalletMovement]:
        """A page, with what was sent from here and waits or was given up above it. One that has cost enough ends early, with the cursor from which to go on.

        Raises InvalidInput, ChainError.
        """
        require_forwards(order, request)
        return await page_of_both(own, request, lambda rest: self._blocks(address, rest))

    async def _blocks(self, address: str, request: PageRequest) -> Page[WalletMovement]:
        start = last = _read_cursor(request.after)
        accounts = await self._accounts(address)
        heads = await self._heads()
        rows: list[WalletMovement] = []
        if last is not None:
            rows += self._rows(address, await self._found(last), heads)[last.rows :]
        for _ in range(_MOST_ROUNDS):
            wanted = min(max(request.size + 1 - len(rows), _LEAST_LISTED), _MOST_LISTED)
            listed, own, more = await self._older(accounts, last, wanted)
            told = [each for each in listed if not each.failed or each.signature in own]
            for transaction in await asyncio.gather(*(self._transaction(each) for each in told)):
                rows += self._rows(address, transaction, heads)
            if len(rows) > request.size or not more:
                has_next = len(rows) > request.size
                return Page(rows[: request.size], has_next=has_next, has_previous=start is not None)
            last = _After(listed[-1].signature, _ALL)
        return Page(rows, has_next=True, has_previous=start is not None, end=str(last))

    async def _accounts(self, address: str) -> list[str]:
        """The wallet, and its token accounts."""
        mints = [each.contract for each in self._tokens.listed(self._entry.key) if each.contract is not None]
        places = [associated_token_address(address, mint, program) for mint in mints for program in TOKEN_PROGRAMS]
        held = sorted((await self._client.holdings(address)).tokens, key=lambda each: (not each.amount, each.account))
        known = dict.fromkeys((*places, *(each.account for each in held)))
        return [address, *list(known)[:MOST_ACCOUNTS]]

    async def _heads(self) -> _Heads:
        final = (await self._client.tip(Commitment.FINALIZED)).slot
        return _Heads((await self._client.tip(Commitment.CONFIRMED)).slot, final)

    async def _older(
        self, accounts: Sequence[str], last: _After | None, wanted: int
    ) -> tuple[list[SignatureRecord], set[str], bool]:
        """The next transactions of all accounts together; which of them name the wallet itself, as all do that it has signed; and whether there are more after them."""

        async def one(account: str) -> list[SignatureRecord]:
            async with self._turn:
                return await self._client.signatures_for(
                    account, before=None if last is None else last.signature, limit=wanted
                )

        pages = await asyncio.gather(*(one(account) for account in accounts))
        known = {each.signature: each for page in pages for each in page}
        ordered = sorted(known.values(), key=lambda each: each.slot, reverse=True)
        more = len(ordered) > wanted or any(len(page) == wanted for page in pages)
        return (await self._in_order(ordered))[:wanted], {each.signature for each in pages[0]}, more

    async def _in_order(self, records: Sequence[SignatureRecord]) -> list[SignatureRecord]:
        """As they stand in their blocks: nodes go on from a transaction's own place, whatever account it is of."""
        counted = Counter(each.slot for each in records)
        places: dict[str, int] = {}
        for slot in (slot for slot, count in counted.items() if count > 1):
            block = await self._client.block(slot, Commitment.CONFIRMED)
            places |= {} if block is None else {each: place for place, each in enumerate(block.signatures)}
        return sorted(records, key=lambda each: (each.slot, places.get(each.signature, 0)), reverse=True)

    async def _transaction(self, record: SignatureRecord) -> ChainTransaction:
        async with self._turn:
            found = await self._client.transaction(record.signature)
        if found is None:
            raise ChainUnavailable(self._entry.key, {"node": "lists a transaction that it does not have"})
        return found

    async def _found(self, last: _After) -> ChainTransaction:
        """The transaction of a cursor. Raises InvalidInput where there is none any more."""
        found = await self._client.transaction(last.signature)
        if found is None:
            raise InvalidInput("after must be a cursor of this list; what it named is there no more", field=["after"])
        return found

    def _rows(self, address: str, transaction: ChainTransaction, heads: _Heads) -> list[WalletMovement]:
        """Of one that failed a single row without a quantity, for who has signed it: its fee is all that moved."""
        found = moved(transaction, address)
        if transaction.problem is not None and address in transaction.signers:
            found = [Moved(None, SOL_DECIMALS, 0, ())]
        return [self._row(transaction, each, number, heads) for number, each in enumerate(found, start=1)]

    def _row(self, transaction: ChainTransaction, each: Moved, number: int, heads: _Heads) -> WalletMovement:
        is_final = transaction.slot <= heads.final
        passed, enough = max(1, heads.confirmed - transaction.slot + 1), self._entry.final_after
        return WalletMovement(
            place=transaction.slot,
            hash=transaction.signature,
            part=each.mint or COIN,
            direction=TransferDirection.IN if each.units > 0 else TransferDirection.OUT,
            token=self._token(each),
            units=abs(each.units),
            counterparty=each.others[0] if len(each.others) == 1 else None,
            status=_status(transaction, is_final=is_final),
            confirmations=max(passed, enough) if is_final else min(passed, enough - 1),
            time_ms=transaction.time_ms,
            cursor=str(_After(transaction.signature, number)),
        )

    def _token(self, each: Moved) -> TokenState:
        if each.mint is None:
            return self._tokens.coin(self._entry.key)
        known = self._tokens.known(self._entry.key, each.mint)
        return known or self._tokens.unvouched(self._entry.key, each.mint, each.mint[:4], each.mint, each.decimals)


def _status(transaction: ChainTransaction, *, is_final: bool) -> ChainTxStatus:
    if transaction.problem is not None:
        return ChainTxStatus.FAILED
    return ChainTxStatus.FINAL if is_final else ChainTxStatus.CONFIRMED


def _read_cursor(text: str | None) -> _After | None:
    found = cursor_in(text, _CURSOR)
    return None if found is None else _After(found[1], int(found[2]))
