"""Inputs are built as Strawberry builds them, whatever they hold."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLScalarType,
    is_list_type,
    is_non_null_type,
)
from strawberry import UNSET
from strawberry.types.arguments import convert_argument
from strawberry.types.base import StrawberryObjectDefinition

from graph.schema import build_schema

SCHEMA = build_schema()
INPUTS = {
    name: each
    for name, each in SCHEMA._schema.type_map.items()
    if isinstance(each, GraphQLInputObjectType) and "strawberry-definition" in each.extensions
}
SCALARS = {
    "Decimal": Decimal("1.5"),
    "DateTime": datetime(2026, 1, 31, tzinfo=UTC),
    "Int": 7,
    "Long": 2**40,
    "Float": 0.5,
    "Boolean": True,
}


def definition_of(kind: GraphQLInputObjectType) -> StrawberryObjectDefinition:
    definition = kind.extensions["strawberry-definition"]
    assert isinstance(definition, StrawberryObjectDefinition)
    return definition


def some_value(kind: GraphQLInputType, source: random.Random) -> object:
    """A value as graphql-core hands it on."""
    if is_non_null_type(kind):
        return some_given(kind.of_type, source)
    return None if source.random() < 0.2 else some_given(kind, source)


def some_given(kind: GraphQLInputType, source: random.Random) -> object:
    if is_list_type(kind):
        return [some_value(kind.of_type, source) for _ in range(source.randrange(3))]
    if isinstance(kind, GraphQLInputObjectType):
        return {
            name: some_value(field.type, source)
            for name, field in kind.fields.items()
            if is_non_null_type(field.type) or source.random() < 0.6
        }
    if isinstance(kind, GraphQLEnumType):
        return source.choice([each.value for each in kind.values.values()])
    assert isinstance(kind, GraphQLScalarType)
    return SCALARS.get(kind.name, f"text {source.random()}")


@contextmanager
def strawberrys_own() -> Iterator[None]:
    """Without what is tested here."""
    kept = {name: definition_of(kind).from_input for name, kind in INPUTS.items()}
    for kind in INPUTS.values():
        definition_of(kind).from_input = None
    try:
        yield
    finally:
        for name, kind in INPUTS.items():
            definition_of(kind).from_input = kept[name]


def converted(kind: GraphQLInputObjectType, value: object) -> object:
    return convert_argument(
        value, definition_of(kind).origin, SCHEMA.schema_converter.scalar_registry, SCHEMA.config, path=("input",)
    )


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_an_input_is_built_as_strawberry_builds_it(name: str) -> None:
    kind, source = INPUTS[name], random.Random(name)
    assert definition_of(kind).from_input is not None
    for _ in range(30):
        value = some_given(kind, source)
        with strawberrys_own():
            expected = converted(kind, value)
        built = converted(kind, value)
        assert built == expected
        assert repr(built) == repr(expected)  # UNSET and None apart, whatever they are equal to


def test_a_list_within_an_input_is_a_copy() -> None:
    kind = INPUTS["PlaceOrdersInput"]
    value: dict[str, object] = {"orders": []}
    assert converted(kind, value).orders is not value["orders"]  # type: ignore[attr-defined]


def test_what_is_unset_stays_unset() -> None:
    assert converted(INPUTS["OrderRef"], {"id": UNSET}).id is UNSET  # type: ignore[attr-defined]
