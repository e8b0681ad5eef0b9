"""Variables are coerced as graphql-core coerces them, or not at all."""

import random

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNonNull,
    OperationDefinitionNode,
    VariableDefinitionNode,
    get_variable_values,
    is_list_type,
    is_non_null_type,
    parse,
)
from graphql.execution.values import VariableValues

from core.money import use_wide_context
from graph.coercion import Coercion
from graph.numbers import unreadable_variables
from graph.schema import build_schema

SCHEMA = build_schema()._schema
NAMES = [
    name
    for name, each in SCHEMA.type_map.items()
    if isinstance(each, GraphQLInputObjectType | GraphQLEnumType) and not name.startswith("__")
]
OTHERS = ["[OrderSide!]", "[String!]!", "Decimal!", "Decimal", "Long", "DateTime!", "Int", "ID!", "Boolean", "String!"]
TYPES = [*sorted(NAMES), *(f"{name}!" for name in sorted(NAMES)), *OTHERS]
WELL: dict[str, list[object]] = {
    "Decimal": ["1.5", "-0.00000001", 7],
    "DateTime": ["2026-01-31T12:00:00.000Z"],
    "Int": [0, -5],
    "Long": [2**40],
    "Float": [0.5, 3],
    "Boolean": [True, False],
}
ODD: list[object] = [None, "1e5", 1.5, True, "", [], {}, {"unknown": 1}, [["deep"]], 2**70, "2026", {"orders": None}]


def some_json(kind: GraphQLInputType, source: random.Random, *, odd: float) -> object:
    """A value as a client sends it; each part is an odd one with this chance."""
    if source.random() < odd:
        return source.choice(ODD)
    if is_non_null_type(kind):
        return some_json(kind.of_type, source, odd=0)
    if source.random() < 0.15:
        return None
    if is_list_type(kind):
        return [some_json(kind.of_type, source, odd=odd) for _ in range(source.randrange(3))]
    if isinstance(kind, GraphQLInputObjectType):
        return {
            name: some_json(field.type, source, odd=odd)
            for name, field in kind.fields.items()
            if isinstance(field.type, GraphQLNonNull) or source.random() < 0.5
        }
    if isinstance(kind, GraphQLEnumType):
        return source.choice(list(kind.values))
    return source.choice(WELL.get(str(kind), [f"text {source.random()}"]))


def operation_of(declared: str) -> OperationDefinitionNode:
    operation = parse(f"query ($value: {declared}) {{ __typename }}").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def as_graphql_core_does(operation: OperationDefinitionNode, given: dict[str, object]) -> VariableValues | None:
    nodes: tuple[VariableDefinitionNode, ...] = tuple(operation.variable_definitions or ())
    found = get_variable_values(SCHEMA, nodes, given)
    if isinstance(found, list) or unreadable_variables(SCHEMA, operation, found.coerced):
        return None
    return found


@pytest.mark.parametrize("declared", TYPES)
def test_variables_are_those_of_graphql_core(declared: str) -> None:
    use_wide_context()
    operation, source = operation_of(declared), random.Random(declared)
    coercion = Coercion(SCHEMA, operation)
    signature = next(iter(coercion._variables)).signature
    for _ in range(60):
        given = {"value": some_json(signature.type, source, odd=0.05)} if source.random() < 0.95 else {}
        straight, expected = coercion.coerced(given), as_graphql_core_does(operation, given)
        if straight is None:
            continue
        assert expected is not None
        assert repr(straight.coerced) == repr(expected.coerced)
        assert repr(straight.sources) == repr(expected.sources)


def test_the_straight_way_is_taken_for_usual_values() -> None:
    operation = operation_of("PlaceOrderInput!")
    order = {"symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "2"}
    coerced = Coercion(SCHEMA, operation).coerced({"value": {"clientOrderId": "a", "order": order}})
    assert coerced is not None
    assert coerced.coerced["value"]["order"]["postOnly"] is False


@pytest.mark.parametrize(
    "order",
    [
        {"symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1e5"},
        {"symbol": "BTC-USDT", "side": "UP", "type": "LIMIT"},
        {"symbol": "BTC-USDT", "type": "LIMIT"},
        {"symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT", "colour": "red"},
        {"symbol": None, "side": "BUY", "type": "LIMIT"},
        "an order",
    ],
)
def test_the_straight_way_gives_up(order: object) -> None:
    operation = operation_of("PlaceOrderInput!")
    assert Coercion(SCHEMA, operation).coerced({"value": {"clientOrderId": "a", "order": order}}) is None


def test_a_default_is_left_to_graphql_core() -> None:
    operation = parse("query ($value: Int = 5) { __typename }").definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert Coercion(SCHEMA, operation).coerced({}) is None
