"""An account's statement: pages with every filter, sums, and rules for what is read."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import to_datetime
from core.database import Database
from core.errors import InvalidInput
from core.order_vocabulary import OrderStatus, SummaryKey, TransactionKind
from core.paging import PageRequest
from core.vocabulary import TimeOrder
from events.trading import StatementLine
from models.order import insert_orders
from models.packs import Pack, StatementDocument, insert_packs
from services import statement_rows, statements, transaction_summaries
from services.statements import TransactionCriteria
from services.transaction_summaries import TooManyTransactions, summarize
from services.valuation import Rate
from tests.trading_rows import T0, line, order_row, order_state, put_lines, trading_account

ANNA = "anna"
KINDS = (TransactionKind.TRADE, TransactionKind.FEE, TransactionKind.TEST_FUNDS)
D = Decimal


def some_lines(count: int, seed: int = 1) -> list[StatementLine]:
    """Lines of several kinds, assets, markets and orders; some share a moment and an entry."""
    chance = random.Random(seed)
    lines = []
    for number in range(1, count + 1):
        asset = chance.choice(("BTC", "ETH", "USDT"))
        lines.append(
            line(
                number,
                str(chance.randint(-50, 50)),
                kind=chance.choice(KINDS),
                asset=asset,
                symbol=chance.choice(("BTC-USDT", "ETH-USDT", None)),
                order=chance.choice((None, 1, number // 10 * 20)),
                entry=number // 2 * 10,
                time_ms=T0 + number // 3 * 1000,
            )
        )
    return lines


async def numbers(criteria: TransactionCriteria, count: int, **asked: Any) -> list[int]:
    direction = asked.pop("direction", TimeOrder.OLDEST_FIRST)
    page = await statements.page(trading_account(ANNA, lines=count), criteria, direction, PageRequest(**asked))
    return [each.number for each in page.items]


def at(seconds: int) -> datetime:
    return to_datetime(T0 + seconds * 1000)


CRITERIA = [
    TransactionCriteria(),
    TransactionCriteria(kinds=[TransactionKind.FEE]),
    TransactionCriteria(assets=["ETH", "USDT"]),
    TransactionCriteria(symbols=["BTC-USDT"]),
    TransactionCriteria(least=D(30)),
    TransactionCriteria(from_=at(20)),
    TransactionCriteria(to=at(20)),
    TransactionCriteria(from_=at(10), to=at(11), kinds=[TransactionKind.TRADE]),
    TransactionCriteria(from_=at(10_000)),
    TransactionCriteria(from_=at(11), to=at(10)),
    TransactionCriteria(kinds=[]),
]


@pytest.mark.parametrize("criteria", CRITERIA, ids=str)
async def test_every_filter_finds_what_it_names(database: Database, criteria: TransactionCriteria) -> None:
    lines = some_lines(150)
    await put_lines(ANNA, lines, in_pack=7)
    from_ms = 0 if criteria.from_ is None else int(criteria.from_.timestamp() * 1000)
    to_ms = 2**60 if criteria.to is None else int(criteria.to.timestamp() * 1000)
    expected = [each.number for each in lines if criteria.admits(each) and from_ms <= each.time_ms < to_ms]
    assert await numbers(criteria, 150, first=500) == expected
    assert await numbers(criteria, 150, first=500, direction=TimeOrder.NEWEST_FIRST) == expected[::-1]
    seen: list[int] = []
    while rows := await numbers(criteria, 150, first=11, after=str(seen[-1]) if seen else None):
        seen += rows
    assert seen == expected


async def test_an_order_is_found_within_its_life(database: Database) -> None:
    lines = [line(number, order=200 if number % 2 else 100, entry=number * 10) for number in range(1, 101)]
    await put_lines(ANNA, lines)
    open_, ended = order_state(ANNA, 200), order_state(ANNA, 100, status=OrderStatus.FILLED, sequence=400)
    await insert_orders([order_row(open_), order_row(ended), order_row(order_state("ben", 300))])
    assert await numbers(TransactionCriteria(order=200), 100, first=500) == list(range(21, 101, 2))
    assert await numbers(TransactionCriteria(order=100), 100, first=500) == list(range(10, 41, 2))
    assert await numbers(TransactionCriteria(order=300), 100) == [], "somebody else's"
    assert await numbers(TransactionCriteria(order=999), 100) == []


async def test_packs_may_overlap_and_what_is_beyond_the_accounts_row_is_not_shown(database: Database) -> None:
    lines = some_lines(20)
    packs = [(1, 10), (5, 12), (1, 20)]
    await insert_packs(
        StatementDocument,
        [Pack(ANNA, low, high, statement_rows.encode(lines[low - 1 : high])) for low, high in packs],
    )
    assert await numbers(TransactionCriteria(), 20) == list(range(1, 21))
    assert await numbers(TransactionCriteria(), 8) == list(range(1, 9))
    assert await statements.line(ANNA, 7) == lines[6]
    assert await statements.line(ANNA, 21) is None
    assert await statements.line("ben", 7) is None


def test_a_filter_lists_so_many_names() -> None:
    with pytest.raises(InvalidInput) as refused:
        TransactionCriteria(assets=["BTC"] * 101)
    assert refused.value.details == {"field": ["filter", "assets"], "limit": 100, "actual": 101}


async def test_what_came_in_since_a_time(database: Database) -> None:
    funds = TransactionKind.TEST_FUNDS
    await put_lines(ANNA, [line(number, "2", kind=funds if number % 2 else KINDS[0]) for number in range(1, 11)])
    account = trading_account(ANNA, lines=10)
    assert await statements.received_since(account, funds, "BTC", T0 + 4000) == 6
    assert await statements.received_since(account, funds, "ETH", T0) == 0
    assert await statements.received_since(account, funds, "BTC", T0 + 99_000) == 0


RATES = {"BTC": Rate(D(100), 1), "USDT": Rate(D(1), 1), "ETH": Rate(D(10), 1)}
DAY = 86_400_000


async def test_sums_by_time(database: Database) -> None:
    new_year = int(datetime(2025, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
    fee = TransactionKind.FEE
    lines = [
        line(1, "1", time_ms=new_year),
        line(2, "-30", asset="USDT", time_ms=new_year),
        line(3, "-0.5", asset="USDT", kind=fee, time_ms=new_year),
        line(4, "2", asset="ETH", time_ms=new_year + 1),
        line(5, "-0.25", kind=fee, time_ms=new_year + 6 * DAY),
    ]
    await put_lines(ANNA, lines)
    account = trading_account(ANNA, lines=5)

    async def sums(by: SummaryKey, **asked: Any) -> list[tuple[object, ...]]:
        found = await summarize(account, by, **{"from_": None, "to": None, "rates": RATES, **asked})
        return [(each.key, each.count, each.inflow, each.outflow, each.fees) for each in found]

    assert await sums(SummaryKey.DAY) == [
        ("2025-12-31", 3, D(100), D(30), D("0.5")),
        ("2026-01-01", 1, D(20), D(0), D(0)),
        ("2026-01-06", 1, D(0), D(0), D(25)),
    ]
    assert [row[:2] for row in await sums(SummaryKey.WEEK)] == [("2026-W01", 4), ("2026-W02", 1)]
    assert [row[:2] for row in await sums(SummaryKey.MONTH)] == [("2025-12", 3), ("2026-01", 2)]
    assert [row[0] for row in await sums(SummaryKey.ASSET)] == ["BTC", "ETH", "USDT"]
    assert [row[0] for row in await sums(SummaryKey.KIND)] == ["FEE", "TRADE"]
    assert await sums(SummaryKey.ASSET, to=to_datetime(new_year)) == []
    unpriced = await sums(SummaryKey.ASSET, rates={"USDT": RATES["USDT"]})
    assert unpriced[0] == ("BTC", 2, None, D(0), None)
    (month, _) = await summarize(account, SummaryKey.MONTH, from_=None, to=None, rates=RATES)
    assert (month.from_, month.to) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    week = (await summarize(account, SummaryKey.WEEK, from_=None, to=None, rates=RATES))[0]
    assert (week.from_, week.to) == (datetime(2025, 12, 29, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), by=st.sampled_from(SummaryKey))
async def test_sums_are_of_every_line_once(database: Database, seed: int, by: SummaryKey) -> None:
    await StatementDocument.get_pymongo_collection().delete_many({"account": ANNA, "last": {"$gte": 0}})
    lines = some_lines(60, seed)
    await put_lines(ANNA, lines, in_pack=9)
    found = await summarize(trading_account(ANNA, lines=60), by, from_=None, to=None, rates=RATES)
    worth = sum((each.amount * RATES[each.asset].price for each in lines), D(0))
    assert sum(each.count for each in found) == 60
    total = D(0)
    for each in found:
        assert each.inflow is not None
        assert each.outflow is not None
        assert each.fees is not None
        total += each.inflow - each.outflow - each.fees
    assert total == worth


async def test_more_than_one_answer_may_cost_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_summaries, "MOST_LINES", 10)
    await put_lines(ANNA, some_lines(40))
    account = trading_account(ANNA, lines=40)
    with pytest.raises(TooManyTransactions) as refused:
        await summarize(account, SummaryKey.DAY, from_=None, to=None, rates=RATES)
    assert refused.value.details == {"field": ["from", "to"], "limit": 10, "actual": 40}
    assert await summarize(account, SummaryKey.DAY, from_=at(5), to=at(7), rates=RATES)
