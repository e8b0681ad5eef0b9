"""Answers of which a part is private: the public part is never older than its data, the rest is executed for each caller, and the bytes are those of an execution."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from unittest.mock import patch

import orjson
import pytest
from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationDefinitionNode,
    parse,
)

from core.errors import InvalidInput
from core.request_id import request_scope
from graph.forms import Form
from graph.public import is_blank, public_reads, reading_around_blanks
from graph.schema import build_schema
from tests.graph.compiled.random_documents import RandomDocuments
from tests.graph.public.asking import TEXTS, Weather, data_of, executed, kept, without_cost
from tests.markets import BTC, ETH, Markets, ticker

SCHEMA = build_schema()._schema
WATCHED = '{ markets(filter: {symbols: ["BTC-USDT", "ETH-USDT"]}) { nodes { symbol watched ticker { last } } } }'


class AroundBlanks(RandomDocuments):
    """Asks for public fields and blanks; below a blank for anything."""

    def may_ask(self, type_: GraphQLObjectType | GraphQLInterfaceType, field: GraphQLField) -> bool:
        if isinstance(type_, GraphQLInterfaceType):
            return True
        if type_ is self.schema.query_type:
            return public_reads(field, type_) is not None or field is type_.fields["viewer"]
        known = any(public_reads(each, type_) is not None for each in type_.fields.values())
        return not known or public_reads(field, type_) is not None or is_blank(field, type_)


def has_form(text: str) -> bool:
    node = parse(text)
    (operation,) = [each for each in node.definitions if isinstance(each, OperationDefinitionNode)]
    fragments = {each.name.value: each for each in node.definitions if isinstance(each, FragmentDefinitionNode)}
    return reading_around_blanks(SCHEMA, operation, fragments) is not None


@contextmanager
def watched_gives(give: Callable[[object], object]) -> Iterator[None]:
    """In the place of `Market.watched`, in schemas that are built meanwhile."""
    market = SCHEMA.type_map["Market"]
    assert isinstance(market, GraphQLObjectType)
    resolver = market.fields["watched"].extensions["strawberry-definition"].base_resolver
    with patch.object(resolver, "wrapped_func", give):
        yield


def held(markets: Markets) -> list[Form | None]:
    forms = markets.pipeline._forms
    assert forms is not None
    return [each.form for each in forms._held._held.values()]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 30))])
async def test_the_answer_is_that_of_an_execution_whatever_happens(seed: int) -> None:
    chance = Random(seed)
    markets = Markets().full(BTC, ETH).apply_own(ticker(BTC), ticker(ETH))
    documents, asked = AroundBlanks(SCHEMA, chance, texts=TEXTS), list[tuple[str, dict[str, object]]]()
    with request_scope("request-1"), patch("graph.errors.log"):
        while len(asked) < 12:
            text, variables = documents.operation()
            if has_form(text) and (len(asked) < 4 or b'"errors"' not in await executed(markets, text, variables)):
                asked.append((text, variables))
        weather = Weather(markets, chance)
        for _ in range(30):
            for text, variables in chance.sample(asked, 4):
                found, expected = await kept(markets, text, variables), await executed(markets, text, variables)
                assert without_cost(found) == without_cost(expected), text
                assert data_of(found) == data_of(expected), text
            weather.change()
    forms = markets.pipeline._forms
    assert forms is not None
    assert forms._held.hits > 5


async def test_what_is_public_is_kept_and_the_rest_is_asked_once_for_each_market() -> None:
    asked: list[object] = []

    def give(market: object) -> bool:
        asked.append(market)
        return len(asked) % 3 == 0

    with watched_gives(give):
        markets = Markets().full(BTC, ETH)
        answers = [orjson.loads(await kept(markets, WATCHED, {})) for _ in range(3)]
    assert [[each["watched"] for each in answer["data"]["markets"]["nodes"]] for answer in answers] == [
        [False, False],
        [True, False],
        [False, True],
    ]
    (form,) = held(markets)
    assert form is not None
    assert b"true" not in form.text


async def _later(value: object) -> object:
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


GIVEN: dict[str, Callable[[int], object | Awaitable[object]]] = {
    "a value": lambda _: True,
    "an error": lambda number: InvalidInput(f"error {number}"),
    "another kind of value": lambda _: "text",
    "what is to be awaited": lambda number: _later(number % 2 == 0),
    "an error that is awaited": lambda number: _later(InvalidInput("late") if number % 2 else True),
}


@pytest.mark.parametrize("given", GIVEN)
async def test_a_blank_is_completed_as_by_an_execution(given: str) -> None:
    counted = {"kept": 0, "executed": 0}
    way = "kept"

    def give(_market: object) -> object:
        counted[way] += 1
        value = GIVEN[given](counted[way])
        if isinstance(value, Exception):
            raise value
        return value

    with watched_gives(give), request_scope("request-1"), patch("graph.errors.log"):
        markets = Markets().full(BTC, ETH)
        for _ in range(3):
            way = "kept"
            found = await kept(markets, WATCHED, {})
            way = "executed"
            assert without_cost(found) == without_cost(expected := await executed(markets, WATCHED, {}))
            assert data_of(found) == data_of(expected)
    assert counted == {"kept": 6, "executed": 6}


async def test_an_error_is_told_where_the_market_is_now() -> None:
    query = "{ markets(orderBy: PRICE_DESC, first: 2) { nodes { symbol watched } } }"

    def give(market: object) -> bool:
        if getattr(market, "symbol", None) == ETH:
            raise InvalidInput("not yours")
        return True

    with watched_gives(give):
        markets = Markets().full(BTC, ETH)
        for price, place in (("7777", 0), ("7", 1), ("7778", 0)):
            markets.apply(ticker(ETH, price))
            answer = orjson.loads(await kept(markets, query, {}))
            assert [each["path"] for each in answer["errors"]] == [["markets", "nodes", place, "watched"]]
            assert answer["data"]["markets"]["nodes"][place] == {"symbol": ETH, "watched": None}


async def test_after_one_tick_one_market_is_encoded_again() -> None:
    markets = Markets().full(BTC, ETH)
    await kept(markets, WATCHED, {})
    store = markets.pipeline._judging._fragments
    assert store is not None
    (selection,) = store._selections
    before = dict(selection.markets)
    markets.apply(ticker(ETH, "7"))
    assert orjson.loads(await kept(markets, WATCHED, {}))["data"]["markets"]["nodes"][1]["ticker"]["last"] == "7"
    assert selection.markets[BTC] is before[BTC]
    assert selection.markets[ETH] is not before[ETH]


async def test_a_public_part_with_an_error_makes_no_form_until_its_data_change() -> None:
    markets = Markets().full(BTC)
    for _ in range(3):
        assert b"FEED_UNAVAILABLE" in await kept(markets, WATCHED, {})
    assert held(markets) == [None]
    markets.full(ETH)
    assert b"FEED_UNAVAILABLE" not in await kept(markets, WATCHED, {})
    assert [type(each) for each in held(markets)] == [Form]


async def test_a_form_is_made_with_nobodys_context() -> None:
    """A resolver that is marked as public and looks who asks gets into no form."""
    market = SCHEMA.type_map["Market"]
    assert isinstance(market, GraphQLObjectType)
    resolver = market.fields["feed"].extensions["strawberry-definition"].base_resolver
    with patch.object(resolver, "wrapped_func", lambda self, info: info.context.viewer):
        markets = Markets().full(BTC)
        answer = await kept(markets, '{ market(symbol: "BTC-USDT") { symbol watched feed { status } } }', {})
    assert orjson.loads(answer)["data"]["market"] == {"symbol": BTC, "watched": None, "feed": None}
    assert held(markets) == [None]


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ('{ market(symbol: "BTC-USDT") { symbol watched } }', True),
        ('{ market(symbol: "BTC-USDT") { symbol } viewer { id } }', True),
        ('{ market(symbol: "BTC-USDT") { symbol } }', False),
        ("{ viewer { id } }", False),
        ('{ market(symbol: "BTC-USDT") { symbol } node(id: "x") { id } }', True),
        ("subscription { priceTicks(symbols: []) { price } }", False),
    ],
)
def test_which_operations_have_forms(text: str, *, has: bool) -> None:
    assert has_form(text) is has


def test_blanks_are_private_resolvers_that_may_give_null() -> None:
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for field in type_.fields.values():
                if is_blank(field, type_):
                    assert public_reads(field, type_) is None
                    assert not str(field.type).endswith("!")
    market = SCHEMA.type_map["Market"]
    assert isinstance(market, GraphQLObjectType)
    assert {name for name, field in market.fields.items() if is_blank(field, market)} == {
        "candles",
        "indicators",
        "orderBook",
        "sparkline",
        "trades",
        "trend",
        "watched",
    }
