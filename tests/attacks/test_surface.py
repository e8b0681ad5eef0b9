"""The walk over the schema that the other attacks stand on: it finds every place, and says so when it cannot build a call."""

import pytest
from graphql import build_schema, parse, validate

from tests.attacks import surface

GROWN = build_schema("""
  type Query { viewer: Viewer search(filter: Filter!, first: Int): [Thing!] odd(at: Moment!): Int }
  type Mutation { move(input: MoveInput!): Int }
  type Subscription { things(ids: [ID!]!): Thing }
  type Viewer { orders: [Order!]! order(id: ID!): Order newest: Thing }
  interface Thing { id: ID! }
  type Order implements Thing { id: ID! fills(after: ID): Int }
  type Alert implements Thing { id: ID! again(id: ID!): Int }
  input Filter { of: [OfInput!] }
  input OfInput { owners: [ID!]! not: OfInput }
  input MoveInput { id: ID! to: Where! note: String }
  input Where @oneOf { account: ID address: String }
  scalar Moment
  directive @oneOf on INPUT_OBJECT
""")


def test_every_place_is_found_however_deep() -> None:
    assert sorted(map(str, surface.places("ID", schema=GROWN))) == [
        "mutation move(input.id)",
        "mutation move(input.to.account)",
        "query search(filter.of.owners)",
        "query viewer.newest.... on Alert.again(id)",
        "query viewer.order(id)",
        "query viewer.orders.fills(after)",
        "subscription things(ids)",
    ]


def test_a_value_stands_where_it_was_put() -> None:
    found = {str(place): place for place in surface.places("ID", schema=GROWN)}
    deep = found["query search(filter.of.owners)"]
    _, variables = surface.call(deep.site, place=deep, value="x")
    assert variables == {"filter": {"of": [{"owners": ["x"]}]}}
    other = found["mutation move(input.to.account)"]
    _, variables = surface.call(other.site, place=other, value="x")
    assert variables == {"input": {"id": surface.NOBODY, "to": {"account": "x"}}}


def test_what_cannot_be_called_is_said() -> None:
    odd = next(site for site in surface.sites(GROWN) if site.name == "odd")
    with pytest.raises(surface.CannotCall, match="add a value of the scalar Moment to DEFAULTS"):
        surface.call(odd)
    hidden = build_schema("""
      type Query { thing(name: String!): Thing }
      type Thing { order(id: ID!): Int }
    """)
    with pytest.raises(surface.CannotCall, match="takes an ID, and no query without arguments leads to Thing"):
        surface.sites(hidden)


@pytest.mark.parametrize("full", [False, True])
def test_every_field_of_the_served_schema_can_be_called(full: bool) -> None:
    for site in surface.sites():
        document, variables = surface.call(site, full=full)
        assert validate(surface.SCHEMA, parse(document)) == [], str(site)
        assert set(variables) <= set(site.field.args)
