"""Placing orders: one, several at once, and groups of them. What a client's key was used for is answered again, not done again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InvalidInput
from core.refusals import OrderRefused
from events.answers import Answer
from events.commands import PlaceBracket, PlaceOco, PlaceOrder
from events.trading import GroupState, OrderState
from services.exchange_gateway import ExchangeGateway
from services.order_reads import OrderReads
from services.order_refusals import bracket_refused, checked_key, refused, require_active
from services.order_wishes import (
    WantedBracket,
    WantedOco,
    WantedOrder,
    bracket_wishes,
    digest_of,
    oco_wishes,
    wish_of,
)
from services.read_marks import Reader, ReadMarks
from services.viewer import Viewer

MOST_AT_ONCE = 20
_KEY, _GROUP_KEY = "clientOrderId", "clientGroupId"


@dataclass(frozen=True, slots=True)
class Placed:
    """The order as it is now; None: it was placed before and cannot be read at the moment."""

    order: OrderState | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class PlacedGroup:
    """The group as it is now, as above, and those of its orders that are known already."""

    group: GroupState | None
    orders: Sequence[OrderState]
    replayed: bool


class Placing:
    """Asks the exchange to place."""

    def __init__(self, gateway: ExchangeGateway, marks: ReadMarks, reads: OrderReads) -> None:
        self._gateway = gateway
        self._marks = marks
        self._reads = reads

    async def place(self, viewer: Viewer, key: str, wanted: WantedOrder, reader: Reader) -> Placed:
        """Place one order under the client's key. Raises OrderRefused."""
        command = _order_command(viewer, key, wanted)
        return await self._placed(command, await self._gateway.ask(command), reader)

    async def place_several(
        self, viewer: Viewer, wanted: Sequence[tuple[str, WantedOrder]], reader: Reader
    ) -> list[Placed | OrderRefused]:
        """Place up to 20 orders, each by itself. They reach the exchange in this order. Raises InvalidInput."""
        if len(wanted) > MOST_AT_ONCE:
            raise InvalidInput(
                f"expected at most {MOST_AT_ONCE} orders",
                field=["input", "orders"],
                limit=MOST_AT_ONCE,
                actual=len(wanted),
            )
        commands = [_order_command_or_refusal(viewer, *each) for each in wanted]
        return list(await asyncio.gather(*(self._one_of_several(command, reader) for command in commands)))

    async def place_oco(self, viewer: Viewer, key: str, wanted: WantedOco, reader: Reader) -> PlacedGroup:
        """Place two orders of which one ends the other. Raises OrderRefused."""
        checked_key(key, _GROUP_KEY)
        require_active(viewer)
        profit, stop = oco_wishes(wanted)
        digest = digest_of("oco", (profit, stop))
        command = PlaceOco(viewer.user_id, key, digest, profit, stop, viewer.email_verified)
        answer = await self._gateway.ask(command)
        if answer.refusal is not None:
            raise refused(answer.refusal, "oco", beside=frozenset({_GROUP_KEY}))
        return await self._placed_group(command, answer, reader)

    async def place_bracket(self, viewer: Viewer, key: str, wanted: WantedBracket, reader: Reader) -> PlacedGroup:
        """Place an entry and what closes it. Raises OrderRefused."""
        checked_key(key, _GROUP_KEY)
        require_active(viewer)
        entry, exits = bracket_wishes(wanted)
        digest = digest_of("bracket", (entry, *exits))
        command = PlaceBracket(viewer.user_id, key, digest, entry, exits, viewer.email_verified)
        answer = await self._gateway.ask(command)
        if answer.refusal is not None:
            raise bracket_refused(answer.refusal, entry)
        return await self._placed_group(command, answer, reader)

    async def _one_of_several(self, command: PlaceOrder | OrderRefused, reader: Reader) -> Placed | OrderRefused:
        if isinstance(command, OrderRefused):
            return command
        try:
            return await self._placed(command, await self._gateway.ask(command), reader)
        except OrderRefused as refusal:
            return refusal

    async def _placed(self, command: PlaceOrder, answer: Answer, reader: Reader) -> Placed:
        if answer.refusal is not None:
            raise refused(answer.refusal, "order", beside=frozenset({_KEY}))
        self._marks.show(command.account, max(answer.sequence, answer.made), reader)
        known = next((state for state in answer.orders if state.id == answer.made), None)
        if known is None:
            known = await self._reads.order(command.account, answer.made, reader)
        return Placed(known, answer.replayed)

    async def _placed_group(self, command: PlaceOco | PlaceBracket, answer: Answer, reader: Reader) -> PlacedGroup:
        self._marks.show(command.account, max(answer.sequence, answer.made), reader)
        known = answer.group
        if known is None:
            known = await self._reads.group(command.account, answer.made, reader)
        return PlacedGroup(known, answer.orders, answer.replayed)


def _order_command(viewer: Viewer, key: str, wanted: WantedOrder) -> PlaceOrder:
    checked_key(key, _KEY)
    require_active(viewer)
    wish = wish_of(wanted)
    return PlaceOrder(viewer.user_id, key, digest_of("order", (wish,)), wish, viewer.email_verified)


def _order_command_or_refusal(viewer: Viewer, key: str, wanted: WantedOrder) -> PlaceOrder | OrderRefused:
    try:
        return _order_command(viewer, key, wanted)
    except OrderRefused as refusal:
        return refusal
