"""Changing and ending orders. What the exchange no longer knows by the name it was given is looked up before it is called unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.order_vocabulary import OrderErrorCode, OrderGroupStatus
from core.refusals import OrderRefused
from core.vocabulary import OrderSide
from events.answers import Answer
from events.commands import AmendOrder, CancelAll, CancelGroup, CancelOrder
from events.trading import GroupState, OrderState
from services.exchange_gateway import ExchangeGateway
from services.order_pages import OPEN
from services.order_reads import OrderReads
from services.order_refusals import refused, require_active
from services.order_wishes import Number, Reading
from services.read_marks import Reader, ReadMarks
from services.viewer import Viewer

Code = OrderErrorCode


@dataclass(frozen=True, slots=True)
class Ref:
    """An order or a group of the account: by its id, or, where that is 0, by the client's key."""

    id: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to change of an order; None: stays as it is."""

    quantity: Number = None
    price: Number = None
    stop_price: Number = None
    trailing_delta: Number = None
    display_quantity: Number = None
    good_till_ms: int | None = None
    expected_sequence: int | None = None


class OrderChanges:
    """Asks the exchange to change and to end."""

    def __init__(self, gateway: ExchangeGateway, marks: ReadMarks, reads: OrderReads) -> None:
        self._gateway = gateway
        self._marks = marks
        self._reads = reads

    async def amend(self, viewer: Viewer, ref: Ref, amendment: Amendment, reader: Reader) -> OrderState | None:
        """Change an open order. None: it was, and cannot be read at the moment. Raises OrderRefused."""
        require_active(viewer)
        account = viewer.user_id
        read = Reading()
        command = AmendOrder(
            account,
            ref.id,
            ref.key,
            quantity=read.atto("quantity", amendment.quantity),
            price=read.atto("price", amendment.price),
            stop_price=read.atto("stopPrice", amendment.stop_price),
            display_quantity=read.atto("displayQuantity", amendment.display_quantity),
            good_till_ms=amendment.good_till_ms,
            expected_sequence=amendment.expected_sequence,
        )
        if amendment.trailing_delta is not None:
            order = await self._find(account, ref, reader)
            unit = None if order is None else order.trailing_unit
            command = command._replace(trail=read.trail("trailingDelta", amendment.trailing_delta, unit))
        if read.malformed is not None:
            raise OrderRefused(Code.MALFORMED_NUMBER, field=[read.malformed])
        return await self._changed(account, ref, command, reader)

    async def cancel(self, viewer: Viewer, ref: Ref, reader: Reader) -> OrderState | None:
        """End an order. None: it was, and cannot be read at the moment. Raises OrderRefused."""
        command = CancelOrder(viewer.user_id, ref.id, ref.key)
        return await self._changed(viewer.user_id, ref, command, reader)

    async def cancel_group(
        self, viewer: Viewer, ref: Ref, reader: Reader
    ) -> tuple[GroupState | None, Sequence[OrderState]]:
        """End all orders of a group; the group, if it can be read, and those that ended. Raises OrderRefused."""
        account = viewer.user_id
        answer = await self._gateway.ask(CancelGroup(account, ref.id, ref.key))
        if _is_unknown(answer):
            group = await self._find_group(account, ref, reader)
            if group is not None and group.status not in (OrderGroupStatus.PENDING, OrderGroupStatus.ACTIVE):
                raise OrderRefused(Code.ORDER_NOT_OPEN, field=["by"])
            if group is not None and not ref.id:
                answer = await self._gateway.ask(CancelGroup(account, group.id))
        if answer.refusal is not None:
            raise refused(answer.refusal)
        self._marks.show(account, answer.sequence, reader)
        state = answer.group or await self._reads.group(account, answer.made, reader)
        return state, answer.orders

    async def cancel_all(
        self, viewer: Viewer, symbols: Sequence[str], sides: Sequence[OrderSide], reader: Reader
    ) -> Sequence[OrderState]:
        """End all orders, in these markets and of these sides where any are named; those that ended. Raises OrderRefused."""
        command = CancelAll(viewer.user_id, tuple(dict.fromkeys(symbols)), tuple(dict.fromkeys(sides)))
        answer = await self._gateway.ask(command)
        if answer.refusal is not None:
            raise refused(answer.refusal)
        self._marks.show(viewer.user_id, answer.sequence, reader)
        return answer.orders

    async def _changed(
        self, account: str, ref: Ref, command: AmendOrder | CancelOrder, reader: Reader
    ) -> OrderState | None:
        answer = await self._gateway.ask(command)
        if _is_unknown(answer):
            order = await self._find(account, ref, reader)
            if order is not None and order.status not in OPEN:
                raise OrderRefused(Code.ORDER_NOT_OPEN, field=["by"])
            if (
                order is not None and not ref.id
            ):  # the exchange has forgotten the key, which is older than the order's last change
                answer = await self._gateway.ask(command._replace(order=order.id, client_id=""))
        if answer.refusal is not None:
            raise refused(answer.refusal)
        self._marks.show(account, answer.sequence, reader)
        known = next((state for state in answer.orders if state.id == answer.made), None)
        return known or await self._reads.order(account, answer.made, reader)

    async def _find(self, account: str, ref: Ref, reader: Reader) -> OrderState | None:
        order_id = ref.id or await self._made_by(account, ref.key, reader)
        return await self._reads.order(account, order_id, reader) if order_id else None

    async def _find_group(self, account: str, ref: Ref, reader: Reader) -> GroupState | None:
        group_id = ref.id or await self._made_by(account, ref.key, reader)
        return await self._reads.group(account, group_id, reader) if group_id else None

    async def _made_by(self, account: str, key: str, reader: Reader) -> int:
        used = await self._reads.made_by(account, key, reader)
        return 0 if used is None else used[1]


def _is_unknown(answer: Answer) -> bool:
    return answer.refusal is not None and answer.refusal.code is Code.UNKNOWN_ORDER
