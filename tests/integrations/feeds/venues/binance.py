"""Binance spot, as a client meets it: SUBSCRIBE with acknowledgements, combined messages, REST snapshots, and one engine behind both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from tests.integrations.feeds.venues.sockets import Line, SocketVenue
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request


class Engine:
    """A market's true book; every change of one level takes the next update id."""

    def __init__(self) -> None:
        self.last_id = 1000
        self.bids: dict[Decimal, Decimal] = {Decimal(100): Decimal(1)}
        self.asks: dict[Decimal, Decimal] = {Decimal(101): Decimal(1)}

    def change(self, changes: list[tuple[str, Decimal, Decimal]]) -> dict[str, object]:
        """Change levels, ("b" or "a", price, quantity), and return the diff message of all of them."""
        first = self.last_id + 1
        diff: dict[str, dict[str, str]] = {"b": {}, "a": {}}
        for name, level, size in changes:
            side = self.bids if name == "b" else self.asks
            self.last_id += 1
            side.pop(level, None)
            if size:
                side[level] = size
            diff[name][f"{level:.8f}"] = f"{size:.8f}"
        return {
            "e": "depthUpdate",
            "E": 1_700_000_000_000 + self.last_id,
            "s": "BTCUSDT",
            "U": first,
            "u": self.last_id,
            "b": [list(pair) for pair in diff["b"].items()],
            "a": [list(pair) for pair in diff["a"].items()],
        }

    def snapshot(self) -> dict[str, object]:
        """The answer of GET /api/v3/depth now."""
        return {
            "lastUpdateId": self.last_id,
            "bids": [[f"{level:.8f}", f"{size:.8f}"] for level, size in sorted(self.bids.items(), reverse=True)],
            "asks": [[f"{level:.8f}", f"{size:.8f}"] for level, size in sorted(self.asks.items())],
        }


class BinanceVenue(SocketVenue):
    """One market, BTCUSDT. `replies` overrides the answer of a path."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()
        self.replies: dict[str, Reply] = {"/api/v3/ping": Reply({})}
        self.web = HttpVenue(self._answer)

    @property
    def snapshots_asked(self) -> int:
        """Depth snapshots asked for so far."""
        return sum(request.path == "/api/v3/depth" for request in self.web.requests)

    async def on_message(self, line: Line, message: dict[str, object]) -> None:
        if message.get("method") == "SUBSCRIBE":
            await line.send({"result": None, "id": message["id"]})

    async def trade(self, line: Line, changes: list[tuple[str, Decimal, Decimal]]) -> None:
        """Change the book and say so."""
        await line.send({"stream": "btcusdt@depth@100ms", "data": self.engine.change(changes)})

    @asynccontextmanager
    async def both(self) -> AsyncIterator["BinanceVenue"]:
        """Socket and REST, for as long as the block runs."""
        async with self.listening(), self.web.listening():
            yield self

    def _answer(self, request: Request) -> Reply:
        if request.path in self.replies:
            return self.replies[request.path]
        if request.path == "/api/v3/depth" and request.query.get("symbol") == "BTCUSDT":
            return Reply(self.engine.snapshot(), headers={"X-MBX-USED-WEIGHT-1M": "50"})
        return Reply({"code": -1121, "msg": "Invalid symbol."}, status=400)
