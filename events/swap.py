"""Swaps that change."""

from dataclasses import dataclass

from core.wallet_vocabulary import SwapStatus


@dataclass(frozen=True, slots=True)
class SwapChanged:
    """A swap as it is now. `source` and `destination` are hashes; `version` rises with every change, also with those that nobody sees."""

    id: str
    version: int
    status: SwapStatus
    source: str | None
    destination: str | None


def swap_topic(swap_id: str) -> str:
    """Where the changes of one swap are published."""
    return f"swaps.{swap_id}"
