"""What is taken on a chain, and what a block moves of it, whatever the family of the chain."""

from collections.abc import Collection
from dataclasses import dataclass

from core.money import MAX_DIGITS
from integrations.chains.errors import ChainError, Failure, ProviderFailed
from models.asset import AssetEntry, AssetNetworkEntry

MOST_UNITS = 10**MAX_DIGITS - 1
"""More units than anybody ever had of a coin; what is told of more than that cannot be stored, and is a lie."""


@dataclass(frozen=True, slots=True)
class Form:
    """An asset as it exists on a chain."""

    asset: AssetEntry
    network: AssetNetworkEntry


@dataclass(frozen=True, slots=True)
class Sighting:
    """What moved: so many of the chain's units of this form, from one address to another, at this place of a transaction.

    The place is one that another block does not change. `sender` is empty where the chain knows none. `least` are confirmations that it needs, whatever
    its network needs otherwise.
    """

    form: Form
    sender: str
    address: str
    units: int
    hash: str
    place: str
    least: int = 0


def forms_of(assets: Collection[AssetEntry], chain: str) -> dict[str | None, Form]:
    """What can be deposited on a chain, by contract; None: its own coin."""
    return {
        network.contract: Form(asset, network)
        for asset in assets
        for network in asset.networks
        if network.chain == chain and network.deposit_enabled
    }


def ledger_units(sighting: Sighting) -> int:
    """What moved, in the ledger's units; what it cannot count is left out."""
    form = sighting.form
    units: int = sighting.units * 10**form.asset.decimals // 10**form.network.decimals
    return units


def require_possible(units: int, hash_: str) -> None:
    """Raises ProviderFailed where a node tells that a transaction moves what nobody can have: it is passed over like one that does not answer."""
    if units > MOST_UNITS:
        raise ProviderFailed(Failure.MALFORMED, f"tells of an amount in {hash_} that there cannot be")


def require_storable(sighting: Sighting) -> None:
    """Raises ChainError for an amount that cannot be stored."""
    if sighting.units > MOST_UNITS:
        raise ChainError(f"{sighting.hash} is told to move more {sighting.form.asset.code} than there can be")
