"""What the exchange refuses, as clients are told: with the path of the input field, and in their language."""

import re
from collections.abc import Mapping
from decimal import Decimal

from core.account_vocabulary import UserStatus
from core.order_texts import NOT_AMOUNTS
from core.order_vocabulary import OrderErrorCode, OrderType
from core.refusals import OrderRefused
from events.answers import RefusalState
from events.commands import OrderWish
from services.viewer import Viewer

Code = OrderErrorCode
_KEY = re.compile(r"[ -~]{1,64}", re.ASCII)
_OF_EXITS = frozenset({"takeProfitPrice", "stopLimitPrice"})
_SHARED = frozenset({"stopPrice", "trailingDelta"})
_ATTO = Decimal(10) ** 18


def refused(refusal: RefusalState, *above: str, beside: frozenset[str] = frozenset()) -> OrderRefused:
    """The refusal of a command whose terms stand at the path `above` of the input; fields named in `beside` stand next to it."""
    path = [] if not refusal.field else [refusal.field] if refusal.field in beside else [*above, refusal.field]
    counts = refusal.code not in NOT_AMOUNTS
    return OrderRefused(
        refusal.code,
        field=path,
        limit=refusal.limit if counts else None,
        actual=refusal.actual if counts else None,
    )


def bracket_refused(refusal: RefusalState, entry: OrderWish) -> OrderRefused:
    """The refusal of a bracket: its entry and its exits have fields of the same names."""
    field = refusal.field
    of_exits = field in _OF_EXITS or (field in _SHARED and not _is_of_entry(refusal, entry))
    above = ("bracket",) if of_exits else ("bracket", "entry")
    return refused(refusal, *above, beside=frozenset({"clientGroupId"}))


def _is_of_entry(refusal: RefusalState, entry: OrderWish) -> bool:
    """Whether a stop that was refused is the entry's own, which is judged first."""
    if refusal.code is Code.PRICE_REQUIRED:
        return entry.type not in (OrderType.MARKET, OrderType.LIMIT)
    own: Mapping[str, int | None] = {"stopPrice": entry.stop_price, "trailingDelta": entry.trail}
    number = own[refusal.field]
    if entry.malformed == refusal.field:
        return True
    return number is not None and (refusal.actual is None or refusal.actual * _ATTO == number)


def is_client_key(key: str) -> bool:
    """Whether a client may use this as a key."""
    return _KEY.fullmatch(key) is not None


def checked_key(key: str, *field: str) -> str:
    """A client's key. Raises OrderRefused."""
    if not is_client_key(key):
        raise OrderRefused(Code.INVALID_INPUT, field=field)
    return key


def require_active(viewer: Viewer) -> None:
    """Nothing of a frozen account is placed, even before the exchange has heard of the freeze. Raises OrderRefused."""
    if viewer.status is not UserStatus.ACTIVE:
        raise OrderRefused(Code.ACCOUNT_FROZEN)
