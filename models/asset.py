"""Assets: what can be owned, priced and moved."""

from collections.abc import Sequence

from beanie import Document
from pydantic import BaseModel

from core.money import StoredDecimal
from core.vocabulary import AssetKind
from models.base import replace_many


class AssetNetworkEntry(BaseModel, frozen=True):
    """An asset's form on one chain. Amounts in whole units of the asset."""

    chain: str
    contract: str | None = None
    decimals: int
    confirmations_required: int
    deposit_enabled: bool
    min_deposit: StoredDecimal | None = None
    withdrawal_enabled: bool
    min_withdrawal: StoredDecimal | None = None
    withdrawal_fee: StoredDecimal | None = None


class AssetEntry(BaseModel, frozen=True):
    """One asset; `decimals` is its ledger scale."""

    code: str
    name: str
    decimals: int
    kind: AssetKind
    networks: tuple[AssetNetworkEntry, ...] = ()


class AssetDocument(Document):
    """One asset under its code. A small collection, read whole into memory at start."""

    id: str  # type: ignore[assignment]
    asset: AssetEntry

    class Settings:
        """Where it is kept."""

        name = "assets"


async def all_assets() -> list[AssetEntry]:
    """Every asset, in no order."""
    return [document.asset for document in await AssetDocument.find_all().to_list()]


async def replace_assets(assets: Sequence[AssetEntry]) -> None:
    """Write these assets over what was stored under their codes."""
    await replace_many(AssetDocument, [AssetDocument(id=asset.code, asset=asset) for asset in assets])
