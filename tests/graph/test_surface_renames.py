"""What docs/surface-renames.json tells of is in the schema."""

import json
import re

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, build_schema

from tests.components import ROOT, schema_text

SCHEMA = build_schema(schema_text())
DIFFERENCES = json.loads((ROOT / "docs" / "surface-renames.json").read_text())["differences"]


def exists(place: str) -> bool:
    """Whether the schema has this `Type.field`, `Type.field(argument:)`, `Input.field` or `Enum.VALUE`."""
    parts = re.fullmatch(r"(\w+)\.(\w+)(?:\((\w+):\))?", place)
    if parts is None:
        return False
    owner, member, argument = parts.groups()
    kind = SCHEMA.get_type(owner)
    if isinstance(kind, GraphQLEnumType):
        return member in kind.values
    if isinstance(kind, GraphQLInputObjectType):
        return member in kind.fields
    if not isinstance(kind, GraphQLObjectType) or member not in kind.fields:
        return False
    return argument is None or argument in kind.fields[member].args


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row["place"])
def test_it_is_built(row: dict[str, str]) -> None:
    assert set(row) == {"place", "designed", "built", "why"}
    assert exists(row["place"])
    named = re.findall(r"`([A-Z]\w+\.\w+(?:\(\w+:\))?)`", row["built"])
    assert [place for place in named if not exists(place)] == []
