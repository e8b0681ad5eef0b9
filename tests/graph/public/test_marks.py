"""What may be kept: the list of public fields, and that none of them knows who asks."""

from random import Random

import pytest
from graphql import FragmentDefinitionNode, GraphQLObjectType, OperationDefinitionNode, parse

from graph.context import Context
from graph.public import PrivateDataTouched, PublicContext, public_reads, reading_of
from graph.public_data import MarketSource
from graph.schema import build_schema
from tests.graph.public.asking import TEXTS, PublicDocuments, kept
from tests.markets import BTC, ETH, Markets, ticker

SCHEMA = build_schema()._schema
S = MarketSource
PUBLIC_RESOLVERS = {
    "Asset": {"networks", "price"},
    "AssetNetwork": {"chain", "explorerUrl"},
    "Chain": {"native"},
    "Market": {"base", "feed", "quote", "rules", "status", "ticker"},
    "Query": {"asset", "assets", "market", "markets"},
}
"""Every resolver that is marked. Add one here only when it reads no clock, no database and nothing of who asks, and all that it reads is counted."""


def test_these_resolvers_are_public_and_no_others() -> None:
    found: dict[str, set[str]] = {}
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                definition = field.extensions.get("strawberry-definition")
                if public_reads(field, type_) is not None and getattr(definition, "base_resolver", None) is not None:
                    found.setdefault(type_.name, set()).add(name)
    assert found == PUBLIC_RESOLVERS


PRIVATE_CONTEXT = [name for name in dir(Context) if not name.startswith("_") and name not in dir(PublicContext)]


def context() -> PublicContext:
    markets = Markets()
    public = markets.pipeline._public
    assert public is not None
    return public.context


@pytest.mark.parametrize("name", [*PRIVATE_CONTEXT, "services", "caller"])
def test_a_public_context_has_nobody_in_it(name: str) -> None:
    with pytest.raises(PrivateDataTouched, match=name):
        getattr(context(), name)


def test_what_a_public_context_has() -> None:
    assert {"viewer", "client", "cookies", "outgoing", "reader", "loaders", "accounts", "funds"} <= set(PRIVATE_CONTEXT)
    assert {name for name in dir(PublicContext) if not name.startswith("_")} == {
        "catalogue",
        "exchange_view",
        "market_data",
        "markets",
        "view",
        "view_of",
    }


@pytest.mark.parametrize("seed", range(4))
async def test_public_resolvers_run_without_a_viewer_a_database_or_a_wait(seed: int) -> None:
    """There is no database here, and the context raises when somebody is looked for in it: either would be INTERNAL."""
    markets = Markets().full(BTC, ETH).apply_own(ticker(BTC))
    documents = PublicDocuments(SCHEMA, Random(seed), texts=TEXTS)
    asked = 0
    while asked < 150:
        text, variables = documents.operation()
        answer = await kept(markets, text, variables)
        assert b'"INTERNAL"' not in answer, text
        asked += 1


@pytest.mark.parametrize(
    ("query", "sources"),
    [
        ("{ __typename }", set()),
        ("{ markets { nodes { symbol status rules { tickSize } } } }", {S.CATALOGUE, S.TICKER}),
        ('{ market(symbol: "BTC-USDT") { id ...on Node { id } base { code } } }', {S.CATALOGUE}),
        ('{ market(symbol: "BTC-USDT") { ticker { last spread } } }', {S.CATALOGUE, S.TICKER}),
        ('{ market(symbol: "BTC-USDT") { ticker(origin: EXCHANGE) { last } } }', {S.CATALOGUE, S.EXCHANGE_TICKER}),
        (
            'query ($o: MarketDataOrigin!) { market(symbol: "BTC-USDT") { ticker(origin: $o) { last } } }',
            {S.CATALOGUE, S.TICKER, S.EXCHANGE_TICKER},
        ),
        ('{ market(symbol: "BTC-USDT") { ...F } } fragment F on Market { feed { status } }', {S.CATALOGUE, S.FEED}),
        ('{ asset(code: "BTC") { price { price stale } } }', {S.CATALOGUE, S.TICK, S.FEED}),
    ],
)
def test_what_an_operation_reads(query: str, sources: set[MarketSource]) -> None:
    assert reading(query) == frozenset(sources)


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { id } }",
        "{ markets { nodes { symbol } } viewer { id } }",
        "{ markets { nodes { symbol watched } } }",
        "{ markets { nodes { symbol watched @skip(if: true) } } }",
        "{ markets { nodes { ...F } } } fragment F on Market { watched }",
        '{ market(symbol: "BTC-USDT") { orderBook { bids { price } } } }',
        '{ market(symbol: "BTC-USDT") { trades { nodes { price } } } }',
        '{ market(symbol: "BTC-USDT") { candles(interval: HOUR_1) { nodes { close } } } }',
        '{ market(symbol: "BTC-USDT") { sparkline } }',
        '{ market(symbol: "BTC-USDT") { trend { summary } } }',
        '{ asset(code: "BTC") { networks { chain { status { healthy } } } } }',
        '{ asset(code: "BTC") { networks { chain { gas { __typename } } } } }',
        '{ node(id: "TWFya2V0OkJUQy1VU0RU") { id } }',
        "{ status { version } }",
        "mutation { logOut { errors { code } } }",
        "subscription { priceTicks(symbols: []) { price } }",
    ],
)
def test_what_is_private_as_a_whole(query: str) -> None:
    assert reading(query) is None


def reading(query: str) -> frozenset[MarketSource] | None:
    operation, *others = parse(query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    fragments = {each.name.value: each for each in others if isinstance(each, FragmentDefinitionNode)}
    return reading_of(SCHEMA, operation, fragments)
