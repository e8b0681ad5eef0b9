"""Why a command changes nothing."""

from dataclasses import dataclass

from core.order_vocabulary import OrderErrorCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """The code, the field of the wish it is about, and what was crossed, in 10^-18, ticks or lots as `limit` says."""

    code: OrderErrorCode
    field: str = ""
    limit: int | None = None
    actual: int | None = None
