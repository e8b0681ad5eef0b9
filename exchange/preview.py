"""STANDIN"""

from dataclasses import dataclass

from exchange.refusal import Refusal


@dataclass
class Preview:
    levels: tuple[tuple[int, int], ...]
    fee: int
    hold: int
    refusal: Refusal | None


def preview(exchange: object, account: str, wish: object, now_ms: int) -> Preview:
    return Preview((), 0, 0, None)
