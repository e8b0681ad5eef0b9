"""Integrators read the API in the explorer: nothing there may be without words."""

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    is_introspection_type,
    is_specified_scalar_type,
)

from graph.schema import build_schema


def undescribed(kind: GraphQLNamedType) -> list[str]:
    missing = [] if kind.description else [kind.name]
    if isinstance(kind, GraphQLEnumType):
        missing += [f"{kind.name}.{name}" for name, value in kind.values.items() if not value.description]
    if isinstance(kind, GraphQLInputObjectType):
        missing += [f"{kind.name}.{name}" for name, field in kind.fields.items() if not field.description]
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in kind.fields.items():
            if not field.description:
                missing.append(f"{kind.name}.{name}")
            missing += [
                f"{kind.name}.{name}({argument}:)"
                for argument, definition in field.args.items()
                if not definition.description
            ]
    return missing


def test_everything_is_described() -> None:
    schema = build_schema()._schema
    ours = [
        kind
        for kind in schema.type_map.values()
        if not is_introspection_type(kind) and not is_specified_scalar_type(kind)
    ]
    assert len(ours) > 40
    assert [name for kind in ours for name in undescribed(kind)] == []
