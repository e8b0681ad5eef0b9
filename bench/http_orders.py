"""`python -m bench.http_orders`: how many orders a second does `python -m server dev` take over HTTP?

Some accounts, each with a few connections, place resting orders as fast as they are answered, with the usual rate limits, projection and simulated prices on 34 markets running.
The reference in the same run is `{ __typename }` over the same connections: what the transport alone costs. The goal is 400 orders/s;
the query path's own issue raises it.
"""

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from bench.http import Connection, percentile
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
  order: {symbol: $symbol, side: BUY, type: LIMIT, quantity: $quantity, price: $price}}) { order { id status } errors { code message } } }"""
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


async def load(
    port: int, traders: list[dict[str, str]], options: argparse.Namespace, *, asked: list[dict[str, str]], name: str
) -> list[float]:
    """Latencies in milliseconds of everything that was answered; without orders, of the reference."""
    latencies: list[float] = []
    ends = time.perf_counter() + options.seconds

    async def one(headers: dict[str, str], who: str) -> None:
        connection, count = Connection(port), 0
        while time.perf_counter() < ends:
            count += 1
            start = time.perf_counter()
            if asked:
                order = asked[count % len(asked)]
                answer = await connection.post(PLACE, headers=headers, id=f"{name}-{who}-{count}", **order)
            else:
                answer = await connection.post("{ __typename }", headers=headers)
            latencies.append((time.perf_counter() - start) * 1000)
            if "errors" in answer or (asked and answer["data"]["placeOrder"]["errors"]):  # type: ignore[index]
                raise SystemExit(f"refused: {answer}")
        connection.close()

    await asyncio.gather(
        *(one(headers, f"{who}-{each}") for who, headers in enumerate(traders) for each in range(options.connections))
    )
    return latencies


async def rounds(server: Measured, options: argparse.Namespace, output: Path) -> None:
    """Interleave orders and the reference, and print what was seen."""
    traders = [await trader(server.port, number, output) for number in range(options.traders)]
    asked = await resting_orders(server.port, traders[0])
    placed, bare, tails = [], [], []
    for round_ in range(options.rounds):
        before, start = server.cpu_seconds(), time.perf_counter()
        latencies = await load(server.port, traders, options, asked=asked, name=f"round-{round_}")
        spent, after = time.perf_counter() - start, server.cpu_seconds()
        placed.append(len(latencies) / spent)
        tails.append(percentile(latencies, 0.99))
        cores = {name: (after[name] - before[name]) / spent for name in after}
        print(
            f"orders      {placed[-1]:7.0f}/s, p50 {percentile(latencies, 0.5):.1f} ms, p99 {tails[-1]:.1f} ms; cores {cores['server']:.2f} server, {cores['database']:.2f} database"
        )
        latencies = await load(server.port, traders, options, asked=[], name="reference")
        bare.append(len(latencies) / options.seconds)
        print(f"__typename  {bare[-1]:7.0f}/s")
    print(
        f"median: {statistics.median(placed):.0f} orders/s ({statistics.median(bare):.0f} __typename/s), p99 {statistics.median(tails):.1f} ms"
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
    parser.add_argument("--traders", type=int, default=30)
    parser.add_argument("--connections", type=int, default=1, help="of each trader")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
