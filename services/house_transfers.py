"""What moves between the house's own wallets on a chain, and what that costs: told apart from deposits, and booked between the ledger's reserves once it is final.

Deposit addresses and cold wallets are one reserve (their keys are offline), the hot wallet is the other. A reserve's account says with the other sign what its wallets have.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from events.commands import HOUSE_KEY, MoveHouseFunds
from exchange.accounts import House, cold_reserve, hot_reserve
from integrations.chains.evm.messages import EvmBlock
from models import house_transfer, withdrawal
from models.house_transfer import HouseTransferDocument
from services.deposit_sightings import FeePaid, Sighting, Sightings, ledger_units
from services.exchange_gateway import ExchangeGateway
from services.ledger_commands import have_done

log = structlog.get_logger(__name__)
FEE = "fee"
HotWallet = Callable[[], Awaitable[str | None]]
"""Where a chain's hot wallet is now; None: it has none."""


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

    def reserve(self, address: str) -> str:
        """The ledger's account of what this wallet has."""
        return hot_reserve(self.chain) if address == self.hot else cold_reserve(self.chain)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a block moved, by what it is to the house."""

    deposits: list[Sighting]
    transfers: list[HouseTransferDocument]


async def sort_out(wallets: HouseWallets, block: EvmBlock, found: Sightings) -> Sorted:
    """Tell deposits from the house's own movements. What it cannot place is left out, and said in the log."""
    paid_out = {
        hash_
        for hash_ in {each.hash for each in found.moved} | {each.hash for each in found.fees}
        if wallets.hot is not None and await withdrawal.by_attempt(hash_) is not None
    }
    deposits, transfers = [], []
    for each in found.moved:
        is_payout = each.sender == wallets.hot and each.hash in paid_out
        if each.address in wallets.deposits and (each.sender not in wallets or is_payout):
            deposits.append(each)
        elif each.sender in wallets and each.address in wallets:
            transfers += _movement(wallets, block, each)
        elif not is_payout:
            _say_unassigned(wallets, each)
    for fee in found.fees:
        if fee.units and not (fee.payer == wallets.hot and fee.hash in paid_out):
            transfers.append(_fee(wallets, block, fee))
    return Sorted(deposits, transfers)


async def book(gateway: ExchangeGateway, row: HouseTransferDocument) -> None:
    """Let the ledger have it, once. Raises LedgerSilent."""
    await have_done(gateway, MoveHouseFunds(row.source, row.target, row.asset, int(row.units), row.key, row.digest))
    await house_transfer.booked(row)


def _movement(wallets: HouseWallets, block: EvmBlock, moved: Sighting) -> list[HouseTransferDocument]:
    giving, taking = wallets.reserve(moved.sender), wallets.reserve(moved.address)
    units = ledger_units(moved)
    if giving == taking or not units:
        return []
    return [
        HouseTransferDocument(
            id=f"{wallets.chain}:{moved.hash}:{moved.place}",
            chain=wallets.chain,
            block=block.number,
            block_hash=block.hash,
            hash=moved.hash,
            key=f"{HOUSE_KEY}sweep:{wallets.chain}:{moved.hash}:{moved.place}",
            digest=f"{taking}:{giving}:{moved.form.asset.code}:{units}",
            source=taking,
            target=giving,
            asset=moved.form.asset.code,
            units=str(units),
        )
    ]


def _fee(wallets: HouseWallets, block: EvmBlock, fee: FeePaid) -> HouseTransferDocument:
    """Under the key that a withdrawal's fee has, so that no fee is booked twice."""
    return HouseTransferDocument(
        id=f"{wallets.chain}:{fee.hash}:{FEE}",
        chain=wallets.chain,
        block=block.number,
        block_hash=block.hash,
        hash=fee.hash,
        key=f"{HOUSE_KEY}network-fee:{wallets.chain}:{fee.hash}",
        digest=fee.hash,
        source=House.NETWORK_FEES,
        target=wallets.reserve(fee.payer),
        asset=wallets.coin,
        units=str(fee.units),
    )


def _say_unassigned(wallets: HouseWallets, moved: Sighting) -> None:
    """Coins of the house went somewhere, or came from somewhere, that the ledger knows nothing of."""
    log.warning(
        "house.unassigned",
        chain=wallets.chain,
        hash=moved.hash,
        asset=moved.form.asset.code,
        units=moved.units,
        sender=moved.sender,
        recipient=moved.address,
    )
