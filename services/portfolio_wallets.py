"""A portfolio together with what linked wallets hold. Pure.

What could not be read of a chain is not nothing: the amounts, values and shares that it belongs to are not known, and the failure stands beside them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from core.vocabulary import AllocationKey
from events.funds import HoldingState, PortfolioState, SliceState
from events.wallet import OnChainFunds
from services.valuation import Rates, known_sum, share, total_at, value_at

EXCHANGE, WALLETS = "EXCHANGE", "WALLETS"
_LABELS = {EXCHANGE: "On this exchange", WALLETS: "In linked wallets"}


def with_wallets(
    portfolio: PortfolioState,
    funds: OnChainFunds,
    rates: Rates,
    order: Sequence[str],
    empty: Callable[[str], HoldingState],
) -> PortfolioState:
    """The portfolio with what wallets hold in its holdings, their values and shares, and its total. `order`: all assets; `empty`: a holding of nothing."""
    held = {each.asset: each for each in portfolio.holdings}
    codes = [code for code in order if code in held or funds.amount(code) or code in funds.unknown_assets]
    rows = []
    for code in codes:
        row = held.get(code) or empty(code)
        amount = None if code in funds.unknown_assets else funds.amount(code)
        value = None if amount is None else value_at(rates, code, row.available + row.held + amount)
        rows.append(replace(row, on_chain=amount, value=value))
    total = known_sum([each.value for each in rows])
    rows = [replace(each, share=share(each.value, total)) for each in rows]
    return replace(portfolio, total=total, holdings=[each for each in rows if each.asset in held or each.on_chain])


def by_place(
    portfolio: PortfolioState, funds: OnChainFunds | None, by: AllocationKey, rates: Rates, names: Mapping[str, str]
) -> list[SliceState]:
    """The parts of the whole by where they are kept: this exchange, and each chain or all wallets together. `names`: of chains."""
    values: dict[str, Decimal | None] = {}
    if portfolio.holdings:
        values[EXCHANGE] = total_at(rates, {each.asset: each.available + each.held for each in portfolio.holdings})
    of_chains = {} if funds is None else chain_values(funds, rates)
    if by is AllocationKey.CHAIN:
        values |= of_chains
    elif of_chains:
        values[WALLETS] = known_sum(list(of_chains.values()))
    whole = known_sum(list(values.values()))
    labels = {**names, **_LABELS}
    slices = [SliceState(key, labels[key], value, share(value, whole)) for key, value in values.items()]
    return sorted(slices, key=lambda part: (part.value is None, -(part.value or 0), part.key))


def chain_values(funds: OnChainFunds, rates: Rates) -> dict[str, Decimal | None]:
    """What wallets hold on each chain where there is something, or where that is not known."""
    chains = dict.fromkeys([*funds.amounts, *funds.unknown])
    return {
        chain: None if chain in funds.unknown else total_at(rates, funds.amounts.get(chain, {})) for chain in chains
    }
