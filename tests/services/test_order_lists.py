"""Lists of orders, fills and events against the database: filters, pages, and nothing of anybody else."""

from typing import Any

import pytest

from core.bus import MemoryBus
from core.cache import MemoryCache
from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.order_filters import FillCriteria, OrderCriteria
from core.order_vocabulary import OrderErrorCode, OrderEventType, OrderStatus, OrderType
from core.paging import PageRequest
from core.vocabulary import OrderSide, TimeOrder
from services import exchange_log
from services.order_pages import OrderPages
from services.order_reads import OrderReads
from services.read_marks import Reader, ReadMarks
from tests.trading import (
    NOW_MS,
    changed,
    fill_state,
    group_state,
    logged,
    order_state,
    store_account,
    store_fills,
    store_group,
    store_log,
    store_orders,
)

NEWEST, OLDEST = TimeOrder.NEWEST_FIRST, TimeOrder.OLDEST_FIRST


@pytest.fixture
async def pages(database: Database) -> OrderPages:
    """Ann's orders 10 to 80, every third canceled, of which 40 and 50 are a group; her fills of 10 and 20; and one order of Bob's."""
    states = [
        order_state(
            number * 10,
            side=OrderSide.SELL if number % 2 else OrderSide.BUY,
            symbol="ETH-USDT" if number == 8 else "BTC-USDT",
            type=OrderType.MARKET if number == 7 else OrderType.LIMIT,
            status=OrderStatus.CANCELED if number % 3 == 0 else OrderStatus.OPEN,
            reason=OrderErrorCode.CANCELED_BY_USER if number % 3 == 0 else None,
            group=39 if number in (4, 5) else None,
        )
        for number in range(1, 9)
    ]
    await store_orders(states)
    await store_orders([order_state(15, "bob")])
    await store_group(group_state(39, orders=(40, 50)))
    await store_fills([fill_state(100 + number, 10 if number < 4 else 20, number) for number in range(1, 7)])
    await store_account(open=[state.id for state in states if state.status is OrderStatus.OPEN], orders=8, fills=6)
    await store_account("bob", open=[15], orders=1)
    return OrderPages(OrderReads(ReadMarks(MemoryBus(), MemoryCache(ManualClock()), ManualClock())))


async def listed(pages: OrderPages, order_by: TimeOrder = OLDEST, account: str = "ann", **criteria: Any) -> list[int]:
    page, _ = await pages.orders(account, OrderCriteria(**criteria), order_by, PageRequest(), Reader())
    return [each.state.id for each in page.items]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, [10, 20, 30, 40, 50, 60, 70, 80]),
        ({"open": True}, [10, 20, 40, 50, 70, 80]),
        ({"open": False}, [30, 60]),
        ({"open": True, "sides": [OrderSide.BUY]}, [20, 40, 80]),
        ({"statuses": [OrderStatus.CANCELED]}, [30, 60]),
        ({"types": [OrderType.MARKET]}, [70]),
        ({"symbols": ["ETH-USDT"]}, [80]),
        ({"symbols": []}, []),
        ({"group": 39}, [40, 50]),
        ({"group": 39, "sides": [OrderSide.SELL]}, [50]),
        ({"from_ms": NOW_MS + 30, "to_ms": NOW_MS + 60}, [30, 40, 50]),
        ({"from_ms": NOW_MS + 31, "to_ms": NOW_MS + 31}, []),
        ({"from_ms": NOW_MS + 1_000}, []),
    ],
)
async def test_a_filter_lets_these_through(pages: OrderPages, criteria: dict[str, Any], expected: list[int]) -> None:
    assert await listed(pages, **criteria) == expected
    assert await listed(pages, NEWEST, **criteria) == expected[::-1]


async def test_lists_are_of_one_account(pages: OrderPages) -> None:
    assert await listed(pages, account="bob") == [15]
    assert await listed(pages, account="nobody") == []
    for criteria in (OrderCriteria(group=39), OrderCriteria(group=4_000)):
        with pytest.raises(InvalidInput):
            await pages.orders("bob", criteria, NEWEST, PageRequest(), Reader())
    with pytest.raises(InvalidInput):
        await pages.fills("bob", FillCriteria(order=10), NEWEST, PageRequest(), Reader())
    assert (await pages.fills_of("bob", 10, OLDEST, PageRequest(), Reader())).items == []


async def test_pages_follow_each_other_without_a_gap(pages: OrderPages) -> None:
    seen: list[int] = []
    after: str | None = None
    while True:
        request = PageRequest(first=3, after=after)
        page, total = await pages.orders("ann", OrderCriteria(open=True), NEWEST, request, Reader())
        seen += [each.state.id for each in page.items]
        assert total == 6
        if not page.has_next:
            break
        after = str(page.items[-1].number)
    assert seen == [80, 70, 50, 40, 20, 10]
    page, total = await pages.orders("ann", OrderCriteria(), NEWEST, PageRequest(last=2), Reader())
    assert ([each.state.id for each in page.items], total, page.has_previous) == ([20, 10], 8, True)


async def test_fills_of_the_account_and_of_an_order(pages: OrderPages) -> None:
    page, total = await pages.fills("ann", FillCriteria(), NEWEST, PageRequest(first=2), Reader())
    assert ([state.number for state in page.items], total, page.has_next) == ([6, 5], 6, True)
    page, total = await pages.fills("ann", FillCriteria(order=20), OLDEST, PageRequest(), Reader())
    assert ([state.number for state in page.items], total) == ([4, 5, 6], None)
    await store_orders([order_state(90, filled_quantity=fill_state(1, 1, 1).quantity)], first=9)
    await store_fills([fill_state(1000 + number, 90, 6 + number) for number in range(1, 8)])
    request = PageRequest(first=3, after="2")
    found = await pages.fills_of("ann", 90, OLDEST, request, Reader())
    assert [number for number, _ in found.items] == [3, 4, 5]
    assert found.has_next
    assert found.has_previous


async def test_events_of_an_order_among_many_of_others(database: Database, pages: OrderPages) -> None:
    number = 0
    for batch in range(40):
        events = []
        for order_id in (300, 301):
            number += 1
            events.append(changed(number, order_state(order_id, sequence=1_000 + number)))
        if batch in (7, 20):
            number += 1
            what = OrderEventType.ACCEPTED if batch == 7 else OrderEventType.CANCELED
            status = OrderStatus.OPEN if batch == 7 else OrderStatus.CANCELED
            mine = order_state(1_000 + 15, status=status, sequence=1_000 + number)
            events.append(changed(number, mine, what))
        await store_log(logged("ann", *events))
    await store_account(sequence=2, logged=number)
    order = order_state(1_015, status=OrderStatus.CANCELED, sequence=1_043)
    page = await pages.events_of("ann", order, PageRequest(), Reader())
    assert [event.change for event in page.items] == [OrderEventType.ACCEPTED, OrderEventType.CANCELED]
    first = await pages.events_of("ann", order, PageRequest(first=1), Reader())
    assert (len(first.items), first.has_next) == (1, True)
    assert [event.number for event in await exchange_log.between("ann", 5, 9)] == [5, 6, 7, 8]
