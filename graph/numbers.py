"""Malformed numbers: refused before anything runs, but for inputs that answer them as data.

The Decimal scalar hands a malformed number on as `Unreadable`. In an input field of the type `OrderNumber` that is the business of whoever
reads the input; everywhere else it is refused here: in a document by a rule of validation, in variables when they are coerced.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FloatValueNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    IntValueNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    StringValueNode,
    ValidationRule,
    get_named_type,
    is_input_type,
    type_from_ast,
)
from strawberry.types.base import StrawberryContainer

from core.money import Unreadable
from graph.scalars import OrderNumber

_DEFINITION = "strawberry-definition"
_DECIMAL = "Decimal"


class ReadableNumbers(ValidationRule):
    """Numbers that stand in a document are well-formed."""

    def enter_string_value(self, node: StringValueNode, _key: object, parent: object, *_args: object) -> None:
        self._check(node, parent)

    def enter_int_value(self, node: IntValueNode, _key: object, parent: object, *_args: object) -> None:
        self._check(node, parent)

    def enter_float_value(self, node: FloatValueNode, _key: object, parent: object, *_args: object) -> None:
        self._check(node, parent)

    def _check(self, node: StringValueNode | IntValueNode | FloatValueNode, parent: object) -> None:
        scalar = get_named_type(self.context.get_input_type())
        if not isinstance(scalar, GraphQLScalarType) or scalar.name != _DECIMAL:
            return
        owner = get_named_type(self.context.get_parent_input_type())
        if (
            isinstance(parent, ObjectFieldNode)
            and isinstance(owner, GraphQLInputObjectType)
            and _answers_itself(owner, parent.name.value)
        ):
            return
        try:
            value = scalar.parse_literal(node)
        except GraphQLError:
            return  # another rule says so
        if isinstance(value, Unreadable):
            self.report_error(GraphQLError(value.problem, node))


def unreadable_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: Mapping[str, Any]
) -> list[GraphQLError]:
    """What is wrong with numbers in these coerced variables."""
    faults = []
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        kind = type_from_ast(schema, definition.type)
        if name in values and kind is not None and is_input_type(kind):
            faults += [
                GraphQLError(f"Variable '${name}' has an invalid value: {problem}", definition)
                for problem in unreadable(values[name], kind)
            ]
    return faults


def unreadable(value: object, kind: GraphQLInputType) -> Iterator[str]:
    """What is wrong with numbers in a coerced value of this type."""
    if isinstance(value, Unreadable):
        yield value.problem
    elif isinstance(kind, GraphQLNonNull):
        yield from unreadable(value, kind.of_type)
    elif isinstance(kind, GraphQLList) and isinstance(value, list):
        for each in value:
            yield from unreadable(each, kind.of_type)
    elif isinstance(kind, GraphQLInputObjectType) and isinstance(value, dict):
        for name, field in kind.fields.items():
            given = value.get(field.out_name or name)
            if given is not None and not _answers_itself(kind, name):
                yield from unreadable(given, field.type)


def _answers_itself(owner: GraphQLInputObjectType, name: str) -> bool:
    field = owner.fields.get(name)
    definition = None if field is None else field.extensions.get(_DEFINITION)
    kind = getattr(definition, "type", None)
    while isinstance(kind, StrawberryContainer):
        kind = kind.of_type
    return kind is OrderNumber
