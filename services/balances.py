"""Balances of an account, as its owner and operators read them."""

from collections.abc import Collection, Mapping

from core.errors import InvalidInput
from events.trading import BalanceState
from services.catalogue import Catalogue
from services.trading_accounts import Funds, TradingAccount

MOST_ASSETS = 100
"""Codes that a client may list."""


def balances(account: TradingAccount, catalogue: Catalogue, *, non_zero: bool) -> list[BalanceState]:
    """Balances in the order of the catalogue: of what the account has or owes, or of every asset."""
    known = account.balances
    return [
        _state(account, asset, known.get(asset, Funds()))
        for asset in catalogue.assets
        if not non_zero or (asset in known and (known[asset].total or known[asset].debt))
    ]


def balance(account: TradingAccount, catalogue: Catalogue, asset: str) -> BalanceState:
    """The balance of one asset. Raises UnknownAsset."""
    code = catalogue.asset(asset, field=("asset",)).code
    return _state(account, code, account.balances.get(code, Funds()))


def wanted_assets(assets: Collection[str] | None, catalogue: Catalogue) -> frozenset[str] | None:
    """These assets, or None for all. Raises UnknownAsset, InvalidInput."""
    if assets is None:
        return None
    if not 0 < len(assets) <= MOST_ASSETS:
        raise InvalidInput(
            f"expected 1 to {MOST_ASSETS} assets", field=["assets"], limit=MOST_ASSETS, actual=len(assets)
        )
    return frozenset(catalogue.asset(asset, field=("assets",)).code for asset in assets)


def owned(account: TradingAccount) -> Mapping[str, Funds]:
    """What the account has something of."""
    return {asset: funds for asset, funds in account.balances.items() if funds.total}


class Balances:
    """The same for fields, which do not import services."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def all_of(self, account: TradingAccount, *, non_zero: bool) -> list[BalanceState]:
        """Balances of what the account has or owes, or of every asset."""
        return balances(account, self._catalogue, non_zero=non_zero)

    def one_of(self, account: TradingAccount, asset: str) -> BalanceState:
        """The balance of one asset. Raises UnknownAsset."""
        return balance(account, self._catalogue, asset)


def _state(account: TradingAccount, asset: str, funds: Funds) -> BalanceState:
    return BalanceState(account.account, asset, funds.available, funds.held, 0, account.sequence, funds.debt)
