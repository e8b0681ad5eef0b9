"""What moves between the house's own wallets on a chain, and what that costs: booked between the ledger's reserves once it is final.

Deposit addresses and cold wallets are one reserve (their keys are offline), the hot wallet is the other. A reserve's account says with the other sign what its wallets have.
How it is told apart from deposits hangs on the family of the chain (`deposit_evm.py`, `deposit_bitcoin.py`).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from events.commands import HOUSE_KEY, MoveHouseFunds
from exchange.accounts import House, cold_reserve, hot_reserve
from models import house_transfer
from models.house_transfer import HouseTransferDocument
from services.deposit_forms import Sighting
from services.exchange_gateway import ExchangeGateway
from services.ledger_commands import have_done

log = structlog.get_logger(__name__)
FEE = "fee"
HotWallet = Callable[[], Awaitable[str | None]]
"""Where a chain's hot wallet is now; None: it has none."""


class InBlock(Protocol):
    """The block that something is in."""

    @property
    def number(self) -> int: ...

    @property
    def hash(self) -> str: ...


@dataclass(frozen=True, slots=True)
class HouseWallets:
    """The house's wallets on a chain, at the moment; `deposits` are the owners of deposit addresses by these."""

    chain: str
    coin: str
    hot: str | None
    cold: Collection[str]
    deposits: Mapping[str, str]

    def __contains__(self, address: object) -> bool:
        return address is not None and (address == self.hot or address in self.deposits or address in self.cold)

    @property
    def everyone(self) -> list[str]:
        """All addresses, each once."""
        hot = () if self.hot is None else (self.hot,)
        return list(dict.fromkeys((*self.deposits, *hot, *sorted(self.cold))))

    def reserve(self, address: str) -> str:
        """The ledger's account of what this wallet has."""
        return hot_reserve(self.chain) if address == self.hot else cold_reserve(self.chain)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a block moved, by what it is to the house. Not `is_all`: something was paid to it that no node tells of now."""

    deposits: list[Sighting]
    transfers: list[HouseTransferDocument]
    is_all: bool = True


@dataclass(frozen=True, slots=True)
class Movement:
    """So many of the ledger's units of an asset went from one reserve to the other, at this place of a transaction."""

    hash: str
    place: str
    giving: str
    taking: str
    asset: str
    units: int


async def book(gateway: ExchangeGateway, row: HouseTransferDocument) -> None:
    """Let the ledger have it, once. Raises LedgerSilent."""
    await have_done(gateway, MoveHouseFunds(row.source, row.target, row.asset, int(row.units), row.key, row.digest))
    await house_transfer.booked(row)


def movement_row(wallets: HouseWallets, block: InBlock, moved: Movement) -> HouseTransferDocument:
    """What the ledger is to have of a movement."""
    return HouseTransferDocument(
        id=f"{wallets.chain}:{moved.hash}:{moved.place}",
        chain=wallets.chain,
        block=block.number,
        block_hash=block.hash,
        hash=moved.hash,
        key=f"{HOUSE_KEY}sweep:{wallets.chain}:{moved.hash}:{moved.place}",
        digest=f"{moved.taking}:{moved.giving}:{moved.asset}:{moved.units}",
        source=moved.taking,
        target=moved.giving,
        asset=moved.asset,
        units=str(moved.units),
    )


def fee_row(
    wallets: HouseWallets, block: InBlock, hash_: str, payer: str, units: int, *, part: str = ""
) -> HouseTransferDocument:
    """What a transaction cost a reserve, in units of the chain's coin: under the key that a withdrawal's fee has, so that no fee is booked twice.

    `part` tells the second reserve's part of a fee from the first's.
    """
    return HouseTransferDocument(
        id=f"{wallets.chain}:{hash_}:{FEE}{part}",
        chain=wallets.chain,
        block=block.number,
        block_hash=block.hash,
        hash=hash_,
        key=f"{HOUSE_KEY}network-fee:{wallets.chain}:{hash_}{part}",
        digest=hash_,
        source=House.NETWORK_FEES,
        target=payer,
        asset=wallets.coin,
        units=str(units),
    )


def say_unassigned(
    wallets: HouseWallets, hash_: str, asset: str, units: int, *, sender: str = "", recipient: str = ""
) -> None:
    """Coins of the house went somewhere, or came from somewhere, that the ledger knows nothing of."""
    log.warning(
        "house.unassigned",
        chain=wallets.chain,
        hash=hash_,
        asset=asset,
        units=units,
        sender=sender,
        recipient=recipient,
    )
