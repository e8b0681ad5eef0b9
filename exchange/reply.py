"""What became of a command."""

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.order import Order
from exchange.refusal import Refusal


@dataclass(slots=True)
class Reply:
    """What a command did. `order` is as it stood when the command ended, also one that stays as it was because its
    amendment is refused; `made` is the sequence a used key led to."""

    refusal: Refusal | None = None
    order: Order | None = None
    made: int = 0
    replayed: bool = False
    ended: Sequence[Order] = ()
