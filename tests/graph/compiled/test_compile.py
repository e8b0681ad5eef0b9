"""Compiled operations answer as graphql-core does: `data` to the byte, `errors` once sorted, every resolver once."""

import asyncio
import random
from contextlib import aclosing

import orjson
import pytest
from graphql import FragmentDefinitionNode, GraphQLError, OperationDefinitionNode, get_variable_values, parse, validate
from graphql.execution.values import VariableValues

from graph.compile import compiled
from graph.compiled.events import NotStarted
from graph.documents import Document
from graph.execution import with_document
from graph.schema import build_schema
from tests.graph.compiled.random_documents import RandomDocuments
from tests.graph.compiled.random_schema import SCHEMA, Chance
from tests.markets import BTC, ETH, Markets

GRAPHQL = SCHEMA._schema
Told = tuple[bytes, list[bytes]]
SEEDS, SOAK_SEEDS = range(1), range(1_000, 1_040)
PER_SEED = 50


def read(text: str) -> Document:
    node = parse(text)
    operations = [each for each in node.definitions if isinstance(each, OperationDefinitionNode)]
    fragments = {each.name.value: each for each in node.definitions if isinstance(each, FragmentDefinitionNode)}
    return Document(text, node, {each.name.value if each.name else None: each for each in operations}, fragments)


def told(errors: "list[GraphQLError] | None") -> list[bytes]:
    return sorted(orjson.dumps(each.formatted) for each in errors or ())


async def stock(document: Document, variables: dict[str, object], chance: Chance) -> tuple[bytes, list[bytes]]:
    result = await SCHEMA.execute(
        document.text, variables, context_value=chance, operation_extensions=with_document(document.node)
    )
    await settled()
    return orjson.dumps(result.data), told(result.errors)


async def stock_events(document: Document, variables: dict[str, object], chance: Chance) -> list[Told]:
    source = await SCHEMA.stream(
        document.text, variables, context_value=chance, operation_extensions=with_document(document.node)
    )
    async with aclosing(source) as results:
        return [(orjson.dumps(each.data), told(each.errors)) async for each in results]  # type: ignore[union-attr]


async def our_events(document: Document, variables: dict[str, object], chance: Chance) -> list[Told]:
    operation = next(iter(document.operations.values()))
    coerced = get_variable_values(GRAPHQL, operation.variable_definitions or (), variables)
    assert isinstance(coerced, VariableValues)
    made = compiled(SCHEMA, operation, document.fragments)
    assert made is not None
    results: list[Told] = []
    try:
        async with aclosing(made.events(chance, coerced, variables)) as outcomes:
            async for each in outcomes:
                results.append((orjson.dumps(each.data), told(list(each.errors))))
    except NotStarted as refused:
        results.append((b"null", told(list(refused.errors))))
    except GraphQLError as error:
        results.append((b"null", told([error])))
    except Exception as error:  # noqa: BLE001 - Strawberry tells of any
        results.append((b"null", told([GraphQLError(str(error))])))
    return results


async def settled() -> None:
    """Let what an error left behind come to its end."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


async def ours(document: Document, variables: dict[str, object], chance: Chance) -> tuple[bytes, list[bytes]]:
    operation = next(iter(document.operations.values()))
    coerced = get_variable_values(GRAPHQL, operation.variable_definitions or (), variables)
    assert isinstance(coerced, VariableValues)
    made = compiled(SCHEMA, operation, document.fragments)
    assert made is not None
    result = await made.execute(chance, coerced)
    await settled()
    again = Chance(chance.seed, chance.trouble)
    repeated = await made.execute(again, coerced)
    await settled()
    assert orjson.dumps(repeated.data) == orjson.dumps(result.data)
    return orjson.dumps(result.data), told(list(result.errors))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("kind", ["query", "mutation"])
@pytest.mark.parametrize("trouble", [0, 0.03, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
async def test_random_operations(seed: int, trouble: float, kind: str) -> None:
    await compare(seed, trouble, kind)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("trouble", [0, 0.03, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
async def test_random_subscriptions(seed: int, trouble: float) -> None:
    await compare_events(seed, trouble)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("seed", SOAK_SEEDS)
async def test_many_random_operations(seed: int) -> None:
    for kind in ("query", "mutation"):
        for trouble in (0, 0.03, 0.3):
            await compare(seed, trouble, kind)
    for trouble in (0, 0.03, 0.3):
        await compare_events(seed, trouble)


async def compare_events(seed: int, trouble: float) -> None:
    chance = random.Random(seed)
    documents = RandomDocuments(GRAPHQL, chance)
    compared = 0
    while compared < PER_SEED:
        text, variables = documents.operation("subscription")
        document = read(text)
        if validate(GRAPHQL, document.node):
            continue
        number = chance.randrange(2**32)
        expected = await stock_events(document, variables, first := Chance(number, trouble))
        await settled()
        given = await our_events(document, variables, second := Chance(number, trouble))
        await settled()
        assert given == expected, text
        assert sorted(second.calls) == sorted(first.calls), text
        compared += 1


async def compare(seed: int, trouble: float, kind: str) -> None:
    chance = random.Random(seed)
    documents = RandomDocuments(GRAPHQL, chance)
    compared = 0
    while compared < PER_SEED:
        text, variables = documents.operation(kind)
        document = read(text)
        if validate(GRAPHQL, document.node):
            continue
        number = chance.randrange(2**32)
        expected, theirs = await stock(document, variables, first := Chance(number, trouble))
        data, errors = await ours(document, variables, second := Chance(number, trouble))
        assert data == expected, text
        assert errors == theirs, text
        assert sorted(second.calls) == sorted(first.calls), text
        compared += 1


@pytest.mark.usefixtures("database")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 4))])
async def test_random_queries_of_the_real_schema(seed: int) -> None:
    """Asked by a stranger, of markets whose every figure is known."""
    markets = Markets().full(BTC, ETH)
    schema, chance = build_schema(), random.Random(seed)
    documents = RandomDocuments(schema._schema, chance, texts=(BTC, ETH, "BTC", "USDT", "ethereum", "7"))
    compared = 0
    while compared < 100:
        text, variables = documents.operation()
        document = read(text)
        operation = document.operations["Q"]
        coerced = get_variable_values(schema._schema, operation.variable_definitions or (), variables)
        if validate(schema._schema, document.node) or not isinstance(coerced, VariableValues):
            continue
        made = compiled(schema, operation, document.fragments)
        assert made is not None
        with_them = await schema.execute(
            text, variables, markets.context(), operation_extensions=with_document(document.node)
        )
        with_us = await made.execute(markets.context(), coerced)
        assert orjson.dumps(with_us.data) == orjson.dumps(with_them.data), text
        assert told(list(with_us.errors)) == told(with_them.errors), text
        compared += 1


async def test_what_is_left_to_graphql_core() -> None:
    for text in ("{ __schema { description } }", '{ ...F } fragment F on Query { __type(name: "Query") { name } }'):
        document = read(text)
        assert compiled(SCHEMA, next(iter(document.operations.values())), document.fragments) is None


async def test_an_operation_is_compiled_anew_for_other_conditions() -> None:
    document = read("query Q($on: Boolean!) { plain { text @include(if: $on) __typename } }")
    operation = document.operations["Q"]
    made = compiled(SCHEMA, operation, document.fragments)
    assert made is not None
    for on in (True, False, True):
        coerced = get_variable_values(GRAPHQL, operation.variable_definitions or (), {"on": on})
        assert isinstance(coerced, VariableValues)
        result = await made.execute(Chance(1, 0), coerced)
        assert result.data is not None
        plain = result.data["plain"]
        assert isinstance(plain, list)
        assert [sorted(each) for each in plain] == [sorted(["__typename", *(["text"] if on else [])])] * len(plain)
