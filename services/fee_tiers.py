"""What trading costs: the more an account traded within 30 days, the less. Worked out beside the exchange, which is told of every change.

| 30-day volume, USD | maker | taker |
|---|---|---|
| 0 | 0.10 % | 0.15 % |
| 50,000 | 0.08 % | 0.12 % |
| 250,000 | 0.06 % | 0.10 % |
| 1,000,000 | 0.04 % | 0.08 % |
| 10,000,000 | 0.02 % | 0.06 % |
| 50,000,000 | 0 % | 0.04 % |

The projection adds up what fills were worth, by day (UTC) and quote asset; what that is in USD is worked out when it is read, at the
rate of that moment, dollar stablecoins counting as dollars. An account that never had enough for a better tier pays what its markets say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.clock import Clock
from core.money import to_storage
from core.vocabulary import AssetKind
from events.commands import SetFeeTier
from events.funds import TierState
from models import trading_account
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.trading_accounts import TradingAccount, Volumes, read_row
from services.valuation import Valuation

DAYS = 30
"""Today and the 29 days before it count."""
VOLUME_ASSET = "USD"
_DAY_MS = 86_400_000
_MILLION = Decimal(1_000_000)
UnitVolumes = dict[int, dict[str, int]]
"""Units of each quote asset by day since the epoch."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Fees in millionths, from this volume in USD on."""

    number: int
    from_volume: Decimal
    maker_ppm: int
    taker_ppm: int


TIERS = tuple(
    Tier(number, Decimal(volume), maker_ppm, taker_ppm)
    for number, (volume, maker_ppm, taker_ppm) in enumerate(
        (
            (0, 1000, 1500),
            (50_000, 800, 1200),
            (250_000, 600, 1000),
            (1_000_000, 400, 800),
            (10_000_000, 200, 600),
            (50_000_000, 0, 400),
        )
    )
)


def add_volume(volumes: UnitVolumes, *, time_ms: int, quote: str, quote_units: int) -> None:
    """Count a fill, and forget the days that count no more."""
    today = time_ms // _DAY_MS
    by_asset = volumes.setdefault(today, {})
    by_asset[quote] = by_asset.get(quote, 0) + quote_units
    for day in [day for day in volumes if day <= today - DAYS]:
        del volumes[day]


def volume_rows(volumes: UnitVolumes, scales: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """As they are stored: whole assets as Decimal128. `scales`: the digits of each asset's units."""
    return {
        str(day): {asset: to_storage(Decimal(units).scaleb(-scales[asset])) for asset, units in by_asset.items()}
        for day, by_asset in volumes.items()
    }


def volumes_of_rows(rows: Mapping[str, Mapping[str, Any]], scales: Mapping[str, int]) -> UnitVolumes:
    """Volumes as they were stored."""
    return {
        int(day): {asset: int(stored.to_decimal().scaleb(scales[asset])) for asset, stored in by_asset.items()}
        for day, by_asset in rows.items()
    }


def volume_30d(volumes: Volumes, now_ms: int, value: Callable[[str, Decimal], Decimal | None]) -> Decimal | None:
    """What was traded in the window; None when a part of it cannot be valued now."""
    total = Decimal(0)
    for day, by_asset in volumes.items():
        if not 0 <= now_ms // _DAY_MS - day < DAYS:
            continue
        for asset, amount in by_asset.items():
            worth = value(asset, amount)
            if worth is None:
                return None
            total += worth
    return total


def tier_of(volume: Decimal) -> Tier:
    """The tier of a 30-day volume in USD."""
    return max((tier for tier in TIERS if volume >= tier.from_volume), key=lambda tier: tier.number)


class FeeTiers:
    """One per process."""

    def __init__(self, gateway: ExchangeGateway, valuation: Valuation, catalogue: Catalogue, clock: Clock) -> None:
        self._gateway = gateway
        self._valuation = valuation
        self._catalogue = catalogue
        self._clock = clock

    def state(self, account: TradingAccount) -> TierState | None:
        """Where an account stands; None when its volume cannot be valued now."""
        volume = self._volume(account)
        if volume is None:
            return None
        tier = tier_of(volume)
        return TierState(
            account=account.account,
            number=tier.number,
            maker=tier.maker_ppm / _MILLION,
            taker=tier.taker_ppm / _MILLION,
            volume=volume,
            volume_asset=VOLUME_ASSET,
            next_at=TIERS[tier.number + 1].from_volume if tier.number + 1 < len(TIERS) else None,
        )

    async def assign(self, account_id: str) -> bool:
        """Give an account the fees of its tier; whether they changed. Nothing happens while its volume cannot be valued."""
        account = read_row(account_id, await trading_account.by_id(account_id))
        volume = self._volume(account)
        if volume is None:
            return False
        tier = tier_of(volume)
        fees = (account.maker_ppm, account.taker_ppm)
        if fees == (tier.maker_ppm, tier.taker_ppm) or (fees == (None, None) and tier is TIERS[0]):
            return False
        answer = await self._gateway.ask(SetFeeTier(account_id, tier.maker_ppm, tier.taker_ppm))
        return answer.refusal is None

    def _volume(self, account: TradingAccount) -> Decimal | None:
        return volume_30d(account.volumes, self._clock.now_ms(), self._in_dollars)

    def _in_dollars(self, asset: str, amount: Decimal) -> Decimal | None:
        if asset == VOLUME_ASSET or self._catalogue.asset(asset).kind is AssetKind.STABLECOIN:
            return amount
        return self._valuation.value(asset, amount, VOLUME_ASSET)
