"""Quotes for swaps: all aggregators are asked at once, what they offer is checked, and what can be believed is kept for its owner.

An aggregator that does not answer, or offers something else than it was asked for, is left out and logged.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from eth_abi.abi import encode

from core.clock import Clock, to_datetime
from core.ids import random_id
from core.refusals import WalletRefused
from core.wallet_vocabulary import SwapProvider
from core.wallet_vocabulary import WalletErrorCode as Code
from integrations.swaps.base import (
    ProviderQuote,
    SwapAsk,
    SwapCall,
    SwapRefused,
    SwapSource,
    SwapSourceError,
    SwapUnavailable,
    SwapUntrue,
)
from models import swap_quote
from models.swap_quote import QuoteEntry, SwapQuoteDocument
from services.catalogue import Catalogue
from services.swap_offers import Worth, quote_of
from services.swap_settlers import Settlers
from services.swap_wishes import CheckedWish, SwapWish, checked
from services.throttles import SWAP, Throttles
from services.viewer import Client, Viewer

KEPT = timedelta(hours=1)
"""After its end: so long QUOTE_EXPIRED is told of it, and then as of one that never was."""
_APPROVE = bytes.fromhex("095ea7b3")
"""`approve(address,uint256)` (EIP-20)."""
log = structlog.get_logger()


class SwapQuotes:
    """One per process. Without `sources` nothing is quoted."""

    def __init__(
        self,
        sources: Sequence[SwapSource],
        *,
        catalogue: Catalogue,
        settlers: Settlers,
        worth: Worth,
        throttles: Throttles,
        clock: Clock,
    ) -> None:
        self._sources = tuple(sources)
        self._catalogue = catalogue
        self._settlers = settlers
        self._worth = worth
        self._throttles = throttles
        self._clock = clock
        self._left_alone: dict[SwapProvider, float] = {}
        """Until when those that asked for it are not asked."""

    async def ask(self, viewer: Viewer, client: Client, wish: SwapWish) -> list[SwapQuoteDocument]:
        """Everything that is offered, what gives most first. Raises WalletRefused, RateLimited."""
        if not self._sources:
            text = "swaps are not offered on this network"
            raise WalletRefused(text, reason=Code.NOT_ENABLED)
        wanted = checked(self._catalogue, wish)
        await self._throttles.of_owner(SWAP, client, viewer.user_id)
        crosses = wanted.ask.from_chain != wanted.ask.to_chain
        sources = [source for source in self._sources if source.crosses_chains or not crosses]
        found = await asyncio.gather(*(self._offer(source, wanted) for source in sources))
        quotes = [each for each in found if isinstance(each, QuoteEntry)]
        if not quotes:
            raise _nothing(failed=all(isinstance(each, SwapSourceError) for each in found))
        quotes.sort(key=lambda quote: (-quote.amount_out, quote.provider))
        rows = [self._row(viewer, quote) for quote in quotes]
        await swap_quote.insert(rows)
        return rows

    async def own(self, user_id: str, quote_id: str) -> SwapQuoteDocument | None:
        """An account's quote, also one that is over."""
        row = await swap_quote.by_id(quote_id)
        return row if row is not None and row.user_id == user_id else None

    async def current(self, user_id: str, quote_id: str) -> SwapQuoteDocument:
        """An account's quote that still holds. Raises WalletRefused with QUOTE_EXPIRED."""
        row = await self.own(user_id, quote_id)
        if row is None or self._clock.now_ms() >= row.quote.expires_ms:
            text = "this quote is over, or never was; ask for new ones"
            raise WalletRefused(text, reason=Code.QUOTE_EXPIRED, field=["quoteId"])
        return row

    async def _offer(self, source: SwapSource, wish: CheckedWish) -> QuoteEntry | SwapSourceError | None:
        """What it offers; None: it knows no way; the error: it cannot be used now."""
        try:
            return await self._asked(source, wish)
        except SwapRefused as error:
            log.info("swap refused", provider=source.provider, reason=str(error))
            return None
        except SwapUntrue as error:
            log.error("swap quote untrue", provider=source.provider, reason=str(error))
            return error
        except SwapSourceError as error:
            log.warning("swap quote failed", provider=source.provider, reason=str(error))
            return error

    async def _asked(self, source: SwapSource, wish: CheckedWish) -> QuoteEntry | None:
        if self._clock.monotonic() < self._left_alone.get(source.provider, 0.0):
            raise SwapUnavailable("asked to be left alone")
        now_ms = self._clock.now_ms()
        offer = await self._answer(source, wish.ask)
        if offer is None:
            return None
        quote = quote_of(offer, wish, self._catalogue, self._worth, now_ms=now_ms)
        if offer.settler is not None and not await self._settlers.is_genuine(wish.from_chain.key, offer.settler):
            raise SwapUntrue("its call leads to a contract that is not proven to be 0x's")
        return quote

    async def _answer(self, source: SwapSource, ask: SwapAsk) -> ProviderQuote | None:
        try:
            return await source.quote(ask)
        except SwapUnavailable as error:
            if error.retry_after_seconds:
                self._left_alone[source.provider] = self._clock.monotonic() + error.retry_after_seconds
            raise

    def _row(self, viewer: Viewer, quote: QuoteEntry) -> SwapQuoteDocument:
        purge_at = to_datetime(quote.expires_ms) + KEPT
        return SwapQuoteDocument(id=random_id(), user_id=viewer.user_id, quote=quote, purge_at=purge_at)


def transaction_of(quote: QuoteEntry, allowance: int) -> tuple[SwapCall, ...]:
    """What the owner of `quote.address` has to send, in this order, on the chain of `quote.from_token`: where what is sold is a token of which the spender may take less than is
    sold (`allowance`, in its units), first an approval of exactly that amount; then the swap.

    An allowance that is too small but not zero is taken back before: some tokens, USDT among them, refuse to change one.
    """
    swap = SwapCall(quote.call.to, quote.call.data, int(quote.call.value), quote.call.gas)
    token, spender = quote.from_token.contract, quote.spender
    amount = int(quote.amount_in.scaleb(quote.from_token.decimals))
    if token is None or spender is None or allowance >= amount:
        return (swap,)
    approved = [0, amount] if allowance else [amount]
    return (*(SwapCall(token, approval(spender, each), 0, None) for each in approved), swap)


def approval(spender: str, amount: int) -> bytes:
    """The call of a token that lets somebody take so many units (EIP-20)."""
    return _APPROVE + encode(["address", "uint256"], [spender, amount])


def _nothing(*, failed: bool) -> WalletRefused:
    if failed:
        text = "no aggregator answers as it should at the moment; try again"
        return WalletRefused(text, reason=Code.PROVIDER_UNAVAILABLE)
    text = "no aggregator knows a way for this swap; another amount or token may have one"
    return WalletRefused(text, reason=Code.NO_ROUTE)
