"""Trading for tests: states of orders, groups and fills, rows of them in the database, and an exchange that does what tests need of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from core.bus import Bus
from core.order_vocabulary import (
    Liquidity,
    OrderErrorCode,
    OrderEventType,
    OrderGroupKind,
    OrderGroupStatus,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)
from core.rows import Rows
from core.vocabulary import OrderSide
from events import codec
from events.answers import Answer, HouseState, PreviewOrder, PreviewState, RefusalState, TimerState
from events.commands import (
    AmendOrder,
    CancelAll,
    CancelGroup,
    CancelOrder,
    Command,
    OrderWish,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    SetCancelTimer,
)
from events.trading import AccountLogged, FillState, GroupState, LoggedFill, LoggedOrder, OrderState, trading_topic
from models.base import replace_rows, transaction
from models.client_key import UsedKey, insert_keys
from models.fill import insert_fills
from models.order import insert_orders, renew_orders
from models.order_group import renew_groups
from models.packs import AccountLogDocument, Pack, insert_packs
from models.projection import ProjectionDocument
from models.trading_account import renew_accounts

ATTO = 10**18
BTC = "BTC-USDT"
NOW_MS = 1_790_000_000_000
ORDER_ROWS, GROUP_ROWS, FILL_ROWS = Rows(OrderState), Rows(GroupState), Rows(FillState)
Code = OrderErrorCode
D = Decimal


def order_state(order_id: int, account: str = "ann", **changes: Any) -> OrderState:
    """An order to buy 2 at 100 that is open."""
    state = OrderState(
        id=order_id,
        account=account,
        client_id=f"key-{order_id}",
        symbol=BTC,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        status=OrderStatus.OPEN,
        time_in_force=TimeInForce.GTC,
        good_till_ms=None,
        quantity=D(2),
        quote_quantity=None,
        price=D(100),
        stop_price=None,
        trailing_delta=None,
        trailing_unit=None,
        activation_price=None,
        trigger_source=None,
        trigger=None,
        post_only=False,
        display_quantity=None,
        max_slippage=None,
        self_trade=SelfTradePrevention.CANCEL_NEWEST,
        filled_quantity=D(0),
        filled_quote=D(0),
        remaining_quantity=D(2),
        fee=D(0),
        fee_asset="USDT",
        group=None,
        reason=None,
        created_ms=NOW_MS + order_id,
        updated_ms=NOW_MS + order_id,
        sequence=order_id,
    )
    return replace(state, **changes)


def group_state(group_id: int, account: str = "ann", **changes: Any) -> GroupState:
    """A group of two exits."""
    state = GroupState(
        group_id, account, f"key-{group_id}", BTC, OrderGroupKind.OCO, OrderGroupStatus.ACTIVE,
        (group_id + 1, group_id + 2), NOW_MS + group_id, group_id + 2,
    )  # fmt: skip
    return replace(state, **changes)


def fill_state(fill_id: int, order: int, number: int, account: str = "ann", **changes: Any) -> FillState:
    """One of an order's fills: 0.5 at 100."""
    state = FillState(
        fill_id, number, account, order, number, BTC, OrderSide.BUY, D(100), D("0.5"), D(50), D("0.05"), "USDT",
        Liquidity.MAKER, NOW_MS + fill_id, fill_id // 2,
    )  # fmt: skip
    return replace(state, **changes)


async def store_orders(states: Sequence[OrderState], first: int = 1) -> None:
    """Rows as the projection writes them, numbered from `first`."""
    rows = [
        {**ORDER_ROWS.write(state), "_id": state.id, "number": number} for number, state in enumerate(states, first)
    ]
    await insert_orders(rows)


async def store_group(state: GroupState) -> None:
    async with transaction(ProjectionDocument) as session:
        await renew_groups([{**GROUP_ROWS.write(state), "_id": state.id}], session)


async def store_fills(states: Sequence[FillState]) -> None:
    """Rows, each order's numbered from 1."""
    counts: dict[int, int] = {}
    rows = []
    for state in states:
        counts[state.order] = counts.get(state.order, 0) + 1
        rows.append({**FILL_ROWS.write(state), "_id": state.id, "order_fill": counts[state.order]})
    await insert_fills(rows)


async def store_account(account: str = "ann", sequence: int = 1, **fields: Any) -> None:
    row = {"_id": account, "sequence": sequence, "open": [], "timers": [], "orders": 0, "fills": 0, "logged": 0}
    async with transaction(ProjectionDocument) as session:
        await renew_accounts([{**row, **fields}], session)


async def store_log(logged: AccountLogged) -> None:
    """A pack of the account's log."""
    await insert_packs(AccountLogDocument, [Pack(logged.account, logged.first, logged.last, codec.encode(logged))])


def logged(account: str, *events: LoggedOrder | LoggedFill) -> AccountLogged:
    """What a batch did: these events, in order."""
    orders = tuple(event for event in events if isinstance(event, LoggedOrder))
    fills = tuple(event for event in events if isinstance(event, LoggedFill))
    last = events[-1]
    sequence = last.order.sequence if isinstance(last, LoggedOrder) else last.fill.sequence
    return AccountLogged(account, events[0].number, last.number, orders, fills, (), sequence, NOW_MS)


def changed(number: int, state: OrderState, change: OrderEventType = OrderEventType.ACCEPTED) -> LoggedOrder:
    return LoggedOrder(number, change, state, None, None)


@dataclass
class Asked:
    """A gateway that keeps what it is asked and answers as it is told."""

    answer: Callable[[Command], Answer] = lambda command: Answer()
    shown: PreviewState | None = None
    commands: list[Command] = field(default_factory=list)
    previews: list[PreviewOrder] = field(default_factory=list)

    async def ask(self, command: Command) -> Answer:
        self.commands.append(command)
        return self.answer(command)

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        self.previews.append(wish)
        return self.shown

    async def house(self) -> HouseState | None:
        return None


def refusing(code: OrderErrorCode, field: str = "", **more: Any) -> Callable[[Command], Answer]:
    return lambda command: Answer(RefusalState(code, field, **more))


class SmallExchange:
    """Keeps orders, matches nothing, and writes what it did into the documents at once. It knows an order by its id and its key."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._sequence = 1000
        self._orders: dict[int, OrderState] = {}
        self._groups: dict[int, GroupState] = {}
        self._keys: dict[tuple[str, str], tuple[str, int]] = {}
        self._numbers: dict[str, list[int]] = {}
        self._logged: dict[str, int] = {}

    async def ask(self, command: Command) -> Answer:
        if isinstance(command, PlaceOrder | PlaceOco | PlaceBracket):
            return await self._place(command)
        if isinstance(command, CancelOrder | AmendOrder):
            return await self._change(command)
        if isinstance(command, CancelGroup):
            return await self._cancel_group(command)
        if isinstance(command, CancelAll):
            mine = [
                state
                for state in self._orders.values()
                if state.account == command.account
                and is_open(state)
                and (not command.symbols or state.symbol in command.symbols)
            ]
            return await self._end(command.account, mine)
        if isinstance(command, SetCancelTimer):
            if set(command.symbols) - {BTC}:
                return Answer(RefusalState(Code.UNKNOWN_MARKET, "symbols"))
            expires = NOW_MS + command.timeout_ms
            timer = TimerState(command.owner, command.symbols, expires) if command.timeout_ms else None
            return Answer(timer=timer, sequence=self._sequence)
        return Answer(sequence=self._sequence)

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        quantity = None if wish.wish.quantity is None else D(wish.wish.quantity) / ATTO
        return PreviewState(((D(100), D(1)), (D(101), D(1))), quantity, D("100.5"), D(101), D("0.005"), D("0.2"), "USDT", D("201.2"), None)  # fmt: skip

    async def house(self) -> HouseState | None:
        return None

    async def _place(self, command: PlaceOrder | PlaceOco | PlaceBracket) -> Answer:
        key = (command.account, command.client_id)
        if key in self._keys:
            digest, made = self._keys[key]
            if digest != command.digest:
                name = "clientOrderId" if isinstance(command, PlaceOrder) else "clientGroupId"
                return Answer(RefusalState(Code.IDEMPOTENCY_MISMATCH, name))
            return Answer(made=made, replayed=True)
        wishes = wishes_of(command)
        if any(wish.symbol != BTC for wish in wishes):
            return Answer(RefusalState(Code.UNKNOWN_MARKET, "symbol"))
        if (malformed := next((wish.malformed for wish in wishes if wish.malformed), None)) is not None:
            return Answer(RefusalState(Code.MALFORMED_NUMBER, malformed))
        made = self._next()
        self._keys[key] = (command.digest, made)
        await insert_keys([UsedKey(*key, command.digest, made)])
        if isinstance(command, PlaceOrder):
            states = [wished(command.account, made, command.client_id, command.wish)]
            return Answer(made=made, orders=tuple(states), sequence=await self._write(command.account, states))
        states = [
            wished(command.account, self._next(), f"{command.client_id}/{place}", wish, group=made)
            for place, wish in enumerate(wishes)
        ]
        kind = OrderGroupKind.OCO if isinstance(command, PlaceOco) else OrderGroupKind.BRACKET
        group = group_state(
            made, command.account, client_id=command.client_id, kind=kind, orders=tuple(each.id for each in states)
        )
        self._groups[made] = group
        await store_group(group)
        sequence = await self._write(command.account, states)
        return Answer(made=made, orders=tuple(states), group=group, sequence=sequence)

    async def _change(self, command: CancelOrder | AmendOrder) -> Answer:
        order_id = command.order or self._keys.get((command.account, command.client_id), ("", 0))[1]
        state = self._orders.get(order_id)
        if state is None or state.account != command.account or not is_open(state):
            return Answer(RefusalState(Code.UNKNOWN_ORDER, "by"))
        if isinstance(command, CancelOrder):
            return await self._end(command.account, [state], made=state.id)
        price = state.price if command.price is None else D(command.price) / ATTO
        new = replace(state, price=price, sequence=self._next())
        sequence = await self._write(command.account, [new], OrderEventType.AMENDED)
        return Answer(made=new.id, orders=(new,), sequence=sequence)

    async def _cancel_group(self, command: CancelGroup) -> Answer:
        group_id = command.group or self._keys.get((command.account, command.client_id), ("", 0))[1]
        group = self._groups.get(group_id)
        if group is None or group.account != command.account:
            return Answer(RefusalState(Code.UNKNOWN_ORDER, "by"))
        answer = await self._end(command.account, [self._orders[each] for each in group.orders], made=group.id)
        ended = replace(group, status=OrderGroupStatus.CANCELED, sequence=answer.sequence)
        self._groups[group_id] = ended
        await store_group(ended)
        return replace(answer, group=ended)

    async def _end(self, account: str, states: Sequence[OrderState], made: int = 0) -> Answer:
        ended = [
            replace(state, status=OrderStatus.CANCELED, reason=Code.CANCELED_BY_USER, sequence=self._next())
            for state in states
        ]
        sequence = await self._write(account, ended, OrderEventType.CANCELED) if ended else self._sequence
        return Answer(made=made, orders=tuple(ended), sequence=sequence)

    async def _write(
        self, account: str, states: Sequence[OrderState], change: OrderEventType = OrderEventType.ACCEPTED
    ) -> int:
        """Be journal and projection at once."""
        numbers = self._numbers.setdefault(account, [])
        events = []
        for state in states:
            self._orders[state.id] = state
            if state.id not in numbers:
                numbers.append(state.id)
            self._logged[account] = self._logged.get(account, 0) + 1
            events.append(changed(self._logged[account], state, change))
            row = {**ORDER_ROWS.write(state), "_id": state.id, "number": numbers.index(state.id) + 1}
            async with transaction(ProjectionDocument) as session:
                await renew_orders([row], session)
        open_ids = [each for each in numbers if is_open(self._orders[each])]
        await store_account(account, self._sequence, open=open_ids, orders=len(numbers), logged=self._logged[account])
        happened = logged(account, *events)
        await store_log(happened)
        mark = {"_id": "exchange", "batch": self._sequence, "sequence": self._sequence, "time_ms": NOW_MS}
        await replace_rows(ProjectionDocument, [mark])
        self._bus.publish(trading_topic(account), happened)
        return self._sequence

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def is_open(state: OrderState) -> bool:
    return state.status in (OrderStatus.OPEN, OrderStatus.TRIGGER_PENDING)


def wishes_of(command: PlaceOrder | PlaceOco | PlaceBracket) -> list[OrderWish]:
    if isinstance(command, PlaceOrder):
        return [command.wish]
    return [command.profit, command.stop] if isinstance(command, PlaceOco) else [command.entry, *command.exits]


def wished(account: str, order_id: int, key: str, wish: OrderWish, *, group: int | None = None) -> OrderState:
    """An order as it was wished for, open."""

    def decimal(number: int | None) -> Decimal | None:
        return None if number is None else D(number) / ATTO

    return order_state(
        order_id,
        account,
        client_id=key,
        symbol=wish.symbol,
        side=wish.side,
        type=wish.type,
        quantity=decimal(wish.quantity),
        remaining_quantity=decimal(wish.quantity),
        price=decimal(wish.price),
        stop_price=decimal(wish.stop_price),
        group=group,
    )
