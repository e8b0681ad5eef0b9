"""`python -m bench.peers.stock PORT CONTROL_PORT SHAPE_FILE`: Strawberry on FastAPI as its documentation shows it, with its caches for parsing and validation."""

import asyncio
import enum
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NewType

import jwt
import orjson
import strawberry
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from strawberry.extensions import ParserCache, SchemaExtension, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition
from strawberry.utils.str_converters import to_snake_case

from bench.peers import control

Amount = NewType("Amount", str)
Moment = NewType("Moment", str)
Count = NewType("Count", int)


@strawberry.enum
class MarketStatus(enum.Enum):
    """As ours."""

    TRADING = "TRADING"
    POST_ONLY = "POST_ONLY"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALTED = "HALTED"


@strawberry.type
class Asset:
    """As ours."""

    code: str


@strawberry.type
class Ticker:
    """As ours."""

    last: Amount | None
    bid: Amount | None
    ask: Amount | None
    open24h: Amount | None
    high24h: Amount | None
    low24h: Amount | None
    volume24h: Amount | None
    change_percent24h: Amount | None


@strawberry.type
class MarketRules:
    """As ours."""

    tick_size: Amount
    lot_size: Amount
    min_quantity: Amount
    max_quantity: Amount | None
    min_notional: Amount
    price_band: Amount | None
    maker_fee: Amount
    taker_fee: Amount


@strawberry.type
class Market:
    """As ours."""

    id: strawberry.ID
    symbol: str
    base: Asset
    quote: Asset
    status: MarketStatus
    watched: bool | None
    rules: MarketRules
    ticker: Ticker | None


@strawberry.type
class PageInfo:
    """As ours."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class MarketConnection:
    """As ours."""

    nodes: list[Market]
    page_info: PageInfo


@strawberry.type
class User:
    """As ours."""

    id: strawberry.ID
    email: str | None


@strawberry.type
class PriceTick:
    """As ours."""

    symbol: str
    price: Amount
    bid: Amount | None
    ask: Amount | None
    time: Moment
    sequence: Count


class Data:
    """What is served: the markets of the file, users by their token, and ticks to whoever reads them."""

    def __init__(self, file: Path) -> None:
        shape = orjson.loads(file.read_bytes())
        self.markets = {row["symbol"]: _market(row) for row in shape["markets"]}
        self._users = {
            key: User(id=strawberry.ID(user["id"]), email=user["email"]) for key, user in shape["users"].items()
        }
        self._shape = shape
        key = load_pem_public_key(shape["publicKey"].encode())
        assert isinstance(key, Ed25519PublicKey)
        self._key = key
        self._readers: dict[str, set[asyncio.Queue[PriceTick]]] = {}

    def viewer(self, authorization: str | None) -> User | None:
        """Whose token it is. Raises jwt.InvalidTokenError."""
        if authorization is None or not authorization.startswith("Bearer "):
            return None
        claims = jwt.decode(
            authorization[7:],
            self._key,
            algorithms=["EdDSA"],
            audience=self._shape["audience"],
            issuer=self._shape["issuer"],
        )
        return self._users.get(claims["sub"])

    def take(self, line: bytes) -> None:
        """A tick: the market's ticker follows it, and whoever reads it is told."""
        tick = PriceTick(**orjson.loads(line))
        market = self.markets.get(tick.symbol)
        if market is not None and market.ticker is not None:
            market.ticker = replace(market.ticker, last=tick.price, bid=tick.bid, ask=tick.ask)
        for queue in self._readers.get(tick.symbol, ()):
            queue.put_nowait(tick)

    async def read(self, symbols: Sequence[str]) -> AsyncGenerator[PriceTick, None]:
        """Ticks of these markets from now on."""
        queue: asyncio.Queue[PriceTick] = asyncio.Queue()
        for symbol in symbols:
            self._readers.setdefault(symbol, set()).add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            for symbol in symbols:
                self._readers[symbol].discard(queue)


Info = strawberry.Info[dict[str, object], None]


@strawberry.type
class Query:
    """As ours."""

    @strawberry.field
    def markets(self, info: Info, first: int | None = None) -> MarketConnection | None:
        data = info.context["data"]
        assert isinstance(data, Data)
        nodes = list(data.markets.values())[:first]
        return MarketConnection(
            nodes=nodes, page_info=PageInfo(has_next_page=len(nodes) < len(data.markets), end_cursor=nodes[-1].id)
        )

    @strawberry.field
    def viewer(self, info: Info) -> User | None:
        viewer = info.context["viewer"]
        assert viewer is None or isinstance(viewer, User)
        return viewer


@strawberry.type
class Subscription:
    """As ours."""

    @strawberry.subscription
    async def price_ticks(self, info: Info, symbols: list[str]) -> AsyncGenerator[PriceTick, None]:
        data = info.context["data"]
        assert isinstance(data, Data)
        async for tick in data.read(symbols):
            yield tick


def _market(row: dict[str, Any]) -> Market:
    figures = {
        "change_percent24h" if name == "changePercent24h" else name: value for name, value in row["ticker"].items()
    }
    rules = {to_snake_case(name): value for name, value in row["rules"].items()}
    return Market(
        id=strawberry.ID(row["id"]),
        symbol=row["symbol"],
        base=Asset(code=row["base"]["code"]),
        quote=Asset(code=row["quote"]["code"]),
        status=MarketStatus(row["status"]),
        watched=row["watched"],
        rules=MarketRules(**rules),
        ticker=Ticker(**figures),
    )


def build(data: Data, control_port: int) -> FastAPI:
    """The application."""
    scalars: dict[object, ScalarDefinition] = {
        Amount: strawberry.scalar(name="Decimal", serialize=str),
        Moment: strawberry.scalar(name="DateTime", serialize=str),
        Count: strawberry.scalar(name="Long", serialize=int),
    }
    extensions: list[type[SchemaExtension] | Callable[[], SchemaExtension]] = [ParserCache, ValidationCache]
    schema = strawberry.Schema(
        Query, subscription=Subscription, extensions=extensions, config=StrawberryConfig(scalar_map=scalars)
    )

    def context(connection: HTTPConnection) -> dict[str, object]:
        return {"data": data, "viewer": data.viewer(connection.headers.get("authorization"))}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        async with await control.listen(control_port, data.take):
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app


def main(arguments: list[str]) -> int:
    """Serve until the process ends."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    port, control_port, shape = arguments
    app = build(Data(Path(shape)), int(control_port))
    uvicorn.run(
        app,
        port=int(port),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
        backlog=4096,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
