"""`python -m bench.log_ins`: do many log-ins slow everybody else's queries?

Queries arrive at a steady rate, open loop: a slow answer does not hold up the next question. Rounds without and with 50 log-ins that
begin together are interleaved; the figure is the ratio of the medians of their p95. The issue allows 2.
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta

import orjson

from bench.http import Connection, percentile
from bench.servers import Measured, dev_server, free_port

RATE = 200
LOG_INS = 50
PASSWORD = "a fine day for sailing"  # noqa: S105
QUERY = '{ market(symbol: "BTC-USDT") { symbol status rules { tickSize } ticker { last bid ask changePercent24h } } }'
HISTORY = "query($to: DateTime!) { markets(first: 100) { nodes { candles(interval: DAY_1, to: $to, last: 1) { nodes { openTime } } } } }"
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p, delivery: VALUES}) {
  tokens { expiresAt } errors { code } } }"""


async def main() -> None:
    """Measure, and print what was seen."""
    options = _options()
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "SIMULATED_AFTER_SECONDS": "0", "BREACHED_PASSWORD_CHECK": "false"}
    async with dev_server(free_port(), settings) as server:
        await asyncio.gather(*(_log_in(server, SIGN_UP, number) for number in range(LOG_INS)))
        await _settled(server)
        await _queries(server, options.seconds)
        quiet, busy = [], []
        for number in range(options.rounds):
            quiet.append(await _round(server, options.seconds, None))
            busy.append(await _round(server, options.seconds, number))
    ratio = statistics.median(busy) / statistics.median(quiet)
    print(
        f"p95 of {RATE} queries/s: {_shown(quiet)} ms alone, {_shown(busy)} ms beside {LOG_INS} log-ins: {ratio:.2f} times"
    )


async def _settled(server: Measured) -> None:
    """Wait until every market has the days of history that are made up at a first start: it takes minutes, and a core."""
    print("waiting for the first start's history", flush=True)
    connection = Connection(server.port)
    long_ago = (datetime.now(UTC) - timedelta(days=300)).isoformat()
    while b'"nodes":[]' in orjson.dumps(await connection.post(HISTORY, to=long_ago)):
        await asyncio.sleep(2)
    connection.close()


async def _round(server: Measured, seconds: float, wave: int | None) -> float:
    """p95 of the queries in milliseconds, while this wave of log-ins goes on, if any."""
    before, start = server.cpu_seconds(), time.perf_counter()
    waves = [] if wave is None else [_log_in(server, LOG_IN, number) for number in range(LOG_INS)]
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_queries(server, seconds))
        signing_in = [group.create_task(wave) for wave in waves]
    latencies, log_ins = asking.result(), [task.result() for task in signing_in]
    spent = time.perf_counter() - start
    cpu = {name: (after - before[name]) / spent for name, after in server.cpu_seconds().items()}
    p95 = percentile(latencies, 0.95) * 1000
    done = f", log-ins {min(log_ins):.2f} to {max(log_ins):.2f} s" if log_ins else ""
    used = ", ".join(f"{name} {share:.0%}" for name, share in cpu.items())
    p50 = percentile(latencies, 0.5) * 1000
    print(
        f"  {'with' if log_ins else 'without'} log-ins: p50 {p50:.2f} p95 {p95:.2f} ms of {len(latencies)}; CPU {used}{done}"
    )
    return p95


async def _queries(server: Measured, seconds: float) -> list[float]:
    """Latencies of queries that are sent at the rate, each on a free connection."""
    idle: list[Connection] = []
    latencies: list[float] = []

    async def ask(due: float) -> None:
        connection = idle.pop() if idle else Connection(server.port)
        answer = await connection.post(QUERY)
        if "errors" in answer:
            raise RuntimeError(f"a query failed: {answer}")
        latencies.append(time.perf_counter() - due)
        idle.append(connection)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * RATE)):
            due = start + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(due))
    for connection in idle:
        connection.close()
    return latencies


async def _log_in(server: Measured, document: str, number: int) -> float:
    """Seconds until it was done. Each person comes from an address of their own."""
    connection, start = Connection(server.port), time.perf_counter()
    address = {"x-forwarded-for": f"198.51.{100 + number // 200}.{number % 200 + 1}"}
    answer = await connection.post(document, headers=address, e=f"p{number}@example.com", p=PASSWORD)
    connection.close()
    data = answer.get("data")
    if "errors" in answer or not isinstance(data, dict) or any(payload["errors"] for payload in data.values()):
        raise RuntimeError(f"it was refused: {answer}")
    return time.perf_counter() - start


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Do many log-ins slow everybody else's queries?")
    parser.add_argument(
        "--rounds", type=int, default=5, help="pairs of rounds; at most 9, since accounts are throttled"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
