"""What a client sees of one market: its feed by query, and every tick by subscription."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from tests.flows.servers import Server, query
from tests.graphql_client import graphql_socket

FEED = """query($symbol: String!) {
  market(symbol: $symbol) { feed { status source sources { source healthy lastPrice error } } }
}"""
TICKS = """subscription($symbols: [String!]!) {
  priceTicks(symbols: $symbols) { price source time sequence stale }
}"""
WAIT_SECONDS = 30.0

Feed = dict[str, Any]


async def feed(running: Server, symbol: str) -> Feed:
    """The market's feed now; empty while there is none."""
    body: Any = await query(running, FEED, symbol=symbol)
    return body["data"]["market"]["feed"] or {}


async def until_feed(running: Server, symbol: str, true: Callable[[Feed], bool]) -> Feed:
    """The first look at the feed of which this holds."""
    last: Feed = {}
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                last = await feed(running, symbol)
                if last and true(last):
                    return last
                await asyncio.sleep(0.03)
    except TimeoutError as late:
        raise AssertionError(f"the feed stayed {last}\n{running.log()[-3000:]}") from late


def has_status(status: str) -> Callable[[Feed], bool]:
    return lambda seen: bool(seen["status"] == status)


def source(seen: Feed, name: str) -> dict[str, Any]:
    """One source of a feed."""
    return next(each for each in seen["sources"] if each["source"] == name)


class Ticks:
    """Every tick a subscriber was sent, in order."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.ended = False
        self._more = asyncio.Condition()

    async def follow(self, operation: Any) -> None:
        try:
            async for data in operation:
                async with self._more:
                    self.seen.append(data["priceTicks"])
                    self._more.notify_all()
        finally:
            self.ended = True

    async def until(self, true: Callable[[dict[str, Any]], bool], *, after: int = 0) -> dict[str, Any]:
        """The first tick, of those after the first `after`, of which this holds."""
        async with asyncio.timeout(WAIT_SECONDS), self._more:
            while not (found := [tick for tick in self.seen[after:] if true(tick)]):
                await self._more.wait()
            return found[0]

    async def more(self, count: int) -> list[dict[str, Any]]:
        """This many ticks from now on."""
        start = len(self.seen)
        async with asyncio.timeout(WAIT_SECONDS), self._more:
            while len(self.seen) < start + count:
                await self._more.wait()
            return self.seen[start : start + count]

    @property
    def prices(self) -> set[Decimal]:
        return {Decimal(tick["price"]) for tick in self.seen}

    def assert_gap_free(self) -> None:
        sequences = [tick["sequence"] for tick in self.seen]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


@asynccontextmanager
async def watch_ticks(running: Server, symbol: str) -> AsyncIterator[Ticks]:
    """A client on a socket of its own that reads every tick."""
    ticks = Ticks()
    async with graphql_socket(running.base_url) as client:
        following = asyncio.create_task(ticks.follow(await client.subscribe(TICKS, symbols=[symbol])))
        try:
            yield ticks
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
