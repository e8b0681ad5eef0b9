"""What an account owns, and what came of it, valued in one asset by the prices of this moment.

Costs are vectors by the asset that was paid (`services/cost_basis.py`); they are valued at today's rates, like everything else here. Where a
part of a sum cannot be valued, the sum is not known, and the assets that are missing are named in `stale`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.clock import Clock
from core.errors import NotAvailableYet
from core.money import CONTEXT, figure
from core.vocabulary import AllocationKey, AssetKind
from events.market import TickAccepted
from models.asset import AssetEntry
from services.balances import owned
from services.catalogue import Catalogue
from services.market_view import MarketView
from services.trading_accounts import Cost, Funds, TradingAccount
from services.valuation import Rates, Valuation, rounded, total_at, value_at

_HUNDRED = Decimal(100)


class Location(StrEnum):
    """Where assets are kept."""

    EXCHANGE = "EXCHANGE"


@dataclass(frozen=True, slots=True)
class HoldingState:
    """What is owned of one asset. Values in the portfolio's quote; None: not known. `share` is a fraction of the whole."""

    account: str
    asset: AssetEntry
    quote: str
    funds: Funds
    price: TickAccepted | None
    price_stale: bool
    value: Decimal | None
    share: Decimal | None
    average_cost: Decimal | None
    unrealized: Decimal | None
    unrealized_percent: Decimal | None


@dataclass(frozen=True, slots=True)
class SliceState:
    """A part of the whole."""

    key: str
    label: str
    value: Decimal | None
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """An account's portfolio at a moment. Sums are None where a part of them is not known."""

    account: str
    quote: AssetEntry
    as_of_ms: int
    total: Decimal | None
    change_24h: Decimal | None
    change_percent_24h: Decimal | None
    cost_basis: Decimal | None
    unrealized: Decimal | None
    realized: Decimal | None
    holdings: Sequence[HoldingState]
    stale: Sequence[AssetEntry]

    def same_figures(self, other: "PortfolioState | None") -> bool:
        """Whether nothing but the time is different."""
        return other is not None and _figures(self) == _figures(other)


class Portfolios:
    """One per process."""

    def __init__(self, catalogue: Catalogue, view: MarketView, valuation: Valuation, clock: Clock) -> None:
        self._catalogue = catalogue
        self._view = view
        self._valuation = valuation
        self._clock = clock

    def quote(self, code: str) -> AssetEntry:
        """The asset to value in. Raises UnknownAsset."""
        return self._catalogue.asset(code, field=("quote",))

    def present(self, account: TradingAccount, quote: str) -> PortfolioState:
        """The portfolio now. Raises UnknownAsset."""
        into = self.quote(quote)
        rates = self._valuation.rates(into.code)
        funds = owned(account)
        amounts = {asset: of.total for asset, of in funds.items()}
        total = total_at(rates, amounts)
        before = total_at(self._valuation.rates_day_ago(into.code), amounts)
        change = None if total is None or before is None else total - before
        costs = [position for position in account.positions.values() if position.covered]
        cost = _sum([total_at(rates, position.cost) for position in costs]) if costs else None
        covered = total_at(rates, {asset: of.covered for asset, of in account.positions.items()})
        return PortfolioState(
            account=account.account,
            quote=into,
            as_of_ms=self._clock.now_ms(),
            total=total,
            change_24h=change,
            change_percent_24h=None if change is None or not before else percent(change, before),
            cost_basis=cost,
            unrealized=None if cost is None or covered is None else covered - cost,
            realized=_sum([total_at(rates, position.realized) for position in account.positions.values()]),
            holdings=[
                self._holding(account, asset, funds[asset.code], quote=into.code, rates=rates, total=total)
                for asset in self._catalogue.assets.values()
                if asset.code in funds
            ],
            stale=[
                asset
                for asset in self._catalogue.assets.values()
                if asset.code in _needed(account, funds) and asset.code not in rates
            ],
        )

    def _holding(
        self,
        account: TradingAccount,
        asset: AssetEntry,
        funds: Funds,
        *,
        quote: str,
        rates: Rates,
        total: Decimal | None,
    ) -> HoldingState:
        value = value_at(rates, asset.code, funds.total)
        state = self._view.states.get(f"{asset.code}-{quote}")
        cost, unrealized = _gains(asset.code, account.positions.get(asset.code), rates)
        covered = account.positions[asset.code].covered if cost is not None else None
        return HoldingState(
            account=account.account,
            asset=asset,
            quote=quote,
            funds=funds,
            price=None if state is None else state.tick,
            price_stale=state is not None and state.stale,
            value=value,
            share=share(value, total),
            average_cost=None if cost is None or not covered else rounded(CONTEXT.divide(cost, covered)),
            unrealized=unrealized,
            unrealized_percent=None if unrealized is None or not cost else percent(unrealized, cost),
        )


def allocation(portfolio: PortfolioState, by: AllocationKey) -> list[SliceState]:
    """The parts of the whole, largest first, those of unknown value last. Raises NotAvailableYet for CHAIN."""
    if by is AllocationKey.CHAIN:
        raise NotAvailableYet("no wallets are linked here yet; ask for ASSET, KIND or LOCATION", field=["by"])
    key, label = _KEYS[by]
    groups: dict[str, list[HoldingState]] = {}
    for holding in portfolio.holdings:
        groups.setdefault(key(holding), []).append(holding)
    slices = []
    for name, holdings in groups.items():
        value = _sum([holding.value for holding in holdings])
        slices.append(SliceState(name, label(holdings[0]), value, share(value, portfolio.total)))
    return sorted(slices, key=lambda part: (part.value is None, -(part.value or 0), part.key))


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """As a number of hundredths, to twelve digits."""
    return figure(CONTEXT.divide(CONTEXT.multiply(part, _HUNDRED), whole))


def share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """As a fraction, to twelve digits; None where it is not known."""
    return None if part is None or not whole else figure(CONTEXT.divide(part, whole))


def _gains(asset: str, position: Cost | None, rates: Rates) -> tuple[Decimal | None, Decimal | None]:
    """What the units of known cost have cost, and what they are worth beyond it."""
    if position is None or not position.covered:
        return None, None
    cost, worth = total_at(rates, position.cost), value_at(rates, asset, position.covered)
    return cost, None if cost is None or worth is None else worth - cost


def _needed(account: TradingAccount, funds: Mapping[str, Funds]) -> set[str]:
    """Assets without whose rates a figure is missing."""
    paid = [{*position.cost, *position.realized} for position in account.positions.values()]
    return {*funds}.union(*paid)


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _figures(state: PortfolioState) -> tuple[object, ...]:
    return (
        state.total,
        state.change_24h,
        state.cost_basis,
        state.unrealized,
        state.realized,
        state.holdings,
        state.stale,
    )


Of = Callable[[HoldingState], str]
_KIND_LABELS = {
    AssetKind.NATIVE: "Coins",
    AssetKind.TOKEN: "Tokens",
    AssetKind.STABLECOIN: "Stablecoins",
    AssetKind.FIAT: "Currencies",
}
_KEYS: Mapping[AllocationKey, tuple[Of, Of]] = {
    AllocationKey.ASSET: (lambda holding: holding.asset.code, lambda holding: holding.asset.name),
    AllocationKey.KIND: (lambda holding: holding.asset.kind, lambda holding: _KIND_LABELS[holding.asset.kind]),
    AllocationKey.LOCATION: (lambda _: Location.EXCHANGE, lambda _: "On this exchange"),
}
