"""Snapshots: what is restored is what was there."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderType, TimeInForce
from core.vocabulary import PriceSource
from events.commands import (
    Advance,
    AmendOrder,
    Command,
    PlaceBracket,
    PlaceOco,
    ReferenceLost,
    ReferencePrice,
    SetCancelTimer,
    SetFeeTier,
)
from events.journal import OrderTriggered, Traded
from events.journal_codec import UnknownFormat
from exchange.engine import Exchange
from exchange.reply import Reply
from exchange.snapshot import FORMAT, chunks, digest, digest_of, restore
from exchange.state import State
from tests.exchange.floor import BUY, EXACT, SELL, SYMBOLS, Floor, wish
from tests.exchange.test_properties import Script, actions


def busy() -> Floor:
    """A floor with something of everything that lasts."""
    floor = Floor("ann", "bob")
    floor.give("ann", "ETH", 2**80)
    floor.exchange.execute(SetFeeTier("bob", 0, 500), floor.now_ms)
    floor.exchange.execute(ReferencePrice(EXACT.symbol, 100 * EXACT.tick, PriceSource.KRAKEN, 0), floor.now_ms)
    icebergs = [floor.limit("ann", SELL, 110, 20, display=3).made for _ in range(3)]
    floor.limit("bob", BUY, 110, 4)
    floor.exchange.execute(AmendOrder("ann", icebergs[1], quantity=30 * EXACT.lot), floor.now_ms)
    till = floor.now_ms + 50
    floor.limit("bob", BUY, 90, 20, time_in_force=TimeInForce.GTD, good_till_ms=till)
    for stop in (80, 70, 80):
        floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=100, stop=stop))
    for trail in (15, 5):
        floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=100, trail=trail))
    floor.exchange.execute(ReferencePrice(EXACT.symbol, 104 * EXACT.tick, PriceSource.KRAKEN, 0), floor.now_ms)
    profit, stopped = wish(SELL, OrderType.LIMIT, price=120, lots=10), wish(SELL, OrderType.STOP_LOSS, stop=60, lots=10)
    floor.exchange.execute(PlaceOco("ann", floor.key(), "digest", profit, stopped), floor.now_ms)
    for price in (90, 115):
        entry = wish(BUY, OrderType.LIMIT, lots=15, price=price)
        floor.exchange.execute(PlaceBracket("bob", floor.key(), "digest", entry, (profit, stopped)), floor.now_ms)
    floor.exchange.execute(SetCancelTimer("ann", "session", 60, (EXACT.symbol,)), floor.now_ms)
    floor.collect()
    return floor


def says(reply: Reply) -> tuple[object, ...]:
    """What a client learns."""
    return reply.refusal, reply.made, reply.replayed, [order.id for order in reply.ended]


def follow_up() -> Iterator[tuple[Command, int]]:
    """Commands that touch what a snapshot must have kept."""
    now_ms = Floor().now_ms
    for ticks in (103, 99, 75):
        yield ReferencePrice(EXACT.symbol, ticks * EXACT.tick, PriceSource.KRAKEN, 0), now_ms
    yield Advance(), now_ms + 50
    yield Advance(), now_ms + 60


@pytest.mark.parametrize("size", [1, 7, 500])
def test_what_is_restored_goes_on_the_same(size: int) -> None:
    floor = busy()
    state = floor.exchange.state
    restored = Exchange(restore(chunks(state, size=size)))
    assert digest(restored.state) == digest(state)
    assert list(restored.state.orders) == list(state.orders)
    for command, now_ms in follow_up():
        assert says(restored.execute(command, now_ms)) == says(floor.exchange.execute(command, now_ms))
        assert restored.take_events() == floor.collect()
        assert digest(restored.state) == digest(state)
    kinds = {type(event) for event in floor.events}
    assert {Traded, OrderTriggered} <= kinds
    assert not state.accounts["ann"].open, "the timer has ended all"


@given(st.lists(actions, max_size=40), st.lists(actions, max_size=20), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_whatever_came_before_what_is_restored_goes_on_the_same(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]], size: int
) -> None:
    floor = Floor("ann", "bob", "cat")
    script = Script(floor)
    for action in before:
        floor.exchange.execute(script.command(action), floor.now_ms)
    for symbol in SYMBOLS:
        floor.exchange.execute(ReferenceLost(symbol), floor.now_ms)
    floor.collect()
    restored = Exchange(restore(chunks(floor.exchange.state, size=size)))
    assert digest(restored.state) == digest(floor.exchange.state)
    for action in after:
        command = script.command(action)
        ours, theirs = floor.exchange.execute(command, floor.now_ms), restored.execute(command, floor.now_ms)
        assert says(theirs) == says(ours)
        assert restored.take_events() == floor.collect()
    assert digest(restored.state) == digest(floor.exchange.state)


def test_chunks_are_made_one_by_one_and_none_has_more_rows_than_asked_for() -> None:
    floor = busy()
    made = chunks(floor.exchange.state, size=2)
    assert orjson.loads(next(made))[0] == "state"
    assert max(len(orjson.loads(chunk)[1]) for chunk in made) == 2
    assert digest_of(chunks(floor.exchange.state)) == digest(floor.exchange.state)


def test_nothing_is_restored_from_nothing() -> None:
    assert digest(restore(chunks(State()))) == digest(State())


@pytest.mark.parametrize(
    "chunk", [b"", b"[", b"[]", b'["nothing",[[]]]', b'["order",[[]]]', b'["resting",[[1]]]', b"1"]
)
def test_what_is_no_snapshot_is_refused(chunk: bytes) -> None:
    with pytest.raises(UnknownFormat, match="cannot be read"):
        restore([*chunks(State()), chunk])


def test_another_format_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="format"):
        restore([orjson.dumps(["state", [[FORMAT + 1, 0, 0, []]]])])
