"""`python -m bench.orders`: how many orders a second are placed durably, and does the projection keep up?

Two figures on the embedded database, on the same two cores as everything else. *Burst*: so many clients place resting orders through the
gateway as fast as each is answered. *Sustained*: an open loop of RATE commands a second for SECONDS, 1,000 accounts on 20 markets, 60 % resting,
30 % cancel, 10 % crossing, with the projection running and the server's settings of the garbage collector; latencies are from the moment a command was due. The limit in the same run is what the
database alone takes: journal documents of 100 events appended one after the other, durably.
"""

import argparse
import asyncio
import gc
import random
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from core.clock import SystemClock
from core.database import Database
from core.money import use_wide_context
from core.order_vocabulary import OrderType
from core.settings import Settings
from core.vocabulary import OrderSide
from events.answers import Answer
from events.commands import CancelOrder, MoveFunds, OrderWish, PlaceOrder
from events.journal import MarketConfigured
from exchange.accounts import House
from exchange.market import ATTO
from models import DOCUMENTS, journal
from server.embedded import embedded_database
from server.process import COLLECTED_AFTER
from services.journal_feed import after
from tests.trading_house import TradingHouse

PEOPLE, MARKETS = 1_000, 20
MIDDLE = 100_000
RULES = tuple(
    MarketConfigured(
        f"A{number}-USDT", f"A{number}", "USDT", base_scale=8, quote_scale=6, tick=ATTO // 100, lot=ATTO // 10_000, min_lots=1,
        max_lots=10**9, min_value=100, max_open_orders=10**6, band_ppm=0, maker_ppm=1000, taker_ppm=1500,
    )
    for number in range(MARKETS)
)  # fmt: skip
SCALES = {"USDT": 6, **{f"A{number}": 8 for number in range(MARKETS)}}
Ask = Callable[[], Awaitable[Answer]]


class Desk:
    """Makes commands and remembers what rests."""

    def __init__(self, house: TradingHouse) -> None:
        self.house = house
        self.resting: list[tuple[str, int]] = []
        self._source = random.Random(1)
        self._key = 0

    def resting_order(self) -> Ask:
        """Place an order that rests."""
        return self._order(1 + int(self._source.expovariate(1 / 200)))

    def _order(self, away: int) -> Ask:
        self._key += 1
        rules, who = self._source.choice(RULES), f"user-{self._source.randrange(PEOPLE)}"
        side = OrderSide.BUY if self._source.random() < 0.5 else OrderSide.SELL
        ticks = MIDDLE + (away if side is OrderSide.SELL else -away)
        wish = OrderWish(
            rules.symbol,
            side,
            OrderType.LIMIT,
            quantity=self._source.randint(1, 50) * rules.lot,
            price=ticks * rules.tick,
        )
        command = PlaceOrder(who, f"key-{self._key}", "digest", wish)

        async def ask() -> Answer:
            answer = await self.house.gateway.ask(command)
            if answer.made:
                self.resting.append((who, answer.made))
            return answer

        return ask

    def mixed(self) -> Ask:
        """60 % rest, 30 % cancel, 10 % cross."""
        kind = self._source.random()
        if kind < 0.3 and self.resting:
            place = self._source.randrange(len(self.resting))
            self.resting[place], self.resting[-1] = self.resting[-1], self.resting[place]
            who, order = self.resting.pop()
            return lambda: self.house.gateway.ask(CancelOrder(who, order))
        return self.resting_order() if kind < 0.9 else self._order(-self._source.randint(1, 20))


async def funded(house: TradingHouse) -> None:
    """Give everybody enough of everything."""
    gifts = [
        MoveFunds(f"user-{person}", House.TEST_FUNDS, asset, 10**18, f"funds-{asset}", "")
        for person in range(PEOPLE)
        for asset in SCALES
    ]
    for start in range(0, len(gifts), 2_000):
        await asyncio.gather(*(house.gateway.ask(gift) for gift in gifts[start : start + 2_000]))


async def burst(desk: Desk, clients: int, count: int) -> float:
    """Orders a second with so many clients, each waiting for its answer."""
    asks = iter([desk.resting_order() for _ in range(count)])

    async def client() -> None:
        for ask in asks:
            answer = await ask()
            if answer.refusal is not None:
                raise SystemExit(f"refused: {answer.refusal}")

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return count / (time.perf_counter() - start)


async def sustained(desk: Desk, rate: int, seconds: float) -> tuple[list[float], list[int]]:
    """Latencies in milliseconds, and by how many events the projection was behind, looked at every 100 ms."""
    latencies: list[float] = []
    behind: list[int] = []
    start = time.perf_counter()

    async def one(due: float) -> None:
        await desk.mixed()()
        latencies.append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks.create_task(one(due))
            if number % (rate // 10) == 0:
                behind.append(desk.house.projector.unwritten_ms())
    return latencies, behind


async def database_alone(count: int) -> float:
    """Milliseconds to append one document of about 100 events."""
    tail = await journal.tail()
    if tail is None:
        raise SystemExit("no journal")
    place, start = after(tail), time.perf_counter()
    for _ in range(count):
        batch = journal.batch_of(
            number=place.batch + 1, epoch=9, first_seq=place.sequence + 1, last_seq=place.sequence + 100, time_ms=place.time_ms,
            written_in=1, prev_hash=place.hash, payload=tail.payload[:12_000].ljust(12_000),
        )  # fmt: skip
        await journal.append(batch)
        place = after(batch)
    return (time.perf_counter() - start) * 1000 / count


async def run(arguments: argparse.Namespace) -> None:
    """Print the figures."""
    with TemporaryDirectory() as folder:
        async with embedded_database(Path(folder), SystemClock()) as server:
            database = Database(server.url, Settings(_env_file=None), SystemClock())
            await database.connect(DOCUMENTS)
            house = TradingHouse(rules=RULES, scales=SCALES)
            async with house.open():
                desk = Desk(house)
                await funded(house)
                await house.projected()
                cpu = _cpu()
                rates = [await burst(desk, arguments.clients, arguments.burst) for _ in range(3)]
                await house.projected()
                print(f"burst      {statistics.median(rates):8,.0f} orders/s, {arguments.clients} clients, median of 3")
                own, database_cpu = (now - then for now, then in zip(_cpu(), cpu, strict=True))
                each = 1e6 / 3 / arguments.burst
                print(
                    f"           {own * each:8.0f} µs of this process' CPU an order, {database_cpu * each:.0f} of the database's"
                )
                await house.projected()
                cpu, start = _cpu(), time.perf_counter()
                latencies, behind = await sustained(desk, arguments.rate, arguments.seconds)
                spent = time.perf_counter() - start
                latencies.sort()
                print(
                    f"sustained  {len(latencies) / spent:8,.0f} commands/s for {spent:.0f} s: "
                    f"p50 {latencies[len(latencies) // 2]:.1f} ms, p99 {latencies[len(latencies) * 99 // 100]:.1f} ms, "
                    f"most {latencies[-1]:.1f} ms"
                )
                print(f"           projection behind: median {statistics.median(behind):.0f} ms, most {max(behind)} ms")
                own, database_cpu = (now - then for now, then in zip(_cpu(), cpu, strict=True))
                print(
                    f"           {own / spent:8.2f} cores of this process, {database_cpu / spent:.2f} of the database"
                )
            print(f"limit      {await database_alone(200):8.2f} ms to append 100 events durably, database alone")
            await database.close()


def _cpu() -> tuple[float, float]:
    """CPU seconds of this process and of the database."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    children = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return usage.ru_utime + usage.ru_stime, sum(each.user + each.system for each in children)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--burst", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    use_wide_context()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
