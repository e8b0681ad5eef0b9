"""CryptoVault as it runs in production: one API process on its core, with Redis, a database and the relay of ticks on the other.

The API is the real one (`bench/vault_api.py`), and so are the messages it is sent (`bench/relay.py`). Only limits are raised that protect it from
a single client, which a load client is.
"""

import asyncio
import os
import re
import secrets
import shutil
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from bench import processes, shape
from bench.clients import Cores
from bench.http import Connection
from bench.servers import free_port
from core.clock import SystemClock
from server.embedded import embedded_database

EMAIL = "trader@bench.example"
PASSWORD = "a fine day for sailing"  # noqa: S105
SIGN_UP = "mutation($e: String!, $p: String!) { signUp(input: {email: $e, password: $p}) { errors { code } } }"
LOG_IN = """mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p, delivery: VALUES}) {
  tokens { accessToken } errors { code } } }"""
READY_SECONDS = 60.0
TOKEN_SECONDS = 600.0
"""A token is good for 15 minutes."""
LIMITS = {
    "COST_LIMIT_PER_MINUTE": "60000000000",
    "SOCKETS_PER_ADDRESS": "100000",
    "BREACHED_PASSWORD_CHECK": "false",
    "PASSWORD_HASH_KIB": "8192",
    "PASSWORD_HASH_PASSES": "1",
    "LOG_LEVEL": "error",
}
_COUNTER = re.compile(r"^(\w*(?:cache|kept)\w*(?:\{[^}]*\})?) ([0-9.e+]+)$", re.MULTILINE)


@dataclass(slots=True)
class Session:
    """Of an account in one database. It is signed in again only once its token grows old: so many log-ins in so short a time would be refused."""

    _token: str = ""
    _taken_at: float = -TOKEN_SECONDS

    async def token(self, port: int) -> str:
        """An access token."""
        if time.monotonic() - self._taken_at >= TOKEN_SECONDS:
            self._token, self._taken_at = await _signed_in(port), time.monotonic()
        return self._token


@dataclass(frozen=True, slots=True)
class Backing:
    """What the API stands on, and its environment."""

    environment: Mapping[str, str]
    control_port: int
    redis_port: int
    relay_pid: int
    redis_pid: int
    folder: Path
    session: Session


@dataclass(frozen=True, slots=True)
class Api:
    """A running API process and the token of an account of it."""

    port: int
    pid: int
    token: str

    def counters(self) -> dict[str, float]:
        """What it counts of its caches, by Prometheus name."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return {name: float(value) for name, value in _COUNTER.findall(answer.read().decode())}


@asynccontextmanager
async def backing(folder: Path, cores: Cores) -> AsyncIterator[Backing]:
    """Start Redis, the embedded database and the relay on the core that is not the server's; this process must be on it already."""
    redis_program = shutil.which("redis-server")
    if redis_program is None:
        raise RuntimeError("redis-server is missing (Debian package redis-server)")
    redis_port, control_port = free_port(), free_port()
    redis_arguments = ("--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    async with (
        embedded_database(folder / "data", SystemClock()) as database,
        processes.running((redis_program, *redis_arguments), core=cores.rest, said=folder / "redis.log") as redis,
    ):
        await processes.listening(redis_port, redis)
        environment = {
            "PATH": os.environ["PATH"],
            "MONGO_URL": database.url,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "ENCRYPTION_KEY": b64encode(secrets.token_bytes(32)).decode(),
            **LIMITS,
        }
        command = (sys.executable, "-m", "bench.relay", str(control_port))
        async with processes.running(
            command, core=cores.rest, said=folder / "relay.log", environment=environment
        ) as relay:
            await processes.listening(control_port, relay)
            yield Backing(environment, control_port, redis_port, relay.pid, redis.pid, folder, Session())


@asynccontextmanager
async def vault(
    ground: Backing, cores: Cores, settings: Mapping[str, str], control_port: int | None = None
) -> AsyncIterator[Api]:
    """Start an API process, wait until it knows every market, and sign in. `control_port`: where it hears ticks itself, as peers do; None: over Redis."""
    port = free_port()
    environment = {**ground.environment, "PORT": str(port), **settings}
    heard_at = () if control_port is None else (str(control_port),)
    command = (sys.executable, "-m", "bench.vault_api", *heard_at)
    async with processes.running(
        command, core=cores.server, said=ground.folder / "api.log", environment=environment
    ) as api:
        await processes.listening(port, api)
        async with asyncio.timeout(READY_SECONDS):
            await _markets_known(port)
        yield Api(port, api.pid, await ground.session.token(port))


async def _markets_known(port: int) -> None:
    connection = Connection(port)
    try:
        while True:
            answer = await connection.post(shape.markets_query("ticker").text)
            if "errors" not in answer:
                return
            await asyncio.sleep(0.1)
    finally:
        connection.close()


async def _signed_in(port: int) -> str:
    """An access token. The account is made by the first API process of a database."""
    connection = Connection(port)
    try:
        await connection.post(SIGN_UP, e=EMAIL, p=PASSWORD)
        answer = await connection.post(LOG_IN, e=EMAIL, p=PASSWORD)
    finally:
        connection.close()
    data = answer.get("data")
    tokens = data["logIn"]["tokens"] if isinstance(data, dict) else None
    if tokens is None:
        raise RuntimeError(f"cannot sign in: {answer}")
    return str(tokens["accessToken"])
