"""`python -m bench.http_orders`: how many orders a second does `python -m server dev` take over HTTP, in a burst?

Some accounts, each with a few connections, place resting orders as fast as they are answered, with the usual rate limits, projection and simulated prices on 34 markets running.
The reference in the same run is `{ __typename }` over the same connections and with the same credentials: what the way in and out costs alone. The goal is 2,000 orders/s
for 10 s. Between rounds all orders are canceled. It begins when the server has stored a year of history of its markets, as a new one does in its first two minutes. CPU times are those from the first order until the projection holds the last one, what the idle server spends taken off. The load client is `bench/client/load.c`.
"""

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson

from bench import clients
from bench.http import Connection
from bench.servers import Measured, dev_server, free_port

PASSWORD = "a fine day for sailing"  # noqa: S105
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
VERIFY = "mutation($t: String!) { verifyEmail(input: {token: $t}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p, delivery: VALUES}) {
  tokens { accessToken } errors { code } } }"""
CLAIM = 'mutation { claimTestFunds(input: {clientClaimId: "funds", asset: "USDT", amount: "90000"}) { errors { code message } } }'
MARKETS = """{ markets(first: 10, filter: {quote: "USDT"}) { nodes {
  symbol rules { tickSize lotSize minNotional } ticker { last } } } }"""
PLACE = """mutation($id: String!, $symbol: String!, $quantity: Decimal!, $price: Decimal!) { placeOrder(input: {clientOrderId: $id,
  order: {symbol: $symbol, side: BUY, type: LIMIT, quantity: $quantity, price: $price}}) { order { id status } refused: errors { code message } } }"""
PLACED = '"order":{"id":"'
CANCEL = "mutation { cancelAllOrders(input: {}) { errors { code } } }"
FIND = "query($id: String!) { order(by: {clientOrderId: $id}) { status } }"
SETTLE_SECONDS, SETTLED_CORES = 180, 0.45
SETTINGS = {
    "TRUSTED_PROXIES": "127.0.0.1",
    "SIMULATED_AFTER_SECONDS": "0",
    "BREACHED_PASSWORD_CHECK": "false",
    "PASSWORD_HASH_KIB": "8192",
    "PASSWORD_HASH_PASSES": "1",
}


async def trader(port: int, number: int, output: Path) -> dict[str, str]:
    """Headers of an account that is signed in, verified and has funds."""
    connection = Connection(port)
    email, headers = f"trader{number}@bench.example", {"x-forwarded-for": f"10.0.{number // 250}.{number % 250 + 1}"}
    await connection.post(SIGN_UP, headers=headers, e=email, p=PASSWORD)
    token = await _token(output, email)
    await connection.post(VERIFY, headers=headers, t=token)
    answer = await connection.post(LOG_IN, headers=headers, e=email, p=PASSWORD)
    tokens = answer["data"]["logIn"]["tokens"]  # type: ignore[index]
    signed_in = {**headers, "authorization": f"Bearer {tokens['accessToken']}"}
    claimed = await connection.post(CLAIM, headers=signed_in)
    if claimed["data"]["claimTestFunds"]["errors"]:  # type: ignore[index]
        raise SystemExit(f"no funds: {claimed}")
    connection.close()
    return signed_in


async def _token(output: Path, email: str) -> str:
    async with asyncio.timeout(30):
        while True:
            printed = await asyncio.to_thread(output.read_text, errors="replace")
            for mail in printed.split("To:      "):
                if mail.startswith(email) and (found := re.search(r"token=([\w-]+)", mail)):
                    return found[1]
            await asyncio.sleep(0.1)


async def resting_orders(port: int, headers: dict[str, str]) -> list[dict[str, str]]:
    """Orders that rest 5 % below the price, one for each market."""
    connection = Connection(port)
    answer = await connection.post(MARKETS, headers=headers)
    connection.close()
    found = []
    for market in answer["data"]["markets"]["nodes"]:  # type: ignore[index]
        tick, lot, least = (Decimal(market["rules"][name]) for name in ("tickSize", "lotSize", "minNotional"))
        price = Decimal(market["ticker"]["last"]) * 95 // (100 * tick) * tick
        quantity = (least * 2 // (price * lot) + 1) * lot
        found.append({"symbol": market["symbol"], "price": format(price, "f"), "quantity": format(quantity, "f")})
    return found


@dataclass(frozen=True, slots=True)
class Burst:
    """What one burst gave; CPU times are microseconds for each answer, `idle` are cores busy without it."""

    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    database_us: float
    client_us: float
    server_idle: float
    database_idle: float
    behind_seconds: float


class Bursts:
    """Asks one server."""

    def __init__(
        self, server: Measured, traders: Sequence[dict[str, str]], options: argparse.Namespace, folder: Path
    ) -> None:
        self._server = server
        self._traders = traders
        self._options = options
        self._folder = folder
        self._program = clients.build()["load"]

    async def orders(self, asked: Sequence[dict[str, str]], name: str) -> Burst:
        """Place these orders in turn, under keys of this name."""
        bodies = [{"query": PLACE, "variables": {"id": f"{name}-##########", **each}} for each in asked]
        idle = await self._idle()
        before, start = self._server.cpu_seconds(), time.perf_counter()
        found = await self._load(bodies, "--wanted", PLACED)
        ended = time.perf_counter()
        await self._projected(f"{name}-0000000001")
        given = self._burst(found, before, idle, start, behind=time.perf_counter() - ended)
        await self._cancel_everything()
        return given

    async def settled(self) -> None:
        """Until the history that a new server computes of its markets is stored, and what the round before left is done; at most SETTLE_SECONDS."""
        ends = time.perf_counter() + SETTLE_SECONDS
        while time.perf_counter() < ends and sum((await self._idle()).values()) > SETTLED_CORES:
            await asyncio.sleep(1)

    async def reference(self) -> Burst:
        """Ask for nothing."""
        idle = await self._idle()
        before, start = self._server.cpu_seconds(), time.perf_counter()
        found = await self._load([{"query": "{ __typename }"}])
        return self._burst(found, before, idle, start)

    async def _load(self, bodies: Sequence[object], *more: str) -> clients.Measured:
        options = self._options
        asked, credentials = self._folder / "bodies", self._folder / "credentials"
        asked.write_bytes(b"".join(orjson.dumps(body) + b"\n" for body in bodies))
        credentials.write_text("".join(f"authorization: {each['authorization']}\n" for each in self._traders))
        found = await clients.run(
            self._program,
            [
                *(
                    "--server",
                    f"127.0.0.1:{self._server.port}",
                    "--body",
                    str(asked),
                    "--each-header",
                    str(credentials),
                ),
                *("--connections", str(len(self._traders) * options.connections)),
                *("--seconds", str(options.seconds), "--warm", "0", *more),
            ],
            seconds=options.seconds + 30,
        )
        if found["not_2xx"] or found["with_errors"] or found["without"]:
            raise SystemExit(f"refused: {found}")
        return found

    def _burst(
        self,
        found: clients.Measured,
        before: dict[str, float],
        idle: dict[str, float],
        start: float,
        *,
        behind: float = 0.0,
    ) -> Burst:
        after, passed = self._server.cpu_seconds(), time.perf_counter() - start
        answers, latency = found["answers"], found["latency_ms"]
        each = {name: (after[name] - before[name] - idle[name] * passed) / answers * 1e6 for name in after}
        return Burst(
            found["per_second"],
            latency["p50"],
            latency["p99"],
            each["server"],
            each["database"],
            found["client_cpu"] * found["seconds"] / answers * 1e6,
            idle["server"],
            idle["database"],
            behind,
        )

    async def _idle(self) -> dict[str, float]:
        """Cores that each process keeps busy by itself."""
        before, start = self._server.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(2)
        passed = time.perf_counter() - start
        return {name: (spent - before[name]) / passed for name, spent in self._server.cpu_seconds().items()}

    async def _cancel_everything(self) -> None:
        """So that the next round begins as this one did."""
        connection = Connection(self._server.port)
        for headers in self._traders:
            await connection.post(CANCEL, headers=headers)
        connection.close()

    async def _projected(self, key: str) -> None:
        """Until the documents hold everything that was placed: reads wait for it, and say when they gave up."""
        connection = Connection(self._server.port)
        async with asyncio.timeout(120):
            for headers in self._traders:
                while "staleSince" in (await connection.post(FIND, headers=headers, id=key))["extensions"]:  # type: ignore[operator]
                    pass
        connection.close()


async def rounds(server: Measured, options: argparse.Namespace, output: Path) -> None:
    """Interleave orders and the reference, and print what was seen."""
    traders = [await trader(server.port, number, output) for number in range(options.traders)]
    asked = await resting_orders(server.port, traders[0])
    bursts = Bursts(server, traders, options, output.parent)
    await bursts.settled()
    await bursts.reference()
    placed, bare = [], []
    for number in range(options.rounds):
        await bursts.settled()
        placed.append(await bursts.orders(asked, f"round-{number}"))
        _print("orders", placed[-1:])
        bare.append(await bursts.reference())
        _print("__typename", bare[-1:])
    print("medians")
    _print("orders", placed)
    _print("__typename", bare)


def _print(name: str, bursts: Sequence[Burst]) -> None:
    def median(field: str) -> float:
        values: list[float] = [getattr(burst, field) for burst in bursts]
        return statistics.median(values)

    print(
        f"{name:<11}{median('per_second'):7.0f}/s, p50 {median('p50_ms'):.1f} ms, p99 {median('p99_ms'):.1f} ms; CPU each: server {median('server_us'):.0f} µs, "
        f"database {median('database_us'):.0f} µs, client {median('client_us'):.0f} µs; idle cores {median('server_idle'):.2f} and {median('database_idle'):.2f}; "
        f"projected {median('behind_seconds'):.1f} s later"
    )


async def run(options: argparse.Namespace) -> None:
    """Start a server and measure."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "printed"
        async with dev_server(free_port(), SETTINGS, output=output) as server:
            await rounds(server, options, output)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traders", type=int, default=120, help="each may have 200 open orders in a market, of ten")
    parser.add_argument("--connections", type=int, default=1, help="of each trader")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
