"""Reading the catalogue: lists of assets and markets with filter, order and pages, and an asset's price."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar, cast

from core.errors import ExpectedError, InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import AssetKind, MarketOrderBy, MarketStatus
from events.market import TickAccepted, TickerChanged
from models.asset import AssetEntry
from models.market import MarketEntry
from services.catalogue import Catalogue, UnknownMarket
from services.market_states import FeedUnavailable
from services.market_view import MarketView
from services.ranked_paging import Placed, RankedList, SortKey

DEFAULT_QUOTES = ("USD", "USDT", "USDC")
"""Tried in this order when a price is asked for without a quote."""
MAX_SEARCH_LENGTH = 100
_LISTS_HELD = 64
_NAMES_HELD = 20
"""Symbols and states of a list that is kept."""
MAX_NAMES = 500
"""Codes or symbols a filter may list."""
_HUNDRED = Decimal(100)


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


MarketPage = Page[Placed[MarketEntry]]
Shown = TypeVar("Shown")


class MarketReads:
    """Questions about assets and markets, answered from this process's memory."""

    def __init__(self, catalogue: Catalogue, view: MarketView) -> None:
        self._catalogue = catalogue
        self._view = view
        self._shown: OrderedDict[Hashable, tuple[int, object]] = OrderedDict()
        """Beginnings of lists as they were shown, with the catalogue's version."""

    def list_assets(self, criteria: AssetCriteria, page: PageRequest) -> tuple[Page[Placed[AssetEntry]], int]:
        """A page of assets by code, and how many there are in all. Raises InvalidInput."""
        search, codes = _search_text(criteria.search), _names(criteria.codes, "codes")
        found = [
            asset
            for asset in self._catalogue.assets.values()
            if (codes is None or asset.code in codes)
            and (criteria.kind is None or asset.kind in criteria.kind)
            and (not search or search in asset.code.lower() or search in asset.name.lower())
        ]
        listed = RankedList[AssetEntry](
            "assets", self._catalogue.assets, key=lambda asset: (False, Decimal(0), asset.code)
        )
        return listed.page(found, page), len(found)

    def list_markets(
        self, criteria: MarketCriteria, order: MarketOrderBy, page: PageRequest
    ) -> tuple[Page[Placed[MarketEntry]], int]:
        """A page of markets in this order, and how many there are in all. Raises InvalidInput, NotSignedIn."""
        if criteria.watched is not None:
            raise NotSignedIn("sign in to filter by your watch list", field=["filter", "watched"])
        search, symbols = _search_text(criteria.search), _names(criteria.symbols, "symbols")
        found = [
            market
            for market in self._catalogue.markets.values()
            if (symbols is None or market.symbol in symbols) and self._matches(market, criteria, search)
        ]
        listed = RankedList(f"markets_{order}", self._catalogue.markets, key=self._sort_key(order))
        return listed.page(found, page), len(found)

    def show_markets(
        self,
        criteria: MarketCriteria,
        order: MarketOrderBy,
        page: PageRequest,
        show: Callable[[MarketPage, int], Shown],
    ) -> Shown:
        """The list in the form that `show` gives it, which must depend on nothing else. Raises as `list_markets`.

        The beginning of the list by symbols is kept while the catalogue has not changed: it is what most clients open first.
        """
        key = _kept_under(criteria, order, page)
        if key is None:
            return show(*self.list_markets(criteria, order, page))
        version, known = self._catalogue.version, self._shown.get(key)
        if known is not None and known[0] == version:
            return cast(Shown, known[1])
        shown = show(*self.list_markets(criteria, order, page))
        self._shown[key] = (version, shown)
        if len(self._shown) > _LISTS_HELD:
            self._shown.popitem(last=False)
        return shown

    def _matches(self, market: MarketEntry, criteria: MarketCriteria, search: str) -> bool:
        return (
            (criteria.base is None or market.base == criteria.base)
            and (criteria.quote is None or market.quote == criteria.quote)
            and (criteria.status is None or market.status in criteria.status)
            and (
                not search
                or search in market.symbol.lower()
                or search in self._catalogue.assets[market.base].name.lower()
            )
        )

    def _sort_key(self, order: MarketOrderBy) -> Callable[[MarketEntry], SortKey]:
        """How this order ranks a market now; markets without the figure come last."""

        def key(market: MarketEntry) -> SortKey:
            if order is MarketOrderBy.SYMBOL:
                return (False, Decimal(0), market.symbol)
            ticker = self._view.states[market.symbol].ticker
            value = None if ticker is None else _RANKS[order](ticker)
            return (value is None, value or Decimal(0), market.symbol)

        return key

    def asset_price(self, code: str, *, quote: str | None) -> tuple[TickAccepted, bool]:
        """Newest tick of the market that prices this asset, and whether it is stale. Without a quote, the first of
        DEFAULT_QUOTES that is current; where none is, the first that ever had a price.

        Raises:
            UnknownMarket: nothing quotes the asset (in that quote).
            FeedUnavailable: no source has delivered it.
        """
        quotes = DEFAULT_QUOTES if quote is None else (quote,)
        symbols = [f"{code}-{candidate}" for candidate in quotes if f"{code}-{candidate}" in self._catalogue.markets]
        if not symbols:
            asked = None if quote is None else ["quote"]
            raise UnknownMarket(f"no market prices {code} in {' or '.join(q[:20] for q in quotes)}", field=asked)
        states = [self._view.states[symbol] for symbol in symbols]
        priced = [(state.tick, state.stale) for state in states if state.tick is not None]
        if not priced:
            raise FeedUnavailable(f"no price source has delivered {symbols[0]} yet; see Market.feed")
        return min(priced, key=lambda found: found[1])


def _kept_under(criteria: MarketCriteria, order: MarketOrderBy, page: PageRequest) -> Hashable | None:
    """What this list is kept under; None where it is not kept."""
    names, statuses = tuple(criteria.symbols or ()), tuple(criteria.status or ())
    if (
        order is not MarketOrderBy.SYMBOL
        or criteria.watched is not None
        or page.after is not None
        or page.before is not None
        or len(names) + len(statuses) > _NAMES_HELD
        or len(f"{criteria.search or ''}{criteria.base or ''}{criteria.quote or ''}") > MAX_SEARCH_LENGTH
    ):
        return None
    wanted = (None if criteria.symbols is None else names, None if criteria.status is None else statuses)
    return (*wanted, criteria.base, criteria.quote, criteria.search, page)


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


def _names(wanted: Sequence[str] | None, field: str) -> Collection[str] | None:
    if wanted is not None and len(wanted) > MAX_NAMES:
        raise InvalidInput(
            f"expected at most {MAX_NAMES} {field}", field=["filter", field], limit=MAX_NAMES, actual=len(wanted)
        )
    return None if wanted is None else frozenset(wanted)
