"""Arguments are gathered as graphql-core gathers them, with its errors."""

from collections.abc import Callable

import pytest
from graphql import FieldNode, GraphQLError, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values

from graph.compiled.arguments import gathering
from graph.schema import build_schema

SCHEMA = build_schema()._schema
PLACED = 'order: {symbol: $symbol, side: BUY, type: LIMIT, quantity: $quantity, price: "1.5"}'
PLACE = f"mutation ($id: String!, $symbol: String!, $quantity: Decimal) {{ placeOrder(input: {{clientOrderId: $id, {PLACED}}}) {{ replayed }} }}"
INPUT = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { replayed } }"
ORDERS = 'mutation ($order: OrderTerms!) { placeOrders(input: {orders: [{clientOrderId: "a", order: $order}]}) { results { replayed } } }'
CANCEL = (
    "mutation ($id: ID, $key: String) { cancelOrder(input: {by: {id: $id, clientOrderId: $key}}) { order { id } } }"
)
LISTED = (
    "mutation ($symbols: [String!]) { cancelAllOrders(input: {symbols: $symbols, sides: [BUY]}) { orders { id } } }"
)
TERMS = {"symbol": "A", "side": "SELL", "type": "MARKET"}


def prepared(text: str, given: dict[str, object]) -> tuple[OperationDefinitionNode, VariableValues]:
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    variables = get_variable_values(SCHEMA, operation.variable_definitions or (), given)
    assert not isinstance(variables, list)
    return operation, variables


def outcome(gather: Callable[[], object]) -> str:
    """What is given, or what is wrong."""
    try:
        return repr(gather())
    except (GraphQLError, ValueError) as error:
        return f"{type(error)}: {error}"


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (PLACE, {"id": "a", "symbol": "ETH-USDT", "quantity": "2"}),
        (PLACE, {"id": "a", "symbol": "ETH-USDT", "quantity": None}),
        (PLACE, {"id": "a", "symbol": "ETH-USDT"}),
        (INPUT, {"input": {"clientOrderId": "a", "order": TERMS}}),
        (ORDERS, {"order": TERMS}),
        (CANCEL, {"id": "a"}),
        (CANCEL, {"id": "a", "key": "b"}),
        (CANCEL, {}),
        (LISTED, {"symbols": ["A"]}),
        (LISTED, {"symbols": None}),
        (LISTED, {}),
    ],
)
def test_arguments_are_those_of_graphql_core(text: str, given: dict[str, object]) -> None:
    operation, variables = prepared(text, given)
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert SCHEMA.mutation_type is not None
    definition = SCHEMA.mutation_type.fields[node.name.value]
    gather = gathering(definition, node)
    expected = outcome(lambda: get_argument_values(definition, node, variables))
    assert outcome(lambda: gather(variables)) == expected


def test_what_could_be_changed_is_made_for_each_execution() -> None:
    operation, variables = prepared("mutation { cancelAllOrders(input: {sides: [BUY]}) { orders { id } } }", {})
    node = operation.selection_set.selections[0]
    assert isinstance(node, FieldNode)
    assert SCHEMA.mutation_type is not None
    gather = gathering(SCHEMA.mutation_type.fields["cancelAllOrders"], node)
    first, second = gather(variables)["input"], gather(variables)["input"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["sides"] is not second["sides"]
