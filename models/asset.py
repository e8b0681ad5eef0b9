"""Assets: what can be owned, priced and moved."""

from collections.abc import Sequence

from beanie import Document
from pydantic import BaseModel

from core.money import StoredDecimal
from core.vocabulary import AssetKind
from models.base import replace_many


class StoredAssetNetwork(BaseModel):
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


class AssetDocument(Document):
    """One asset; the id is its code, `decimals` its ledger scale."""

    id: str  # type: ignore[assignment]
    name: str
    decimals: int
    kind: AssetKind
    networks: list[StoredAssetNetwork] = []

    class Settings:
        """A small collection, read whole into memory at start."""

        name = "assets"


async def all_assets() -> list[AssetDocument]:
    """Every asset, in no order."""
    return await AssetDocument.find_all().to_list()


async def replace_assets(assets: Sequence[AssetDocument]) -> None:
    """Write these assets over what was stored under their codes."""
    await replace_many(AssetDocument, assets)
