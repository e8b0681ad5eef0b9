"""STANDIN"""

from decimal import Decimal

Volumes = dict[str, dict[str, Decimal]]


def add_volume(volumes: Volumes, asset: str, quantity: Decimal, time_ms: int) -> None:
    """x"""
    day = str(time_ms // 86_400_000)
    sums = volumes.setdefault(day, {})
    sums[asset] = sums.get(asset, Decimal(0)) + quantity
