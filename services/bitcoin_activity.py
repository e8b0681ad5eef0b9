"""What moved from and to an address on a chain of Bitcoin's kind: a row for each transaction that waits, then for each in a block, the newest first.

Nodes that know addresses tell it (Esplora's kind); of what waits, some 50 transactions. A cursor names a transaction and the height that it had: where that was given up, reading begins anew and
leaves out what lies above it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.refusals import WalletRefused
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import ChainTxStatus, TransferDirection, WalletErrorCode
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.bitcoin.addresses import BitcoinAddress, NotAnAddress, address_of, parse_address
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.messages import HistoryEntry, Place
from models.chain import ChainEntry
from services.forward_pages import begins_above, cursor_in, page_of_both, require_forwards
from services.own_movements import joined

PART = "coin"
_MOST_QUESTIONS = 16
"""Of one page; each brings some 25 transactions."""
_CURSOR = re.compile(r"([0-9]{1,9})-([0-9a-f]{64})", re.ASCII)


_WAITING = 10**15
"""Above all heights, and below what was sent from here (`own_movements.py`): places of what waits, which is in no order."""


class _Listed(NamedTuple):
    """A transaction of the list, and where it is."""

    entry: HistoryEntry
    place: Place

    @property
    def after(self) -> "_After":
        return _After(self.place.height, self.entry.txid)


class _After(NamedTuple):
    """Where to go on: after this transaction, which was in a block of this height."""

    height: int
    txid: str

    def __str__(self) -> str:
        return f"{self.height}-{self.txid}"


class BitcoinActivity:
    """Of one chain, whose coin is `coin`."""

    def __init__(self, client: BitcoinClient, entry: ChainEntry, coin: TokenState) -> None:
        self._client = client
        self._entry = entry
        self._coin = coin

    async def page(
        self, address: str, order: TimeOrder, request: PageRequest, own: Sequence[WalletMovement] = ()
    ) -> Page[WalletMovement]:
        """A page, with what was sent from here and waits or was given up above it. One that has cost enough ends early, with the cursor from which to go on.

        Raises InvalidInput, WalletRefused and ChainError.
        """
        require_forwards(order, request)
        start = None if begins_above(request) else _read_cursor(request.after)
        owner = self._owner(address)
        tip = (await self._client.tip()).height
        if start is not None:
            return await self._blocks(owner, tip, request.size, start)
        listed = await self._listed(owner, None)
        both = joined([*self._waiting(listed), *(self._movement(each, tip) for each in _placed(listed))], own)
        above = [each for each in both if each.confirmations == 0]
        return await page_of_both(above, request, lambda rest: self._blocks(owner, tip, rest.size, None, listed))

    async def newest(self, address: str, size: int) -> Page[WalletMovement]:
        """All that the node tells of what waits, and so many rows of blocks. Raises WalletRefused, ChainError."""
        owner = self._owner(address)
        tip = (await self._client.tip()).height
        listed = await self._listed(owner, None)
        page = await self._blocks(owner, tip, size, None, listed)
        return Page([*self._waiting(listed), *page.items], page.has_next, has_previous=False)

    def _owner(self, address: str) -> BitcoinAddress:
        try:
            return parse_address(address, self._client.network)
        except NotAnAddress:
            text = "this wallet has no address on this chain"
            raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_WRONG_NETWORK, field=["chain"]) from None

    async def _blocks(
        self,
        owner: BitcoinAddress,
        tip: int,
        size: int,
        start: "_After | None",
        listed: Sequence[HistoryEntry] | None = None,
    ) -> Page[WalletMovement]:
        """Rows of blocks after `start`; `listed`: the first answer of a node, where there is one already."""
        last = start
        found: Sequence[_Listed] | None = None if listed is None else _placed(listed)
        rows: list[WalletMovement] = []
        for _ in range(_MOST_QUESTIONS):
            if found is None:
                found = await self._after(owner, last)
            if not found:
                return Page(rows, has_next=False, has_previous=start is not None)
            for each in found:
                if len(rows) == size:
                    return Page(rows, has_next=True, has_previous=start is not None)
                moved = self._movement(each, tip)
                last = each.after
                if moved.units:
                    rows.append(moved)
            found = None
        return Page(rows, has_next=True, has_previous=start is not None, end=None if last is None else str(last))

    async def _after(self, owner: BitcoinAddress, last: _After | None) -> Sequence[_Listed]:
        """The next transactions in blocks; none: there are no more."""
        found = _placed(await self._listed(owner, None if last is None else last.txid))
        if last is None:
            return found
        if not found and not await self._stands(last):
            found = await self._from_newest(owner, last)
        return [each for each in found if each.place.height <= last.height]

    async def _from_newest(self, owner: BitcoinAddress, last: _After) -> list[_Listed]:
        """The first ones that are no higher than one that is not there any more. Raises InvalidInput where they are too far away."""
        at: str | None = None
        for _ in range(_MOST_QUESTIONS):
            found = _placed(await self._listed(owner, at))
            if not found or found[-1].place.height <= last.height:
                return found
            at = found[-1].entry.txid
        raise InvalidInput("after must be a cursor of this list; what it named is there no more", field=["after"])

    async def _stands(self, last: _After) -> bool:
        """Whether it is where it was."""
        found = await self._client.transaction(last.txid)
        return found is not None and found.place is not None and found.place.height == last.height

    async def _listed(self, owner: BitcoinAddress, after: str | None) -> Sequence[HistoryEntry]:
        """Raises WalletRefused where no node knows addresses."""
        found = await self._client.history(owner, after=after)
        if found is None:
            text = "this server has no node of this chain that knows what happened to addresses"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=["chain"])
        return found

    def _waiting(self, listed: Sequence[HistoryEntry]) -> list[WalletMovement]:
        """What is in no block yet."""
        rows = [self._seen(each, _WAITING + int(each.txid[:12], 16)) for each in listed if each.place is None]
        return [each for each in rows if each.units]

    def _movement(self, listed: _Listed, tip: int) -> WalletMovement:
        entry, place = listed
        confirmations = max(1, tip - place.height + 1)
        is_final = confirmations >= self._entry.final_after
        return replace(
            self._seen(entry, place.height),
            status=ChainTxStatus.FINAL if is_final else ChainTxStatus.CONFIRMED,
            confirmations=confirmations,
            time_ms=entry.time_ms,
            cursor=str(listed.after),
        )

    def _seen(self, entry: HistoryEntry, place: int) -> WalletMovement:
        """What the wallet has less or more by a transaction, its fee left out; several who get something are not told one by one."""
        direction, units, others = _way(entry)
        named = (address_of(each, self._client.network) for each in others)
        addresses = list(dict.fromkeys(each for each in named if each is not None))
        return WalletMovement(
            place=place,
            hash=entry.txid,
            part=PART,
            direction=direction,
            token=self._coin,
            units=units,
            counterparty=addresses[0] if len(addresses) == 1 else None,
            status=ChainTxStatus.PENDING,
            confirmations=0,
            time_ms=None,
        )


def _placed(listed: Sequence[HistoryEntry]) -> list[_Listed]:
    """Those in blocks."""
    return [_Listed(each, each.place) for each in listed if each.place is not None]


def _way(entry: HistoryEntry) -> tuple[TransferDirection, int, Sequence[bytes]]:
    """Which way it went, how much, and the scripts at the other end."""
    if entry.spent and not entry.senders:
        receivers = [each.script for each in entry.receivers]
        sent = sum(each.sats for each in entry.receivers)
        if receivers:
            return TransferDirection.OUT, sent, receivers
        return TransferDirection.SELF, entry.received, ()
    more = entry.received - entry.spent
    direction = TransferDirection.OUT if more < 0 else TransferDirection.IN
    return direction, abs(more), entry.senders if more >= 0 else [each.script for each in entry.receivers]


def _read_cursor(text: str | None) -> _After | None:
    found = cursor_in(text, _CURSOR)
    return None if found is None else _After(int(found[1]), found[2])
