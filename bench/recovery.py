"""`python -m bench.recovery`: how long does the exchange take from a start to serving?

*Restart*: with 100,000 open orders of 10,000 accounts in a snapshot and 10,000 events after it, until the writer has appended its `WriterStarted`; the goal is 5 s.
*Fold*: a journal of 1,000,000 events read from the database and folded from nothing; the goal is 30 s. The limits in the same run: the same events folded
from memory, and the bytes of the journal read without being decoded.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.exchange_core import MIDDLE, RULES
from core.clock import SystemClock
from core.database import Database
from core.money import use_wide_context
from core.order_vocabulary import OrderType
from core.settings import Settings
from core.vocabulary import OrderSide
from events.commands import CancelOrder, Command, ConfigureMarket, MoveFunds, OrderWish, PlaceOrder
from events.journal import Event
from events.journal_codec import FORMAT, encode
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.state import State
from models import DOCUMENTS, journal
from server.embedded import embedded_database
from services import exchange_snapshots
from services.journal_feed import Place, after, stored_after
from services.projection_view import ProjectionView
from tests.trading_house import TradingHouse

SCALES = {"ETH": 18, "USDT": 6}
IN_BATCH = 250


def opened(people: int) -> Exchange:
    """An exchange with people who have funds."""
    exchange = Exchange()
    exchange.execute(ConfigureMarket(RULES), 1)
    for number in range(people):
        for asset in SCALES:
            exchange.execute(MoveFunds(f"user-{number}", House.TEST_FUNDS, asset, 10**26, f"funds-{asset}", ""), 1)
    return exchange


def resting(people: int, first: int, count: int) -> Iterable[Command]:
    """Orders that rest, spread over people and prices."""
    for number in range(first, first + count):
        side = OrderSide.BUY if number % 2 else OrderSide.SELL
        away = 1 + number % 5_000
        ticks = MIDDLE + (away if side is OrderSide.SELL else -away)
        wish = OrderWish(RULES.symbol, side, OrderType.LIMIT, quantity=10 * RULES.lot, price=ticks * RULES.tick)
        yield PlaceOrder(f"user-{number % people}", f"key-{number}", "digest", wish)


async def append(events: Sequence[Event], place: Place) -> Place:
    """Write events to the journal."""
    for start in range(0, len(events), IN_BATCH):
        piece = events[start : start + IN_BATCH]
        batch = journal.batch_of(
            number=place.batch + 1, epoch=1, first_seq=place.sequence + 1, last_seq=place.sequence + len(piece), time_ms=1,
            written_in=FORMAT, prev_hash=place.hash, payload=encode(piece),
        )  # fmt: skip
        await journal.append(batch)
        place = after(batch)
    return place


async def restart(orders: int, people: int, events_after: int) -> float:
    """Seconds until a writer serves."""
    exchange = opened(people)
    for command in resting(people, 0, orders):
        exchange.execute(command, 1)
    events = exchange.take_events()
    place = await append(events, Place())
    view = ProjectionView(SCALES, frozenset({"USDT"}))
    view.apply(events, 1)
    await exchange_snapshots.write(view, place)
    for command in itertools.islice(resting(people, orders, events_after), events_after):
        exchange.execute(command, 1)
    await append(exchange.take_events(), place)
    house = TradingHouse(rules=(RULES,), scales=SCALES)
    start = time.perf_counter()
    await house.writer.open()
    return time.perf_counter() - start


async def fold(count: int) -> tuple[float, float, float]:
    """Seconds to fold so many events from the database, from memory, and only to read them."""
    exchange, people = opened(1_000), 1_000
    numbers = itertools.count()
    while exchange.state.sequence < count:
        number = next(numbers)
        for command in resting(people, number, 1):
            made = exchange.execute(command, 1).made
        if number % 3:
            exchange.execute(CancelOrder(f"user-{number % people}", made), 1)
    events = exchange.take_events()
    await append(events, Place())
    start = time.perf_counter()
    state = State()
    async for _, piece in stored_after(Place()):
        for event in piece:
            state.evolve(event)
    stored = time.perf_counter() - start
    start, state = time.perf_counter(), State()
    for event in events:
        state.evolve(event)
    memory = time.perf_counter() - start
    start, sequence = time.perf_counter(), 0
    while batches := await journal.following(sequence, width=100 * IN_BATCH):
        sequence = batches[-1].last_seq
    return stored, memory, time.perf_counter() - start


@asynccontextmanager
async def fresh_database() -> AsyncIterator[None]:
    """An embedded database of its own."""
    with TemporaryDirectory() as folder:
        async with embedded_database(Path(folder), SystemClock()) as server:
            database = Database(server.url, Settings(_env_file=None), SystemClock())
            await database.connect(DOCUMENTS)
            yield
            await database.close()


async def run(options: argparse.Namespace) -> None:
    """Print the figures."""
    async with fresh_database():
        seconds = await restart(options.orders, options.people, options.after)
        print(
            f"restart  {seconds:6.2f} s: {options.orders:,} open orders, {options.people:,} accounts, {options.after:,} events after the snapshot"
        )
    async with fresh_database():
        stored, memory, read = await fold(options.events)
        print(f"fold     {stored:6.2f} s: {options.events:,} events from the database")
        print(f"         {memory:6.2f} s of it is folding (from memory), {read:.2f} s reading bytes")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--after", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    use_wide_context()
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
