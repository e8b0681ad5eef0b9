"""Shared subscriptions without a network: who gets which bytes, what is paid, what is kept for readers that do not read, what is freed."""

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from core.budget import MemoryBudget
from core.channel import ReaderTooSlow
from core.clock import ManualClock
from events.market import BookChanged
from graph.answering import OutOfPoints
from graph.request import ALL_OPERATIONS, Caller, GraphQLRequest
from graph.sharing import EventsAccount, SharedStream
from graph.started import Started
from server.realtime.following import Following
from server.realtime.hub import Hub
from server.realtime.sink import WebSocketFraming
from services.market_states import TradesMissed
from services.market_streams import LOSSLESS_CAPACITY
from services.viewer import Client
from tests.markets import BTC, ETH, Markets, book_change, candle, levels, tick, ticker, trade

CALLER = Caller(Client(address="192.0.2.1", request_id="request-1", locale="en"))
TICKS = "subscription($symbols: [String!]!) { priceTicks(symbols: $symbols) { symbol price sequence stale } }"
TRADES = f'subscription {{ trades(symbol: "{BTC}") {{ price }} }}'
BOOK = f"""subscription {{ orderBook(symbol: "{BTC}", depth: 5) {{
  ... on OrderBookSnapshot {{ sequence bids {{ price }} }} ... on OrderBookDelta {{ previousSequence sequence }} }} }}"""


class Reader:
    """A connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.paused = False
        self.watchers: dict[object, Callable[[], None]] = {}
        self.writes: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.writes.append(frame)

    def pace(self, *, paused: bool) -> None:
        self.paused = paused
        for changed in tuple(self.watchers.values()):
            changed()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of all frames so far, each of which must be whole."""
        data, found = b"".join(self.writes), []
        while data:
            assert data[0] == 0x81
            length, start = data[1], 2
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(data[2:10], "big"), 10
            found.append(orjson.loads(data[start : start + length]))
            data = data[start + length :]
        return found

    def told(self, *path: str) -> list[Any]:
        """One value of every event."""
        values = []
        for message in self.messages:
            value: Any = next(iter(message["payload"]["data"].values()))
            for key in path:
                value = value.get(key)
            values.append(value)
        return values


FRAMING = WebSocketFraming()


class House:
    """Markets, and a hub in front of them."""

    def __init__(self) -> None:
        self.markets = Markets().full(BTC, ETH)
        self.hub = Hub()
        self.number = 0

    async def start(self, query: str, variables: dict[str, object] | None = None, caller: Caller = CALLER) -> Started:
        request = GraphQLRequest(query, variables=variables)
        return await self.markets.pipeline.start(request, caller, allowed=ALL_OPERATIONS)

    async def shared(self, query: str, **variables: object) -> SharedStream:
        started = await self.start(query, variables)
        assert started.shared is not None
        return started.shared

    def join(self, stream: SharedStream, reader: Reader | None = None) -> tuple[Following, Reader]:
        reader = reader or Reader()
        self.number += 1
        return self.hub.follow(stream, reader, FRAMING, b'"%d"}' % self.number), reader

    async def follow(self, query: str, reader: Reader | None = None, **variables: object) -> tuple[Following, Reader]:
        return self.join(await self.shared(query, **variables), reader)

    @property
    def watched(self) -> int:
        view = self.markets.view
        kinds = (view.ticks, view.tickers, view.trades, view.candles, view.window_updates, view.statuses)
        return sum(len(each) for each in kinds) + sum(map(len, view._windows.values()))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    assert len(house.hub) == 0, "somebody was left behind"
    assert house.watched == 0


def bid(sequence: int) -> BookChanged:
    return book_change(sequence, bids=levels(("99", str(sequence))))


async def batch(house: House) -> None:
    """Until whatever came within a batch is written."""
    while any(audience._resting for each in house.hub._executions.values() for audience in each._audiences.values()):
        await asyncio.sleep(0.001)


async def test_who_asks_the_same_gets_the_same_bytes_of_one_execution(house: House) -> None:
    first, one = await house.follow(TICKS, symbols=[BTC])
    second, two = await house.follow(TICKS, symbols=[BTC])
    assert len(house.hub) == 1
    assert len(house.markets.view.ticks) == 1
    assert house.markets.view.ticks.readers(BTC) == 2
    house.markets.apply(tick(2))
    for number, reader in ((1, one), (2, two)):
        begun, then = reader.messages
        assert begun["id"] == then["id"] == str(number)
        assert begun["payload"]["extensions"]["cost"]["requested"] == 1
        assert "extensions" not in then["payload"]
    assert [each["payload"]["data"] for each in one.messages] == [each["payload"]["data"] for each in two.messages]
    first.leave()
    await batch(house)
    house.markets.apply(tick(3))
    assert one.told("sequence") == [1, 2]
    assert two.told("sequence") == [1, 2, 3]
    second.leave()
    second.leave()


async def test_markets_are_told_apart_only_where_they_differ(house: House) -> None:
    both, of_both = await house.follow(TICKS, symbols=[BTC, ETH])
    other, of_other = await house.follow(TICKS, symbols=[ETH])
    literal, of_literal = await house.follow(
        TICKS.replace("$symbols)", f'["{BTC}"])').replace("($symbols: [String!]!)", "")
    )
    assert len(house.hub) == 2
    house.markets.apply(tick(2), tick(2, symbol=ETH))
    await batch(house)
    assert of_both.told("symbol") == [BTC, ETH, BTC, ETH]
    assert of_other.told("symbol") == [ETH, ETH]
    assert of_literal.told("symbol") == [BTC, BTC]
    for each in (both, other, literal):
        each.leave()


async def test_the_first_goes_at_once_and_what_comes_right_after_in_one_write(house: House) -> None:
    following, reader = await house.follow(TICKS, symbols=[BTC, ETH])
    reader.writes.clear()
    await batch(house)
    house.markets.apply(tick(2))
    assert len(reader.writes) == 1
    house.markets.apply(tick(3), tick(2, symbol=ETH), tick(4))
    assert len(reader.writes) == 1
    await batch(house)
    assert len(reader.writes) == 2
    assert reader.told("sequence") == [2, 3, 2, 4]
    following.leave()


async def test_a_newcomer_gets_what_holds_and_nothing_twice(house: House) -> None:
    first, _ = await house.follow(TICKS, symbols=[BTC])
    house.markets.apply(tick(2), tick(3))
    second, reader = await house.follow(TICKS, symbols=[BTC])
    await batch(house)
    house.markets.apply(tick(4))
    assert reader.told("sequence") == [3, 4]
    first.leave()
    second.leave()


async def test_what_holds_is_shown_as_it_is_now(house: House) -> None:
    first, _ = await house.follow(TICKS, symbols=[BTC])
    house.markets.view._mark_stale()
    second, reader = await house.follow(TICKS, symbols=[BTC])
    assert reader.told("stale") == [True]
    first.leave()
    second.leave()


async def test_a_reader_that_does_not_read_gets_the_newest_of_each_market_and_disturbs_nobody(house: House) -> None:
    slow, behind = await house.follow(TICKS, symbols=[BTC, ETH])
    quick, reader = await house.follow(TICKS, symbols=[BTC, ETH])
    behind.pace(paused=True)
    for sequence in range(2, 50):
        house.markets.apply(tick(sequence), tick(sequence, symbol=ETH))
        await asyncio.sleep(0)
    await batch(house)
    assert behind.told("sequence") == [1, 1]
    assert reader.told("sequence") == [1, 1, *(sequence for sequence in range(2, 50) for _ in range(2))]
    behind.pace(paused=False)
    assert behind.told("sequence") == [1, 1, 49, 49]
    assert house.markets.losses.counts["conflated", "ticks"] == 2 * 47
    house.markets.apply(tick(50))
    await batch(house)
    assert behind.told("sequence")[-1] == 50
    slow.leave()
    quick.leave()


async def test_a_reader_that_does_not_read_costs_little_whatever_it_asks_for(house: House) -> None:
    reader = Reader()
    reader.paused = True
    long = " ".join(f"{'a' * 1_900}{number}: symbol" for number in range(15))
    selected = f'{{ priceTicks(symbols: ["{BTC}", "{ETH}"]) {{ sequence {long} }} }}'
    queries = [f"subscription S{number} {selected}" for number in range(20)]
    streams = [await house.shared(query) for query in queries]
    for stream in streams:  # compiled, once for everybody
        house.join(stream)[0].leave()
    tracemalloc.start()
    try:
        followings = [house.join(stream, reader)[0] for stream in streams]
        for sequence in range(2, 30):
            house.markets.apply(tick(sequence), tick(sequence, symbol=ETH))
        await batch(house)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 400_000
    reader.pace(paused=False)
    assert reader.told("sequence") == [29, 29] * 20
    for following in followings:
        following.leave()


async def test_trades_are_kept_and_never_left_out(house: House) -> None:
    following, reader = await house.follow(TRADES)
    other, _ = await house.follow(TRADES)
    reader.pace(paused=True)
    newest = house.markets.view.state(BTC).trades[-1].sequence
    for number in range(1, LOSSLESS_CAPACITY + 1):
        house.markets.apply(trade(newest + number, price=str(number)))
    await batch(house)
    reader.pace(paused=False)
    assert reader.told("price")[1:] == [str(number) for number in range(1, LOSSLESS_CAPACITY + 1)]
    reader.pace(paused=True)
    for number in range(LOSSLESS_CAPACITY + 1, 2 * LOSSLESS_CAPACITY + 2):
        house.markets.apply(trade(newest + number))
    await batch(house)
    assert isinstance(following.ended.result(), ReaderTooSlow)
    assert not other.ended.done()
    house.markets.apply(trade(9_999))
    assert isinstance(other.ended.result(), TradesMissed)


async def test_a_book_begins_again_where_something_was_left_out(house: House) -> None:
    following, reader = await house.follow(BOOK)
    other, told_all = await house.follow(BOOK)
    house.markets.apply(bid(2))
    await batch(house)
    reader.pace(paused=True)
    house.markets.apply(bid(3), bid(4))
    await batch(house)
    house.markets.apply(bid(5), bid(6))
    reader.pace(paused=False)
    await batch(house)
    house.markets.apply(bid(7))
    await batch(house)
    for messages in (reader.told(), told_all.told()):
        at = None
        for update in messages:
            assert "bids" in update or update["previousSequence"] == at
            at = update["sequence"]
        assert at == told_all.told("sequence")[-1]
    assert [update["sequence"] for update in reader.told() if "bids" in update] == [1, 6]
    following.leave()
    other.leave()


async def test_each_event_is_paid_for_by_each_reader(house: House) -> None:
    stream = await house.shared(TICKS, symbols=[BTC])
    budget = MemoryBudget(ManualClock(), per_minute=60)

    def paying(key: str) -> SharedStream:
        return SharedStream(
            stream.key, stream.broadcast, stream.encode, stream.extensions, EventsAccount(budget, key, 1)
        )

    poor, reader = house.join(paying("poor"))
    leaving, _ = house.join(paying("leaving"))
    for sequence in range(2, 41):
        house.markets.apply(tick(sequence))
    await batch(house)
    leaving.leave()
    assert await budget.remaining("leaving") == 60 - 40
    for sequence in range(41, 100):
        house.markets.apply(tick(sequence))
        await batch(house)
    refused = poor.ended.result()
    assert isinstance(refused, OutOfPoints)
    assert reader.told("sequence") == list(range(1, 61))
    assert len(house.hub) == 0


async def test_what_cannot_be_shown_ends_those_who_follow_it_and_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, _ = await house.follow(TICKS, symbols=[BTC])
    other, reader = await house.follow(TRADES)

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("resolvers.market_live.PriceTick.of", fails)
    house.markets.apply(tick(2), trade(1))
    assert isinstance(following.ended.result(), ZeroDivisionError)
    assert len(reader.messages) == 1
    with pytest.raises(ZeroDivisionError):
        await house.follow(TICKS, symbols=[BTC])
    other.leave()


STREAMS = {
    "priceTicks": f'(symbols: ["{BTC}", "{ETH}"])',
    "tickers": f'(symbols: ["{BTC}"])',
    "trades": f'(symbol: "{BTC}")',
    "candles": f'(symbol: "{BTC}", interval: MINUTE_15)',
    "orderBook": f'(symbol: "{BTC}", depth: 3)',
}


def whole(house: House, name: str) -> str:
    """A subscription to a field that selects everything that is no object of another kind."""
    schema = house.markets.pipeline._graphql
    assert schema.subscription_type is not None
    named: Any = schema.subscription_type.fields[name].type.of_type

    def leaves(type_: Any, depth: int = 0) -> str:
        fields = []
        for field_name, field in type_.fields.items():
            inner = field.type
            while hasattr(inner, "of_type"):
                inner = inner.of_type
            if not hasattr(inner, "fields"):
                fields.append(field_name)
            elif depth < 2 and not field.args:
                fields.append(f"{field_name} {{ {leaves(inner, depth + 1)} }}")
        return " ".join(["__typename", *fields])

    kinds = [named] if hasattr(named, "fields") else list(named.types)
    parts = " ".join(f"... on {kind.name} {{ {leaves(kind)} }}" for kind in kinds)
    return f"subscription {{ it: {name}{STREAMS[name]} {{ {parts} }} }}"


@pytest.mark.parametrize("name", STREAMS)
async def test_a_shared_stream_tells_what_one_of_its_own_tells(house: House, name: str) -> None:
    chance = random.Random(name)
    query = whole(house, name)
    alone = await house.start(query)
    expected: list[dict[str, object]] = []
    events: list[Callable[[int], object]] = [
        lambda n: tick(n, price=str(100 + n)),
        lambda n: tick(n, symbol=ETH),
        lambda n: ticker(last=str(n)),
        lambda n: trade(n, price=str(n)),
        lambda n: candle(900_000, close=str(n)),
        bid,
    ]
    async with aclosing(alone.answers()) as answers:
        waiting = asyncio.ensure_future(anext(answers))
        following, reader = await house.follow(query)
        count = 0
        for n in range(2, 40):
            for event in chance.sample(events, len(events)):
                house.markets.apply(event(n))
                await asyncio.sleep(0)
                while len(expected) < 10_000 and (await asyncio.wait({waiting}, timeout=0.001))[0]:
                    expected.append(waiting.result().body)
                    waiting = asyncio.ensure_future(anext(answers))
            count = n
        await batch(house)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert count == 39
    got = [message["payload"] for message in reader.messages]
    for each in (got, expected):
        each[0].pop("extensions")
    assert len(got) > 30
    assert [orjson.dumps(each) for each in got] == [orjson.dumps(each) for each in expected]
    following.leave()


async def test_what_may_depend_on_who_asks_is_not_shared(house: House) -> None:
    for query in (
        "subscription { balanceUpdated { total } }",
        f'subscription {{ marketStatusChanged(symbols: ["{BTC}"]) {{ symbol ticker {{ last }} }} }}',
        f'subscription {{ a: priceTicks(symbols: ["{BTC}"]) {{ price }} a: priceTicks(symbols: ["{BTC}"]) {{ bid }} }}',
        'subscription { priceTicks(symbols: ["NO-SUCH"]) { price } }',
        "subscription { priceTicks(symbols: []) { price } }",
        "{ markets { totalCount } }",
    ):
        assert (await house.start(query)).shared is None, query


async def test_the_language_of_errors_and_the_selection_tell_executions_apart(house: House) -> None:
    stream = await house.shared(TICKS, symbols=[BTC])
    german = await house.start(TICKS, {"symbols": [ETH]}, Caller(Client("192.0.2.2", "r", "de")))
    assert german.shared is not None
    assert german.shared.key != stream.key
    assert (await house.shared(TICKS, symbols=[ETH])).key == stream.key
    conditional = TICKS.replace("stale", "stale @include(if: $on)").replace("($symbols", "($on: Boolean!, $symbols")
    keys = {(await house.shared(conditional, symbols=[BTC], on=on)).key for on in (True, False)}
    assert len(keys) == 2


def test_frames_have_the_length_they_say() -> None:
    for size in (0, 90, 125 - 35, 200, 65_535, 70_000):
        reader = Reader()
        reader.write(FRAMING.head(orjson.dumps({"data": "x" * size}), 4) + b'"1"}')
        assert len(reader.messages[0]["payload"]["data"]) == size
