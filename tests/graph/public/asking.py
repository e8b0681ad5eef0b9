"""Random public operations of the real schema, and both ways to answer them."""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

import orjson
from graphql import GraphQLField, GraphQLInterfaceType, GraphQLObjectType

from core.vocabulary import FeedStatus, MarketStatus, Series
from events.market import BookLost, MarketRulesChanged, MarketStatusChanged
from graph.public import public_reads
from graph.request import QUERIES, Caller, GraphQLRequest
from tests.graph.compiled.random_documents import RandomDocuments
from tests.markets import BTC, CALLER, ETH, Markets, book, book_change, feed, levels, tick, ticker

TEXTS = (BTC, ETH, "BTC", "USDT", "ethereum", "7")


class PublicDocuments(RandomDocuments):
    """Asks for marked fields only."""

    def may_ask(self, type_: GraphQLObjectType | GraphQLInterfaceType, field: GraphQLField) -> bool:
        return isinstance(type_, GraphQLInterfaceType) or public_reads(field, type_) is not None


async def kept(markets: Markets, query: str, variables: Mapping[str, object], caller: Caller = CALLER) -> bytes:
    """The answer as the HTTP transport sends it, from what is kept where it is."""
    request = GraphQLRequest(query, variables=variables)
    answer = await markets.pipeline.execute(request, caller, allowed=QUERIES, encoded=True)
    return orjson.dumps(answer.body) if answer.encoded is None else b"".join(answer.encoded.parts(zipped=False))


async def executed(markets: Markets, query: str, variables: Mapping[str, object], caller: Caller = CALLER) -> bytes:
    """The same, executed by the operation's own code, which keeps nothing."""
    request = GraphQLRequest(query, variables=variables)
    answer = await markets.pipeline.execute(request, caller, allowed=QUERIES)
    return orjson.dumps(answer.body)


def without_cost(answer: bytes) -> dict[str, Any]:
    """An answer but for the points that are left."""
    body: dict[str, Any] = orjson.loads(answer)
    body.get("extensions", {}).get("cost", {}).pop("remaining", None)
    for error in body.get("errors", ()):
        error["extensions"].pop("requestId")
    return body


def data_of(answer: bytes) -> bytes:
    """Everything of an answer's bytes before its extensions."""
    return answer.rpartition(b',"extensions":')[0]


class Weather:
    """Random things that happen to markets: every kind of event that changes what public fields show, and some that do not."""

    def __init__(self, markets: Markets, random: Random) -> None:
        self._markets = markets
        self._random = random
        self._number = 10

    def change(self) -> None:
        """Let one thing happen."""
        self._number += 1
        symbol = self._random.choice((BTC, ETH))
        price = str(self._random.randint(50, 150))
        happens = self._random.choice(
            (self._tick, self._ticker, self._feed, self._series, self._silence, self._own, self._status, self._rules)
        )
        happens(symbol, price)

    def _tick(self, symbol: str, price: str) -> None:
        self._markets.apply(tick(self._number, price, symbol))

    def _ticker(self, symbol: str, price: str) -> None:
        self._markets.apply(ticker(symbol, price))

    def _feed(self, symbol: str, _price: str) -> None:
        self._markets.apply(feed(symbol, self._random.choice((FeedStatus.LIVE, FeedStatus.DEGRADED, FeedStatus.DOWN))))

    def _series(self, symbol: str, price: str) -> None:
        """Another kind of data begins: ticker and tick are forgotten, and arrive again."""
        self._markets.apply(feed(symbol, series=Series.SIMULATED), feed(symbol))
        if self._random.random() < 0.8:
            self._markets.apply(tick(self._number, price, symbol), ticker(symbol, price))

    def _silence(self, _symbol: str, _price: str) -> None:
        self._random.choice((self._markets.view, self._markets.exchange_view))._mark_stale()

    def _own(self, symbol: str, price: str) -> None:
        """This exchange's ticker, whose quotes follow its book."""
        own = self._random.choice(
            (
                ticker(symbol, price),
                book(self._number, symbol=symbol),
                book_change(self._number + 1, bids=levels((price, "3")), symbol=symbol),
                BookLost(symbol, "a test"),
            )
        )
        self._markets.apply_own(own)

    def _status(self, symbol: str, _price: str) -> None:
        self._markets.apply_own(MarketStatusChanged(symbol, self._random.choice(list(MarketStatus))))

    def _rules(self, symbol: str, price: str) -> None:
        step = Decimal(price) / 1000
        self._markets.apply(MarketRulesChanged(symbol, step, step, step, None, step))
