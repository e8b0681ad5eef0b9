"""An exchange as processes of their own: API, writer, projector, prices and mail, on Redis and the database's protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import components
from tests.flows.servers import Server, server, until
from tests.flows.traders import steady_prices


@dataclass
class ExchangeCluster:
    """Started part by part; every part ends with it."""

    parts: AsyncExitStack
    folder: Path
    settings: dict[str, str]
    mongo_url: str
    redis_port: int
    api_port: int

    async def start_redis(self) -> Any:
        """Redis, always on the same port, with nothing in it."""
        process, _ = await self.parts.enter_async_context(components.redis(self.folder, self.redis_port))
        return process

    async def worker(self, name: str, *work: str) -> Server:
        """A worker process that does this work."""
        settings = {**self.settings, "WORKER_PORT": str(components.free_port())}
        return await self.parts.enter_async_context(server(self.folder / name, "worker", *work, settings=settings))

    async def api(self) -> Server:
        """An API process that answers, always on the same port."""
        return await self.parts.enter_async_context(
            server(self.folder / "api", "api", settings=self.settings, port=self.api_port)
        )


async def says(worker: Server, text: str, times: int = 1) -> None:
    """Wait until a process has logged this so many times."""

    async def look() -> int:
        return worker.log().count(text)

    await until(look, lambda count: count >= times)


async def killed(process: Any) -> None:
    """kill -9, and wait for the end."""
    process.kill()
    await process.wait()


@asynccontextmanager
async def exchange_cluster(folder: Path) -> AsyncIterator[ExchangeCluster]:
    """Database and Redis, and nothing else started yet."""
    redis_port, api_port = components.free_port(), components.free_port()
    async with AsyncExitStack() as parts:
        _, mongo_url = await parts.enter_async_context(components.secantus(folder / "mongo"))
        settings = {
            **steady_prices(folder / "prices.csv"),
            "MONGO_URL": mongo_url,
            "MONGO_TIMEOUT_MS": "2000",
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        }
        yield ExchangeCluster(parts, folder, settings, mongo_url, redis_port, api_port)


async def started(cluster: ExchangeCluster) -> tuple[Server, Server]:
    """Prices and mail, and the API: what both tests need beside the exchange itself."""
    market, api = await asyncio.gather(cluster.worker("market", "market-data", "mail"), cluster.api())
    return market, api
