"""What orders would do now, without placing them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from core.account_vocabulary import UserStatus
from core.order_vocabulary import OrderErrorCode
from core.refusals import OrderRefused
from core.vocabulary import OrderSide
from events.answers import PreviewOrder, PreviewState, RefusalState
from events.commands import OrderWish
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.order_refusals import bracket_refused, refused
from services.order_wishes import WantedBracket, WantedOco, WantedOrder, bracket_wishes, oco_wishes, wish_of
from services.viewer import Viewer

Code = OrderErrorCode
_ATTO_DIGITS = 18
_NOT_OF_EXITS = frozenset({Code.INSUFFICIENT_FUNDS, Code.STOP_WOULD_TRIGGER})
"""An exit is paid with what its entry fills, and judged by prices only then."""
_NOTHING = PreviewState((), None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do, and why it would be refused."""

    symbol: str
    side: OrderSide
    state: PreviewState
    refusal: OrderRefused | None


class OrderPreviews:
    """Asks the exchange."""

    def __init__(self, gateway: ExchangeGateway, catalogue: Catalogue) -> None:
        self._gateway = gateway
        self._catalogue = catalogue

    async def of_order(self, viewer: Viewer, wanted: WantedOrder) -> list[Preview]:
        """Of one order. Raises UnknownMarket."""
        self._catalogue.market(wanted.symbol, field=["input", "order", "symbol"])
        wish = wish_of(wanted)
        state = await self._state(viewer, wish)
        return [_preview(wish, state, None if state.refusal is None else refused(state.refusal, "order"))]

    async def of_oco(self, viewer: Viewer, wanted: WantedOco) -> list[Preview]:
        """Of the limit order and of the stop. Raises UnknownMarket."""
        self._catalogue.market(wanted.symbol, field=["input", "oco", "symbol"])
        wishes = oco_wishes(wanted)
        states = await self._states(viewer, wishes)
        return [
            _preview(wish, state, None if state.refusal is None else refused(_named(state.refusal, wish), "oco"))
            for wish, state in zip(wishes, states, strict=True)
        ]

    async def of_bracket(self, viewer: Viewer, wanted: WantedBracket) -> list[Preview]:
        """Of the entry, then of its exits as if it had filled. Raises UnknownMarket."""
        self._catalogue.market(wanted.entry.symbol, field=["input", "bracket", "entry", "symbol"])
        entry, exits = bracket_wishes(wanted)
        first = await self._state(viewer, entry)
        quantity = entry.quantity or _atto(first.quantity)
        wishes = [wish._replace(quantity=quantity) for wish in exits]
        states = await self._states(viewer, wishes) if quantity else [_NOTHING for _ in wishes]
        found = [_preview(entry, first, None if first.refusal is None else bracket_refused(first.refusal, entry))]
        for wish, state in zip(wishes, states, strict=True):
            refusal = state.refusal
            if refusal is not None and refusal.code in _NOT_OF_EXITS:
                refusal = None
            told = None if refusal is None else refused(_named(refusal, wish), "bracket")
            found.append(_preview(wish, state, told))
        return found

    async def _states(self, viewer: Viewer, wishes: Sequence[OrderWish]) -> list[PreviewState]:
        return list(await asyncio.gather(*(self._state(viewer, wish) for wish in wishes)))

    async def _state(self, viewer: Viewer, wish: OrderWish) -> PreviewState:
        if viewer.status is not UserStatus.ACTIVE:
            return replace(_NOTHING, refusal=RefusalState(Code.ACCOUNT_FROZEN))
        state = await self._gateway.preview(PreviewOrder(viewer.user_id, wish, viewer.email_verified))
        return state or replace(_NOTHING, refusal=RefusalState(Code.EXCHANGE_UNAVAILABLE))


def _preview(wish: OrderWish, state: PreviewState, refusal: OrderRefused | None) -> Preview:
    return Preview(wish.symbol, wish.side, state, refusal)


def _named(refusal: RefusalState, wish: OrderWish) -> RefusalState:
    """The refusal of one order of a group, with its fields named as the group's input names them."""
    if refusal.field != "price":
        return refusal
    return replace(refusal, field="takeProfitPrice" if wish.stop_price is None else "stopLimitPrice")


def _atto(number: Decimal | None) -> int | None:
    return None if number is None else int(number.scaleb(_ATTO_DIGITS))
