"""Reading the catalogue: lists of assets and markets with filter, order and pages, and an asset's price."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from core.errors import ExpectedError, InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import AssetKind, MarketOrderBy, MarketStatus
from events.market import TickAccepted, TickerChanged
from models.asset import AssetEntry
from models.market import MarketEntry
from services.catalogue import Catalogue, UnknownMarket
from services.market_view import FeedUnavailable, MarketView

DEFAULT_QUOTES = ("USD", "USDT", "USDC")
"""Tried in this order when a price is asked for without a quote."""
MAX_SEARCH_LENGTH = 100
_HUNDRED = Decimal(100)

Row = TypeVar("Row")
SortKey = tuple[bool, Decimal, str]
"""Unknown values last, then the value (negated for descending), then the name that breaks ties."""


class NotSignedIn(ExpectedError):
    """The question concerns a viewer and there is none."""

    code = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class MarketCriteria:
    """What a market must be to be listed; None: anything."""

    symbols: Sequence[str] | None = None
    base: str | None = None
    quote: str | None = None
    status: Sequence[MarketStatus] | None = None
    search: str | None = None
    watched: bool | None = None


@dataclass(frozen=True, slots=True)
class AssetCriteria:
    """What an asset must be to be listed; None: anything."""

    codes: Sequence[str] | None = None
    kind: Sequence[AssetKind] | None = None
    search: str | None = None


class MarketReads:
    """Questions about assets and markets, answered from this process's memory."""

    def __init__(self, catalogue: Catalogue, view: MarketView) -> None:
        self._catalogue = catalogue
        self._view = view

    def list_assets(self, criteria: AssetCriteria, page: PageRequest) -> tuple[Page[AssetEntry], int]:
        """A page of assets by code, and how many there are in all. Raises InvalidInput."""
        search = _search_text(criteria.search)
        found = [
            asset
            for asset in self._catalogue.assets.values()
            if (criteria.codes is None or asset.code in criteria.codes)
            and (criteria.kind is None or asset.kind in criteria.kind)
            and (not search or search in asset.code.lower() or search in asset.name.lower())
        ]
        return paginate(found, lambda asset: (False, Decimal(0), asset.code), page), len(found)

    def list_markets(
        self, criteria: MarketCriteria, order: MarketOrderBy, page: PageRequest
    ) -> tuple[Page[MarketEntry], int]:
        """A page of markets in this order, and how many there are in all. Raises InvalidInput, NotSignedIn."""
        if criteria.watched is not None:
            raise NotSignedIn("sign in to filter by your watch list", field=["filter", "watched"])
        search = _search_text(criteria.search)
        found = [market for market in self._catalogue.markets.values() if self._matches(market, criteria, search)]
        return paginate(found, self.sort_key(order), page), len(found)

    def _matches(self, market: MarketEntry, criteria: MarketCriteria, search: str) -> bool:
        return (
            (criteria.symbols is None or market.symbol in criteria.symbols)
            and (criteria.base is None or market.base == criteria.base)
            and (criteria.quote is None or market.quote == criteria.quote)
            and (criteria.status is None or market.status in criteria.status)
            and (
                not search
                or search in market.symbol.lower()
                or search in self._catalogue.assets[market.base].name.lower()
            )
        )

    def sort_key(self, order: MarketOrderBy) -> Callable[[MarketEntry], SortKey]:
        """How this order ranks a market now; markets without the figure come last."""

        def key(market: MarketEntry) -> SortKey:
            if order is MarketOrderBy.SYMBOL:
                return (False, Decimal(0), market.symbol)
            ticker = self._view.states[market.symbol].ticker
            value = None if ticker is None else _RANKS[order](ticker)
            return (value is None, value or Decimal(0), market.symbol)

        return key

    def asset_price(self, code: str, *, quote: str | None) -> tuple[TickAccepted, bool]:
        """Newest tick of the market that prices this asset, and whether it is stale.

        Raises:
            UnknownMarket: nothing quotes the asset (in that quote).
            FeedUnavailable: no source has delivered it.
        """
        quotes = DEFAULT_QUOTES if quote is None else (quote,)
        symbols = [f"{code}-{candidate}" for candidate in quotes if f"{code}-{candidate}" in self._catalogue.markets]
        if not symbols:
            raise UnknownMarket(f"no market prices {code} in {' or '.join(q[:20] for q in quotes)}", field=["quote"])
        for symbol in symbols:
            state = self._view.states[symbol]
            if state.tick is not None:
                return state.tick, state.stale
        raise FeedUnavailable(f"no price source has delivered {symbols[0]} yet; see Market.feed")


def _change_percent(ticker: TickerChanged) -> Decimal | None:
    if ticker.last is None or not ticker.open24h:
        return None
    return (ticker.last - ticker.open24h) * _HUNDRED / ticker.open24h


def _negated(value: Decimal | None) -> Decimal | None:
    return None if value is None else -value


_RANKS: dict[MarketOrderBy, Callable[[TickerChanged], Decimal | None]] = {
    MarketOrderBy.VOLUME_24H_DESC: lambda ticker: _negated(ticker.quote_volume24h),
    MarketOrderBy.CHANGE_PERCENT_24H_DESC: lambda ticker: _negated(_change_percent(ticker)),
    MarketOrderBy.CHANGE_PERCENT_24H_ASC: _change_percent,
    MarketOrderBy.PRICE_DESC: lambda ticker: _negated(ticker.last),
}


def _search_text(search: str | None) -> str:
    if search is not None and len(search) > MAX_SEARCH_LENGTH:
        raise InvalidInput(f"expected at most {MAX_SEARCH_LENGTH} characters", field=["filter", "search"])
    return (search or "").strip().lower()


def cursor_of(key: SortKey) -> str:
    """A cursor that holds the row's place itself, so that it works however the rows move."""
    text = json.dumps([int(key[0]), str(key[1]), key[2]], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _key_of(cursor: str, field: str) -> SortKey:
    try:
        unknown, value, name = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        number = Decimal(value)
        if not number.is_finite() or unknown not in (0, 1) or not isinstance(name, str):
            raise InvalidInput("expected a cursor of this list", field=[field])
    except (Base64Error, UnicodeError, ValueError, TypeError, InvalidOperation) as error:
        raise InvalidInput("expected a cursor of this list", field=[field]) from error
    return (bool(unknown), number, name)


def asset_cursor(asset: AssetEntry) -> str:
    """Cursor of an asset in its list."""
    return cursor_of((False, Decimal(0), asset.code))


def market_cursor(reads: MarketReads, order: MarketOrderBy) -> Callable[[MarketEntry], str]:
    """Cursors of markets in a list of this order."""
    key = reads.sort_key(order)
    return lambda market: cursor_of(key(market))


def paginate(rows: Sequence[Row], key: Callable[[Row], SortKey], request: PageRequest) -> Page[Row]:
    """The page of rows in key order that a request names. Raises InvalidInput for a foreign cursor."""
    keyed = sorted(((key(row), row) for row in rows), key=lambda pair: pair[0])
    after = None if request.after is None else _key_of(request.after, "after")
    before = None if request.before is None else _key_of(request.before, "before")
    window = [pair for pair in keyed if (after is None or pair[0] > after) and (before is None or pair[0] < before)]
    page = window[-request.size :] if request.backwards else window[: request.size]
    if not page:
        return Page(items=[], has_next=False, has_previous=False)
    return Page(
        items=[row for _, row in page],
        has_next=page[-1][0] < keyed[-1][0],
        has_previous=page[0][0] > keyed[0][0],
    )
