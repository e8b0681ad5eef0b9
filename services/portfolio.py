"""What an account owns, and what came of it, valued in one asset by the prices of this moment.

Costs are vectors by the asset that was paid (`services/cost_basis.py`); they are valued at today's rates, like everything else here. Where a
part of a sum cannot be valued, the sum is not known, and the assets that are missing are named in `stale`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from core.clock import Clock
from core.money import CONTEXT, figure
from core.vocabulary import AllocationKey, AssetKind
from events.funds import HoldingState, PortfolioState, SliceState
from events.wallet import OnChainFunds
from models.asset import AssetEntry
from services.balances import owned
from services.catalogue import Catalogue
from services.market_view import MarketView
from services.portfolio_wallets import by_place, chain_values, with_wallets
from services.trading_accounts import Cost, Funds, TradingAccount, read_row
from services.valuation import Rates, Valuation, known_sum, rounded, share, total_at, value_at

_HUNDRED = Decimal(100)


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
        cost = known_sum([total_at(rates, position.cost) for position in costs]) if costs else None
        covered = total_at(rates, {asset: of.covered for asset, of in account.positions.items()})
        return PortfolioState(
            account=account.account,
            quote=into.code,
            as_of_ms=self._clock.now_ms(),
            total=total,
            change_24h=change,
            change_percent_24h=None if change is None or not before else percent(change, before),
            cost_basis=cost,
            unrealized=None if cost is None or covered is None else covered - cost,
            realized=known_sum([total_at(rates, position.realized) for position in account.positions.values()]),
            holdings=[
                self._holding(account, asset, funds[asset.code], quote=into.code, rates=rates, total=total)
                for asset in self._catalogue.assets.values()
                if asset.code in funds
            ],
            stale=[
                asset.code
                for asset in self._catalogue.assets.values()
                if asset.code in _needed(account, funds) and asset.code not in rates
            ],
        )

    def with_wallets(self, portfolio: PortfolioState, funds: OnChainFunds) -> PortfolioState:
        """The portfolio together with what linked wallets hold: its holdings and its total."""
        rates = self._valuation.rates(portfolio.quote)
        account = read_row(portfolio.account, None)

        def empty(code: str) -> HoldingState:
            asset = self._catalogue.assets[code]
            return self._holding(account, asset, Funds(), quote=portfolio.quote, rates=rates, total=None)

        return with_wallets(portfolio, funds, rates, list(self._catalogue.assets), empty)

    def allocation(
        self, portfolio: PortfolioState, by: AllocationKey, funds: OnChainFunds | None = None
    ) -> list[SliceState]:
        """The parts of the whole, largest first, those of unknown value last; of linked wallets as well where `funds` are given."""
        if by in {AllocationKey.CHAIN, AllocationKey.LOCATION}:
            names = {key: chain.name for key, chain in self._catalogue.chains.items()}
            return by_place(portfolio, funds, by, self._valuation.rates(portfolio.quote), names)
        return allocation(portfolio if funds is None else self.with_wallets(portfolio, funds), by, self._catalogue)

    def on_chain_value(self, portfolio: PortfolioState, funds: OnChainFunds) -> Decimal | None:
        """What linked wallets hold is worth; None where a part of that is not known."""
        return known_sum(list(chain_values(funds, self._valuation.rates(portfolio.quote)).values()))

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
            asset=asset.code,
            quote=quote,
            available=funds.available,
            held=funds.held,
            price=None if state is None else state.tick,
            price_stale=state is not None and state.stale,
            value=value,
            share=share(value, total),
            average_cost=None if cost is None or not covered else rounded(CONTEXT.divide(cost, covered)),
            unrealized=unrealized,
            unrealized_percent=None if unrealized is None or not cost else percent(unrealized, cost),
        )


def same_figures(one: PortfolioState, other: PortfolioState | None) -> bool:
    """Whether nothing but the time is different."""
    return other is not None and replace(one, as_of_ms=0) == replace(other, as_of_ms=0)


def allocation(portfolio: PortfolioState, by: AllocationKey, catalogue: Catalogue) -> list[SliceState]:
    """The parts of the whole by ASSET or KIND, largest first, those of unknown value last."""
    key, label = _KEYS[by]
    groups: dict[str, list[HoldingState]] = {}
    for holding in portfolio.holdings:
        groups.setdefault(key(catalogue.asset(holding.asset)), []).append(holding)
    slices = []
    for name, holdings in groups.items():
        value = known_sum([holding.value for holding in holdings])
        slices.append(SliceState(name, label(catalogue.asset(holdings[0].asset)), value, share(value, portfolio.total)))
    return sorted(slices, key=lambda part: (part.value is None, -(part.value or 0), part.key))


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """As a number of hundredths, to twelve digits."""
    return figure(CONTEXT.divide(CONTEXT.multiply(part, _HUNDRED), whole))


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


Of = Callable[[AssetEntry], str]
_KIND_LABELS = {
    AssetKind.NATIVE: "Coins",
    AssetKind.TOKEN: "Tokens",
    AssetKind.STABLECOIN: "Stablecoins",
    AssetKind.FIAT: "Currencies",
}
_KEYS: Mapping[AllocationKey, tuple[Of, Of]] = {
    AllocationKey.ASSET: (lambda asset: asset.code, lambda asset: asset.name),
    AllocationKey.KIND: (lambda asset: asset.kind, lambda asset: _KIND_LABELS[asset.kind]),
}
