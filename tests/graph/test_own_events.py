"""Private subscriptions of one account: who shares what an event becomes, and that it is what everybody would have had alone."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLNamedType,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    parse,
)
from graphql.execution.values import VariableValues

from core.clock import to_datetime
from core.database import Database
from core.order_vocabulary import OrderErrorCode, OrderStatus
from core.wallet_vocabulary import DepositStatus, WithdrawalStatus
from events.trading import BalanceState, OrderState, trading_topic
from events.transfer import DepositState, WithdrawalState, WithdrawalStep
from graph.compile import CompiledOperation, Outcome, compiled
from graph.compiled.fields import is_known_at_once
from graph.own_events import SAME_BY, AccountContext, OwnEvents
from graph.public import PrivateDataTouched
from graph.request import ALL_OPERATIONS, Answer, GraphQLRequest
from graph.schema import build_schema
from graph.types.account_event import BalanceChanged, DepositChanged, OrderChanged, WithdrawalChanged
from graph.types.account_event import FillReceived as FillHappened
from graph.types.balance import Balance
from graph.types.deposit import Deposit
from graph.types.order import Fill, Order
from graph.types.withdrawal import Withdrawal
from services import catalogue
from tests.accounts import CLIENT, Person, World, world
from tests.server.realtime.transports import TRANSPORTS, stream
from tests.server.serving import served
from tests.trading import changed, fill_state, logged, order_state, store_account, store_orders

pytestmark = pytest.mark.usefixtures("documents_stay_behind")
SCHEMA = build_schema()
ORDERS = "subscription($symbols: [String!], $priced: Boolean = true) { orderUpdated(symbols: $symbols) { id status price @include(if: $priced) reason { message } } }"


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def ann(here: World) -> Person:
    return await at_desk(here, "ann@example.com")


async def at_desk(here: World, address: str) -> Person:
    """Somebody who has one order open."""
    person = await here.signed_up(address)
    await store_orders([open_order(person)])
    await store_account(person.user_id, open=[open_order(person).id], orders=1)
    return person


def open_order(person: Person) -> OrderState:
    return order_state(sum(person.user_id.encode()), account=person.user_id)


class Executed:
    """How often an event was executed, for one and for all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        for name in ("execute", "shared_event"):
            monkeypatch.setattr(CompiledOperation, name, self._counted(name, getattr(CompiledOperation, name)))

    def _counted(self, name: str, method: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            self.counts[name] += 1
            return method(*given, **named)

        return call

    def take(self) -> dict[str, int]:
        """Those since this was asked last."""
        counts, self.counts = dict(self.counts), Counter()
        return counts


class Room:
    """Followers of one process."""

    def __init__(self, here: World) -> None:
        self._here = here
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Room":
        return self

    async def __aexit__(self, *_failed: object) -> None:
        await self._stack.aclose()
        assert self.shared == 0

    async def follow(
        self, who: Person, query: str = ORDERS, locale: str = "en", **variables: Any
    ) -> AsyncGenerator[Answer, None]:
        """A follower that has been told of its one open order."""
        caller = self._here.caller(who, client=replace(CLIENT, locale=locale))
        request = GraphQLRequest(query, variables=variables)
        started = await self._here.pipeline.start(request, caller, allowed=ALL_OPERATIONS, encoded=True)
        answers = started.answers()
        await self._stack.enter_async_context(aclosing(answers))
        assert (await told(answers))["status"] == "OPEN"
        return answers

    def tell(self, who: Person, number: int, *states: OrderState) -> None:
        events = [changed(number + place, each) for place, each in enumerate(states)]
        self._here.bus.publish(trading_topic(who.user_id), logged(who.user_id, *events))

    @property
    def shared(self) -> int:
        own = self._here.pipeline._own
        assert own is not None
        return len(own)


async def told(answers: AsyncGenerator[Answer, None]) -> dict[str, Any]:
    """What the next event is, as a client reads it."""
    body = orjson.loads(orjson.dumps((await anext(answers)).body))
    order: dict[str, Any] = body["data"]["orderUpdated"]
    return order


def states(who: Person, *sequences: int) -> list[OrderState]:
    return [order_state(each, account=who.user_id, sequence=each) for each in sequences]


async def test_an_event_is_executed_once_for_all_of_an_account(
    here: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = Executed(monkeypatch)
    async with Room(here) as room:
        followers = [await room.follow(ann) for _ in range(3)]
        executed.take()
        room.tell(ann, 1, *states(ann, 11, 12, 13))
        heard = [[await told(each) for _ in range(3)] for each in followers]
        assert executed.take() == {"shared_event": 3}
        assert heard[0] == heard[1] == heard[2]
        assert [each["price"] for each in heard[0]] == ["100", "100", "100"]
        assert len({each["id"] for each in heard[0]}) == 3
        for gone in followers[1:]:
            await gone.aclose()
        room.tell(ann, 4, *states(ann, 14))
        await told(followers[0])
        assert executed.take() == {"execute": 1}


async def test_an_event_is_executed_once_over_all_transports_together(
    here: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed, token = Executed(monkeypatch), {"authorization": f"Bearer {ann.access}"}
    async with served(pipeline=here.pipeline, authority=here.accounts.authority) as server, AsyncExitStack() as stack:
        followers = [
            await stack.enter_async_context(stream(server, transport, ORDERS, token))
            for transport in (*TRANSPORTS, *TRANSPORTS)
        ]
        assert [(await each.next())["data"]["orderUpdated"]["status"] for each in followers] == ["OPEN"] * 6
        executed.take()
        here.bus.publish(trading_topic(ann.user_id), logged(ann.user_id, changed(1, states(ann, 11)[0])))
        first, *others = [(await each.next())["data"] for each in followers]
        assert first["orderUpdated"]["price"] == "100"
        assert others == [first] * 5
        assert executed.take() == {"shared_event": 1}


async def test_who_asks_something_else_or_is_somebody_else_shares_nothing(here: World, ann: Person) -> None:
    ben = await at_desk(here, "ben@example.com")
    async with Room(here) as room:
        one = await room.follow(ann)
        others = [
            await room.follow(ben),
            await room.follow(ann, locale="de"),
            await room.follow(ann, priced=False),
            await room.follow(ann, ORDERS.replace(" price ", " quantity ")),
        ]
        assert room.shared == 5
        await room.follow(ann, symbols=["BTC-USDT"])
        assert room.shared == 5
        state = replace(states(ann, 11)[0], status=OrderStatus.CANCELED, reason=OrderErrorCode.CANCELED_BY_USER)
        room.tell(ann, 1, state)
        room.tell(ben, 1, replace(state, account=ben.user_id))
        heard = [await told(each) for each in (one, *others)]
        assert heard[0] == heard[1]
        assert heard[0]["reason"] != heard[2]["reason"]
        assert "price" not in heard[3]
        assert "quantity" in heard[4]


async def test_a_filter_is_no_reason_to_execute_twice(
    here: World, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = Executed(monkeypatch)
    async with Room(here) as room:
        whole, some = await room.follow(ann), await room.follow(ann, symbols=["BTC-USDT"])
        executed.take()
        ether, bitcoin = states(ann, 11, 12)
        room.tell(ann, 1, replace(ether, symbol="ETH-USDT"), bitcoin)
        heard = [await told(whole) for _ in range(2)]
        assert await told(some) == heard[1]
        assert executed.take() == {"shared_event": 2}


@pytest.mark.parametrize("selected", ["market { feed { status } }", "fills { nodes { id } }", "group { id }"])
async def test_what_needs_more_than_the_event_is_found_out_for_each(
    here: World, ann: Person, monkeypatch: pytest.MonkeyPatch, selected: str
) -> None:
    executed = Executed(monkeypatch)
    async with Room(here) as room:
        query = ORDERS.replace("id status", f"id status {selected}")
        followers = [await room.follow(ann, query) for _ in range(2)]
        executed.take()
        room.tell(ann, 1, *states(ann, 11, 12))
        for each in followers:
            assert [(await told(each))["price"] for _ in range(2)] == ["100", "100"]
        assert executed.take()["execute"] == 4


@pytest.mark.parametrize(("most_bytes", "kept"), [(1_000, 0), (2_500, 2), (65_536, 9)])
async def test_what_is_kept_is_bounded_by_its_size(
    here: World, ann: Person, monkeypatch: pytest.MonkeyPatch, most_bytes: int, kept: int
) -> None:
    monkeypatch.setattr("graph.own_events._KEPT_BYTES", most_bytes)
    async with Room(here) as room:
        followers = [await room.follow(ann) for _ in range(2)]
        room.tell(ann, 1, *states(ann, *range(11, 19)))
        heard = [[await told(each) for _ in range(8)] for each in followers]
        assert heard[0] == heard[1]
        own = here.pipeline._own
        assert own is not None
        (group,) = own._groups.values()
        assert len(group._known) == kept
        assert group._bytes == sum(size for _, size in group._known.values()) <= most_bytes


ORDER = order_state(
    7,
    status=OrderStatus.CANCELED,
    reason=OrderErrorCode.CANCELED_BY_USER,
    filled_quantity=Decimal(1),
    filled_quote=Decimal(99),
    fee=Decimal("0.5"),
)
FILL = fill_state(8, 7, 1)
BALANCE = BalanceState("ann", "BTC", Decimal(3), Decimal(1), 5, 6)
DEPOSIT = DepositState(
    "ethereum:0x1:coins",
    "ann",
    2,
    "ETH",
    "ethereum",
    "0x" + "1" * 40,
    Decimal(1),
    "0x1",
    3,
    9,
    DepositStatus.CONFIRMING,
    1,
)
STEP = WithdrawalStep(WithdrawalStatus.IN_REVIEW, 1)
WITHDRAWAL = WithdrawalState(
    "w1", "ann", 1, "key", "ETH", "ethereum", "0x" + "1" * 40, Decimal(1), Decimal("0.1"), WithdrawalStatus.IN_REVIEW, None, None,
    True, (STEP,), 1, 1,
)  # fmt: skip
TIME = to_datetime(1)
EVENTS: dict[str, list[object]] = {
    "orderUpdated": [Order.of(ORDER)],
    "fillReceived": [Fill.of(FILL)],
    "balanceUpdated": [Balance.of(BALANCE)],
    "depositUpdated": [Deposit.of(DEPOSIT)],
    "withdrawalUpdated": [Withdrawal.of(WITHDRAWAL)],
    "accountEvents": [
        OrderChanged(cursor="1", time=TIME, order=Order.of(ORDER)),
        FillHappened(cursor="2", time=TIME, fill=Fill.of(FILL)),
        BalanceChanged(cursor="3", time=TIME, balance=Balance.of(BALANCE)),
        DepositChanged(cursor="4", time=TIME, deposit=Deposit.of(DEPOSIT)),
        WithdrawalChanged(cursor="5", time=TIME, withdrawal=Withdrawal.of(WITHDRAWAL)),
    ],
}
"""Of each field that shares."""


def test_these_fields_share() -> None:
    root = SCHEMA._schema.subscription_type
    assert root is not None
    marked = {
        name for name, field in root.fields.items() if SAME_BY in field.extensions["strawberry-definition"].metadata
    }
    assert marked == set(EVENTS)


def selections(type_: GraphQLNamedType, depth: int) -> list[str]:
    """One for each field that is known at once and needs no arguments, on the way to each leaf."""
    if is_abstract_type(type_):
        types = SCHEMA._schema.get_possible_types(type_)
        return [f"... on {each.name} {{ {inner} }}" for each in types for inner in selections(each, depth)]
    assert isinstance(type_, GraphQLObjectType)
    found = []
    for name, field in type_.fields.items():
        below = get_named_type(field.type)
        if not is_known_at_once(field) or any(each.default_value is None for each in field.args.values()):
            continue
        if is_leaf_type(below):
            found.append(name)
        elif depth:
            found += [f"{name} {{ {inner} }}" for inner in selections(below, depth - 1)]
    return found


@pytest.mark.parametrize("root", EVENTS)
async def test_every_field_tells_all_the_same_or_is_found_out_for_each(here: World, ann: Person, root: str) -> None:
    """With a context in which there is nobody, against the caller's own."""
    subscription = SCHEMA._schema.subscription_type
    assert subscription is not None
    own, shared = OwnEvents(catalogue.read_files()), 0
    caller = here.caller(ann)
    for selected in selections(get_named_type(subscription.fields[root].type), 3):
        node = parse(f"subscription {{ {root} {{ {selected} }} }}").definitions[0]
        assert isinstance(node, OperationDefinitionNode)
        operation, none = compiled(SCHEMA, node, {}), VariableValues({}, {})
        assert operation is not None
        assert operation.own is not None, selected
        with ExitStack() as stack:
            known = [stack.enter_context(own.joined(operation, operation.own, "ann", none, "en")) for _ in range(2)]
            for event in EVENTS[root]:
                outcome = known[0](event)
                if outcome is None:
                    continue
                alone = await operation.execute(here.pipeline._context_factory(caller), none, root=event)
                assert as_json(outcome) == as_json(alone), selected
                assert known[1](event) is outcome
                shared += 1
    assert shared > 4
    assert len(own) == 0


def as_json(outcome: Outcome) -> tuple[bytes, list[str]]:
    return orjson.dumps(outcome.data), [str(each) for each in outcome.errors]


def test_an_event_knows_nobody() -> None:
    context = AccountContext(catalogue.read_files(), "en")
    assert context.client.locale == "en"
    for name in ("viewer", "reader", "view", "loaders", "caller"):
        with pytest.raises(PrivateDataTouched, match=name):
            getattr(context, name)
    with pytest.raises(PrivateDataTouched, match="address"):
        context.client.address  # noqa: B018
