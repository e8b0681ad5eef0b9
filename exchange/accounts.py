"""Accounts and the double entry between them.

A person's balance of an asset is what is available and what orders hold; neither is ever negative. The house's accounts take the other
side of every movement and may owe: over all accounts each asset sums to zero.

What a person owes after a deposit was reversed is no negative balance but stands beside it, and the house has lost as much
(`House.CHAIN_LOSS`) until it is repaid: over all people debts of an asset are what that account lacks.

A chain has two reserves, `house:hot:<chain>` and `house:cold:<chain>`. Their balances are what the wallets there should have, with the other sign.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from events import journal
from exchange.order import Order


class House(StrEnum):
    """The exchange's own accounts, beside the reserves of chains. `CHAIN_LOSS` takes debts and nothing else."""

    FEES = "house:fees"
    ROUNDING = "house:rounding"
    INVENTORY = "house:inventory"
    TEST_FUNDS = "house:test-funds"
    CHAIN_LOSS = "house:chain-loss"
    NETWORK_FEES = "house:network-fees"


FEES: Final = House.FEES
ROUNDING: Final = House.ROUNDING
INVENTORY: Final = House.INVENTORY
HOUSE: Final = "house:"
"""How the names of the house's accounts begin, and no person's."""
_RESERVE = re.compile(r"house:(hot|cold):[a-z][a-z0-9-]{0,31}")


def hot_reserve(chain: str) -> str:
    """The account of what a chain's hot wallets hold; chains by their keys, such as `ethereum`."""
    return f"house:hot:{chain}"


def cold_reserve(chain: str) -> str:
    """The account of what a chain's cold wallets hold."""
    return f"house:cold:{chain}"


def is_house(name: str) -> bool:
    """Whether the house has, or may have, an account of this name."""
    return name in _HOUSES or _RESERVE.fullmatch(name) is not None


_HOUSES = frozenset(House)
MOST_UNITS: Final = 10**34 - 1
"""Of anything that is moved, has, holds or owes: what is stored has 34 digits (Decimal128)."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal holds; `id` is the sequence of its `WithdrawalHeld`."""

    id: int
    account: str
    asset: str
    units: int


class Balance:
    """Of one asset, in its units."""

    __slots__ = ("available", "held")

    def __init__(self) -> None:
        self.available = 0
        self.held = 0


class Account:
    """A person's account. `keys` are the client's keys that are remembered: their digest, and the sequence of what they made; `forgot`: others
    were used before.

    `debts` are what it owes, in units by asset, never 0; `withdrawals` hold what has not left yet.
    `open` are its open orders, `open_in` their number by market; `timers` are its cancel timers by owner; `sequence` is that of the last event
    about it.
    """

    __slots__ = (
        "balances", "debts", "forgot", "frozen", "id", "keys", "maker_ppm", "open", "open_in", "sequence", "taker_ppm", "timers",
        "withdrawals",
    )  # fmt: skip

    def __init__(self, account_id: str) -> None:
        self.id = account_id
        self.frozen = False
        self.forgot = False
        self.balances: dict[str, Balance] = {}
        self.debts: dict[str, int] = {}
        self.withdrawals: dict[int, Withdrawal] = {}
        self.open: dict[int, Order] = {}
        self.open_in: defaultdict[str, int] = defaultdict(int)
        self.keys: dict[str, tuple[str, int]] = {}
        self.maker_ppm: int | None = None
        self.taker_ppm: int | None = None
        self.sequence = 0
        self.timers: dict[str, journal.CancelTimerSet] = {}

    def balance(self, asset: str) -> Balance:
        """Of this asset; nothing at first."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance


HouseBalances = defaultdict[str, int]
"""Asset to units; negative is what the house owes."""
