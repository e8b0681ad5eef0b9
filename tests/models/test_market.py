from decimal import Decimal

from core.database import Database
from core.vocabulary import AssetKind
from models.asset import AssetEntry, AssetNetworkEntry, all_assets, replace_assets


async def test_assets_are_kept_to_the_last_digit(database: Database) -> None:
    asset = AssetEntry(
        code="ETH",
        name="Ether",
        decimals=18,
        kind=AssetKind.NATIVE,
        networks=(
            AssetNetworkEntry(
                chain="ethereum",
                decimals=18,
                confirmations_required=12,
                deposit_enabled=True,
                min_deposit=Decimal("0.000000000000000001"),
                withdrawal_enabled=True,
            ),
        ),
    )
    await replace_assets([asset])
    await replace_assets([asset])
    assert await all_assets() == [asset]
