"""What the exchange knows of an account, as it is read: one row that says what an account has and how far its lists reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from models import trading_account

Amounts = Mapping[str, Decimal]
"""By asset, in whole units of it."""
Volumes = Mapping[int, Amounts]
"""By day since the epoch."""


class ReadMarks(Protocol):
    """How far a client's reads must reach: what it was shown or answered before."""

    async def wait(self, account: str, shown: int = 0) -> int | None:
        """Wait, shortly, for the documents to reach the account's mark; None when they do, else since when they are behind."""
        ...

    def raise_to(self, account: str, sequence: int) -> None:
        """Somebody was shown that everything up to here has happened."""
        ...


class NoMarks:
    """Stands where nobody is shown anything before the documents hold it."""

    async def wait(self, account: str, shown: int = 0) -> int | None:  # noqa: ARG002
        return None

    def raise_to(self, account: str, sequence: int) -> None:
        """Nothing to remember."""


@dataclass(frozen=True, slots=True)
class Funds:
    """Of one asset. `debt` is owed after a deposit was reversed, and no part of the others."""

    available: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    debt: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return self.available + self.held


@dataclass(frozen=True, slots=True)
class Cost:
    """A position of `services/cost_basis.py`, in whole units."""

    covered: Decimal
    uncovered: Decimal
    cost: Amounts
    realized: Amounts


@dataclass(frozen=True, slots=True)
class OpenWithdrawal:
    """What the exchange holds for a withdrawal, whose `id` is what holding it made."""

    id: int
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TradingAccount:
    """An account at `sequence` of the exchange's journal. `orders`, `fills`, `lines` and `logged` are the highest numbers of its lists.
    `holds` is what its open orders and groups have set aside, added up by themselves: with `withdrawals`, what is on hold must be the same."""

    account: str
    sequence: int
    frozen: bool
    maker_ppm: int | None
    taker_ppm: int | None
    balances: Mapping[str, Funds]
    positions: Mapping[str, Cost]
    volumes: Volumes
    holds: Amounts
    withdrawals: Sequence[OpenWithdrawal]
    orders: int
    fills: int
    lines: int
    logged: int


def read_row(account: str, row: Mapping[str, Any] | None) -> TradingAccount:
    """The account of a stored row; one to which nothing ever happened has none."""
    row = row or {}
    return TradingAccount(
        account=account,
        sequence=row.get("sequence", 0),
        frozen=row.get("frozen", False),
        maker_ppm=row.get("maker_ppm"),
        taker_ppm=row.get("taker_ppm"),
        balances=_funds(row.get("balances", {}), _amounts(row.get("debts", {}))),
        positions={
            asset: Cost(
                held["covered"].to_decimal(),
                held["uncovered"].to_decimal(),
                _amounts(held["cost"]),
                _amounts(held["realized"]),
            )
            for asset, held in row.get("positions", {}).items()
        },
        volumes={int(day): _amounts(by_asset) for day, by_asset in row.get("volumes", {}).items()},
        holds=_amounts(row.get("holds", {})),
        withdrawals=[
            OpenWithdrawal(each["id"], each["asset"], each["amount"].to_decimal())
            for each in row.get("withdrawals", [])
        ],
        orders=row.get("orders", 0),
        fills=row.get("fills", 0),
        lines=row.get("lines", 0),
        logged=row.get("logged", 0),
    )


class TradingAccounts:
    """Reads accounts, each as far as its owner was shown before."""

    def __init__(self, marks: ReadMarks) -> None:
        self._marks = marks

    async def read(self, account: str) -> TradingAccount:
        """One account as it is now."""
        await self._marks.wait(account)
        return read_row(account, await trading_account.by_id(account))

    async def read_all(self, accounts: Sequence[str]) -> list[TradingAccount]:
        """These accounts, in their order, each read once; the caller keeps them few."""
        found = {account: await self.read(account) for account in dict.fromkeys(accounts)}
        return [found[account] for account in accounts]


def _funds(balances: Mapping[str, Any], debts: Amounts) -> dict[str, Funds]:
    """Of every asset that the account has, or owes."""
    funds = {
        asset: Funds(held["available"].to_decimal(), held["held"].to_decimal(), debts.get(asset, Decimal(0)))
        for asset, held in balances.items()
    }
    return {**{asset: Funds(debt=debt) for asset, debt in debts.items()}, **funds}


def _amounts(stored: Mapping[str, Any]) -> dict[str, Decimal]:
    return {asset: amount.to_decimal() for asset, amount in stored.items()}
