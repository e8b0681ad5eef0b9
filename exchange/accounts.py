"""Accounts and the double entry between them.

A person's balance of an asset is what is available and what orders hold; neither is ever negative. The house's accounts take the other
side of every movement and may owe: over all accounts each asset sums to zero.
"""

from collections import defaultdict
from enum import StrEnum
from typing import Final

from events import journal
from exchange.order import Order


class House(StrEnum):
    """The exchange's own accounts."""

    FEES = "house:fees"
    ROUNDING = "house:rounding"
    INVENTORY = "house:inventory"
    TEST_FUNDS = "house:test-funds"


FEES: Final = House.FEES
ROUNDING: Final = House.ROUNDING
INVENTORY: Final = House.INVENTORY


class Balance:
    """Of one asset, in its units."""

    __slots__ = ("available", "held")

    def __init__(self) -> None:
        self.available = 0
        self.held = 0


class Account:
    """A person's account. `keys` are the client's keys that are remembered: their digest, and the sequence of what they made; `forgot`: others
    were used before.

    `open` are its open orders, `open_in` their number by market; `timers` are its cancel timers by owner; `sequence` is that of the last event
    about it.
    """

    __slots__ = (
        "balances", "forgot", "frozen", "id", "keys", "maker_ppm", "open", "open_in", "sequence", "taker_ppm", "timers",
    )  # fmt: skip

    def __init__(self, account_id: str) -> None:
        self.id = account_id
        self.frozen = False
        self.forgot = False
        self.balances: dict[str, Balance] = {}
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
