"""Costs worked out by hand."""

import pytest
from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode, parse

from core.errors import ExpectedError
from graph.cost import INTROSPECTION_POINTS, LIST_SIZE, MUTATION_POINTS, PAGE_SIZE, CostModel, OperationCost
from graph.schema import build_schema as build_real_schema
from tests.graph.sample import build_pipeline, build_schema


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema()._schema


def cost(schema: GraphQLSchema, text: str, **variables: object) -> OperationCost:
    document = parse(text)
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return CostModel(schema).of(operation, fragments, variables)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("{ __typename }", 1),
        ("{ sequence }", 1),
        ('{ market(symbol: "A") { symbol } }', 1),
        ('{ market(symbol: "A") { symbol ticker { last } } }', 2),
        ("{ expensive }", 500),
        ("{ expensive a: expensive }", 1_000),
        ("{ markets(first: 100) { nodes { symbol ticker { last } self { symbol } } } }", 1 + 100 * 3),
        ("{ markets(first: 7) { edges { node { symbol } } } }", 1 + 7 * 2),
        ("{ markets { nodes { symbol } } }", 1 + PAGE_SIZE),
        ("{ markets(first: 2) { nodes { networks { last } } } }", 1 + 2 * (1 + LIST_SIZE)),
        ("{ markets(first: 0) { nodes { symbol } } }", 1),
        ("{ markets(first: -5) { nodes { symbol } } }", 1),
        ('{ nodes(ids: ["a", "b", "c"]) { ticker { last } } }', 3 * 2),
        ("{ nodes(ids: []) { symbol } }", 1),
        ("{ ...f ...f } fragment f on Query { expensive }", 1_000),
        ("{ ... on Query { ... { expensive } } }", 500),
        ("mutation { place }", MUTATION_POINTS),
        ("mutation { place a: place }", 2 * MUTATION_POINTS),
        ("{ __schema { types { fields { name } } } }", INTROSPECTION_POINTS),
    ],
)
def test_queries_and_mutations(schema: GraphQLSchema, text: str, points: int) -> None:
    assert cost(schema, text) == OperationCost(points)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subscription { count }", OperationCost(3, 2)),
        ('subscription { ticks(symbols: ["A"]) { symbol ticker { last } } }', OperationCost(1, 1 + 1)),
        ('subscription { ...f } fragment f on Subscription { ticks(symbols: ["A"]) { symbol } }', OperationCost(1, 1)),
    ],
)
def test_subscriptions_have_a_start_and_events(schema: GraphQLSchema, text: str, expected: OperationCost) -> None:
    assert cost(schema, text) == expected


def test_sizes_come_from_variables(schema: GraphQLSchema) -> None:
    text = "query ($n: Int, $ids: [ID!]!) { markets(first: $n) { nodes { symbol } } nodes(ids: $ids) { symbol } }"
    assert cost(schema, text, n=20, ids=["a", "b"]).points == 1 + 20 + 2
    assert cost(schema, text, n=None, ids=[]).points == 1 + PAGE_SIZE


def test_a_mutation_that_does_several_things_costs_as_much_as_each_of_them() -> None:
    real = build_real_schema()._schema
    one = 'mutation { placeOrder(input: {clientOrderId: "a", order: {symbol: "A", side: BUY, type: MARKET}}) { order { id } } }'
    order = '{clientOrderId: "a", order: {symbol: "A", side: BUY, type: MARKET}}'
    several = "mutation { placeOrders(input: {orders: [%s]}) { results { order { id } } } }"
    by_variable = "mutation($i: PlaceOrdersInput!) { placeOrders(input: $i) { results { order { id } } } }"
    by_field = "mutation($o: [PlaceOrderInput!]!) { placeOrders(input: {orders: $o}) { results { order { id } } } }"
    single = cost(real, one).points
    twenty = cost(real, several % ", ".join([order] * 20)).points
    assert twenty == 20 * (single + 1), "an object of results each"
    assert cost(real, by_variable, i={"orders": [{}] * 20}).points == twenty
    assert cost(real, by_field, o=[{}] * 20).points == twenty
    assert cost(real, by_variable).points == cost(real, several % order).points


def test_fragments_spread_exponentially_cost_without_being_walked_so(schema: GraphQLSchema) -> None:
    chain = "".join(f"fragment f{n} on Market {{ self {{ ...f{n + 1} }} ticker {{ last }} ...g{n + 1} }} "
                    f"fragment g{n} on Market {{ self {{ ...f{n + 1} ...g{n + 1} }} }} " for n in range(60))  # fmt: skip
    text = f'{{ market(symbol: "A") {{ ...f0 }} }} {chain} fragment f60 on Market {{ symbol }} fragment g60 on Market {{ symbol }}'
    assert cost(schema, text).points > 10**9


def test_a_page_of_markets_as_the_product_shows_it_passes_the_limit() -> None:
    pipeline = build_pipeline()
    text = "{ markets(first: 100) { nodes { symbol ticker { last } self { networks { last } } } } }"
    assert pipeline.estimate(text).points == 1 + 100 * (1 + 1 + 1 + LIST_SIZE) <= pipeline.cost_limit


def test_an_estimate_takes_variables_and_refuses_what_is_no_operation() -> None:
    pipeline = build_pipeline()
    text = "query ($n: Int!) { markets(first: $n) { nodes { symbol } } }"
    assert pipeline.estimate(text, {"n": 9}) == OperationCost(10)
    assert pipeline.estimate("subscription { count }") == OperationCost(3, 2)
    for wrong, code in (
        ("{", "BAD_USER_INPUT"),
        ("{ nothing }", "BAD_USER_INPUT"),
        (text, "BAD_USER_INPUT"),
        ("query A { sequence } query B { sequence }", "OPERATION_RESOLUTION_FAILURE"),
        ("{" + "a " * 2_000 + "}", "DOCUMENT_TOO_LONG"),
    ):
        with pytest.raises(ExpectedError) as refused:
            pipeline.estimate(wrong)
        assert refused.value.code == code
