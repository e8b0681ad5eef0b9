"""`python -m bench.exchange_core`: how many commands a second does the exchange's core execute?

Of 100 commands 60 rest, most of them near the best price, 30 cancel and 10 cross; ledger, holds, fees, keys and events included. The reference in the same run is a bare
book: the same prices and quantities in a dict of deques under a sorted list, without money, keys or events. The core is measured beginning with
1,000 orders resting and with 1,000,000; the goals are 100,000 a second, and half of it.
"""

import argparse
import gc
import random
import statistics
import time
from collections import deque

from sortedcontainers import SortedDict

from core.order_vocabulary import OrderType
from core.vocabulary import OrderSide
from events.commands import CancelOrder, Command, ConfigureMarket, MoveFunds, OrderWish, PlaceOrder
from events.journal import MarketConfigured
from exchange.accounts import House
from exchange.engine import Exchange, fold
from exchange.market import ATTO
from server.process import COLLECTED_AFTER

MIDDLE = 1_000_000
PEOPLE = 1_000
RULES = MarketConfigured(
    "ETH-USDT", "ETH", "USDT", base_scale=18, quote_scale=6, tick=ATTO // 100, lot=ATTO // 10_000, min_lots=1, max_lots=10**9,
    min_value=100, max_open_orders=10**9, band_ppm=100_000, maker_ppm=1000, taker_ppm=1500,
)  # fmt: skip


def opened() -> Exchange:
    """An exchange with people who have funds."""
    exchange = Exchange()
    exchange.execute(ConfigureMarket(RULES), 0)
    for number in range(PEOPLE):
        for asset in ("ETH", "USDT"):
            exchange.execute(MoveFunds(f"user-{number}", House.TEST_FUNDS, asset, 10**26, f"funds-{asset}", ""), 0)
    return exchange


def flow(seed: int, count: int, *, first_key: int) -> list[Command]:
    """Commands of the mix. A cancel names an order that this flow placed before and that most likely still rests."""
    source = random.Random(seed)
    commands: list[Command] = []
    resting: list[tuple[str, str]] = []
    for number in range(count):
        kind = source.random()
        if kind < 0.3 and resting:
            place = source.randrange(len(resting))
            resting[place], resting[-1] = resting[-1], resting[place]
            who, key = resting.pop()
            commands.append(CancelOrder(who, client_id=key))
            continue
        side = OrderSide.BUY if source.random() < 0.5 else OrderSide.SELL
        away = _away(source) if kind < 0.9 else -source.randint(1, 20)
        who, key = f"user-{source.randrange(PEOPLE)}", f"key-{first_key + number}"
        commands.append(
            _limit(who, key, side, MIDDLE + (away if side is OrderSide.SELL else -away), source.randint(1, 50))
        )
        if away > 0:
            resting.append((who, key))
    return commands


def _away(source: random.Random) -> int:
    """Ticks from the middle at which an order rests: 200 on average, exponentially distributed."""
    return 1 + int(source.expovariate(1 / 200))


def _limit(who: str, key: str, side: OrderSide, ticks: int, lots: int) -> PlaceOrder:
    wish = OrderWish(RULES.symbol, side, OrderType.LIMIT, quantity=lots * RULES.lot, price=ticks * RULES.tick)
    return PlaceOrder(who, key, key, wish)


def filled(resting: int) -> Exchange:
    """An exchange with so many orders resting."""
    exchange, source = opened(), random.Random(1)
    for number in range(resting):
        side = OrderSide.BUY if number % 2 else OrderSide.SELL
        away = _away(source)
        ticks = MIDDLE + (away if side is OrderSide.SELL else -away)
        exchange.execute(_limit(f"user-{number % PEOPLE}", f"rest-{number}", side, ticks, source.randint(1, 50)), 0)
        exchange.take_events()
    return exchange


def rate(exchange: Exchange, commands: list[Command]) -> float:
    """Commands a second, in batches of 100 whose events are taken."""
    start = time.process_time()
    for place in range(0, len(commands), 100):
        for command in commands[place : place + 100]:
            exchange.execute(command, 0)
        exchange.take_events()
    return len(commands) / (time.process_time() - start)


def bare_rate(seed: int, count: int) -> float:
    """The same mix on a bare book."""
    sides: dict[int, SortedDict[int, deque[list[int]]]] = {1: SortedDict(), -1: SortedDict()}
    source = random.Random(seed)
    script = [(source.random(), source.random() < 0.5, _away(source), source.randint(1, 50)) for _ in range(count)]
    live: list[list[int]] = []
    start = time.process_time()
    for kind, buys, away, lots in script:
        sign = -1 if buys else 1
        if kind < 0.3 and live:
            live.pop()[1] = 0
            continue
        order = [MIDDLE + sign * (away if kind < 0.9 else -20), lots]
        facing = sides[-sign]
        while order[1] and facing:
            key, queue = facing.peekitem(0)
            if -sign * key > order[0] if buys else -sign * key < order[0]:
                break
            taken = min(order[1], queue[0][1])
            order[1] -= taken
            queue[0][1] -= taken
            if not queue[0][1]:
                queue.popleft()
                if not queue:
                    del facing[key]
        if order[1]:
            sides[sign].setdefault(sign * order[0], deque()).append(order)
            live.append(order)
    return count / (time.process_time() - start)


def main() -> None:
    """Measure, and print what was seen."""
    gc.set_threshold(*COLLECTED_AFTER)
    parser = argparse.ArgumentParser(description="How fast is the exchange's core?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--resting", type=int, nargs="*", default=[1_000, 1_000_000])
    options = parser.parse_args()
    for resting in options.resting:
        rates, bares = [], []
        for seed in range(options.rounds):
            exchange = filled(resting)
            gc.collect()
            gc.freeze()
            rates.append(rate(exchange, flow(seed, options.commands, first_key=0)))
            gc.unfreeze()
            bares.append(bare_rate(seed, options.commands))
        print(
            f"{resting:,} resting: {statistics.median(rates):,.0f} commands/s ({min(rates):,.0f} to {max(rates):,.0f}); "
            f"a bare book beside it: {statistics.median(bares):,.0f} ({min(bares):,.0f} to {max(bares):,.0f})"
        )
    exchange = opened()
    for command in flow(9, options.commands, first_key=0):
        exchange.execute(command, 0)
    events = exchange.take_events()
    start = time.process_time()
    fold(events)
    print(f"fold: {len(events) / (time.process_time() - start):,.0f} events/s")


if __name__ == "__main__":
    main()
