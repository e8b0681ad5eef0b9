"""A writer of market data against readers over HTTP: nobody sees less than before, and nobody sees anything of another."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field

import orjson
import pytest

from core.database import Database
from tests.accounts import Person, World, world
from tests.markets import BTC, ETH, feed, ticker
from tests.server.front import Front, front

PUBLIC = '{ markets(filter: {symbols: ["BTC-USDT", "ETH-USDT"]}) { nodes { symbol ticker { last } } } }'
ONE = "query ($s: String!) { market(symbol: $s) { symbol ticker { last } } }"
PRIVATE = '{ viewer { id email } market(symbol: "BTC-USDT") { symbol watched ticker { last } } }'


@dataclass
class Seen:
    """What one reader saw."""

    answers: int = 0
    last: dict[str, int] = field(default_factory=dict)

    def take(self, markets: list[dict[str, object]]) -> None:
        """Compare with everything before."""
        self.answers += 1
        for market in markets:
            symbol, shown = market["symbol"], int(market["ticker"]["last"])  # type: ignore[index]
            assert isinstance(symbol, str)
            assert shown >= self.last.get(symbol, 0), f"{symbol} went back from {self.last[symbol]} to {shown}"
            self.last[symbol] = shown


class Race:
    """One writer; `now` is the newest figure of each market."""

    def __init__(self, vault: World, server: Front, seconds: float) -> None:
        self.vault, self.server = vault, server
        self.now = {BTC: 0, ETH: 0}
        self.ends = time.monotonic() + seconds

    async def write(self) -> None:
        """Change one market after the other."""
        for number in itertools.count(1):
            symbol = (BTC, ETH)[number % 2]
            self.now[symbol] = number
            self.vault.view.apply(ticker(symbol, str(number)))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            if time.monotonic() > self.ends:
                return

    async def read_public(self, number: int) -> Seen:
        """A stranger: both forms, from an address of its own, whose points nobody else spends."""
        connection, seen, left = await self.server.connect(), Seen(), None
        headers = {"x-forwarded-for": f"192.0.2.{number}", **({"accept-encoding": "gzip"} if number % 2 else {})}
        while time.monotonic() < self.ends:
            known = dict(self.now)
            reply = await connection.post(PUBLIC, headers)
            body = orjson.loads(reply.plain)
            seen.take(body["data"]["markets"]["nodes"])
            assert all(seen.last[symbol] >= known[symbol] for symbol in known), "older than when it was asked for"
            cost = body["extensions"]["cost"]
            assert left is None or cost["remaining"] == left - cost["requested"]
            left = cost["remaining"]
            symbol = (BTC, ETH)[seen.answers % 2]
            body = orjson.loads((await connection.post(ONE, headers, variables={"s": symbol})).plain)
            seen.take([body["data"]["market"]])
            left = body["extensions"]["cost"]["remaining"]
        connection.close()
        return seen

    async def read_private(self, person: Person, email: str) -> Seen:
        """Somebody who is signed in."""
        connection, seen = await self.server.connect(), Seen()
        headers = {"authorization": f"Bearer {person.access}"}
        while time.monotonic() < self.ends:
            data = orjson.loads((await connection.post(PRIVATE, headers)).plain)["data"]
            assert data["viewer"]["email"] == email
            seen.take([data["market"]])
            shown = orjson.loads((await connection.post(PUBLIC, headers)).plain)
            assert "viewer" not in shown["data"]
            seen.take(shown["data"]["markets"]["nodes"])
        connection.close()
        return seen


async def race(seconds: float) -> None:
    emails = [f"reader{number}@example.com" for number in range(3)]
    async with world() as vault:
        people = [await vault.signed_up(email) for email in emails]
        vault.clock.advance(1)
        for symbol in (BTC, ETH):
            vault.view.apply(feed(symbol))
            vault.view.apply(ticker(symbol, "0"))
        async with front(vault.pipeline, vault.accounts.authority) as server, asyncio.TaskGroup() as group:
            running = Race(vault, server, seconds)
            group.create_task(running.write())
            readers = [group.create_task(running.read_public(number)) for number in range(1, 9)]
            signed_in = zip(people, emails, strict=True)
            readers += [group.create_task(running.read_private(person, email)) for person, email in signed_in]
        assert all(reader.result().answers > 10 for reader in readers)
        assert any(server.given)
        assert min(running.now.values()) > 50


async def test_a_writer_and_readers(database: Database) -> None:
    await race(2.0)


@pytest.mark.soak
async def test_a_writer_and_readers_for_a_minute(database: Database) -> None:
    await race(60.0)
