"""Kraken's WebSocket API version 2, as a client meets it: acknowledgements per symbol, exact digits, a checksum with every book message."""

from decimal import Decimal
from zlib import crc32

from tests.integrations.feeds.venues.sockets import Line, SocketVenue

TIME = "2023-10-06T17:35:55.440295Z"
BIDS = (
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
)
ASKS = (
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
)
CHECKSUM = 3310070434
"""Of the book above: the worked example of Kraken's guide "Book checksum (WebSocket v2)"."""


class KrakenVenue(SocketVenue):
    """One market, BTC/USD, with a deeper book than clients subscribe to."""

    def __init__(self) -> None:
        super().__init__()
        self.bids = dict(BIDS)
        self.asks = dict(ASKS)
        self.depth = 10

    async def on_message(self, line: Line, message: dict[str, object]) -> None:
        params = message["params"]
        assert isinstance(params, dict)
        for symbol in params["symbol"]:
            ack = {"method": message["method"], "time_in": TIME, "time_out": TIME}
            if symbol != "BTC/USD":
                await line.send({**ack, "error": f"Currency pair not supported {symbol}", "success": False})
                continue
            result = {"channel": params["channel"], "symbol": symbol}
            await line.send({**ack, "result": result, "success": True})
            if params["channel"] == "book" and message["method"] == "subscribe":
                self.depth = params["depth"]
                await self.book(line, "snapshot", self.best("bids", self.depth), self.best("asks", self.depth))

    async def change(self, line: Line, side: str, level: str, size: str, *, checksum: int | None = None) -> None:
        """Change one level, zero removes it, and say what that changes in the subscribed depth.

        As Kraken does: a level that moves into the depth is sent, one that is pushed out of it is not.
        """
        before = dict(self.best(side, self.depth))
        book = self.bids if side == "bids" else self.asks
        book.pop(level, None)
        if Decimal(size):
            book[level] = size
        after = dict(self.best(side, self.depth))
        pairs = [(name, after[name]) for name in after if before.get(name) != after[name]]
        if level in before and level not in book:
            pairs.append((level, "0"))
        await self.book(line, "update", *((pairs, []) if side == "bids" else ([], pairs)), checksum=checksum)

    async def book(
        self,
        line: Line,
        kind: str,
        bids: list[tuple[str, str]],
        asks: list[tuple[str, str]],
        *,
        checksum: int | None = None,
    ) -> None:
        """Send one book message."""
        entry = {
            "symbol": "BTC/USD",
            "bids": [{"price": Decimal(level), "qty": Decimal(size)} for level, size in bids],
            "asks": [{"price": Decimal(level), "qty": Decimal(size)} for level, size in asks],
            "checksum": self.checksum() if checksum is None else checksum,
            "timestamp": TIME,
        }
        await line.send({"channel": "book", "type": kind, "data": [entry]})

    def best(self, side: str, count: int) -> list[tuple[str, str]]:
        """The best levels of a side, best first, as text."""
        book = self.bids if side == "bids" else self.asks
        return sorted(book.items(), key=lambda pair: Decimal(pair[0]), reverse=side == "bids")[:count]

    def checksum(self) -> int:
        """Kraken's checksum, from the texts."""
        pairs = [*self.best("asks", 10), *self.best("bids", 10)]
        digits = [text.replace(".", "").lstrip("0") for pair in pairs for text in pair]
        return crc32("".join(digits).encode("ascii"))
