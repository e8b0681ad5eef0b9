"""Variables coerced the straight way: what graphql-core looks up for each value (the types of variables, their fields and defaults) is looked up once for an operation.

It knows the usual values only: whatever else it meets, a wrong or missing value, a number that cannot be read, it gives up, and graphql-core coerces them all, with its own messages.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from graphql import (
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    is_leaf_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value

from core.money import Unreadable

Coerce = Callable[[object], object]
UNCHANGING = (str, int, float, bool, Decimal, Enum, datetime, type(None))
"""Values that nobody who is given them can change."""


class Unexpected(Exception):
    """The straight way ends here."""


class _Variable(NamedTuple):
    """A variable of an operation, without a default."""

    name: str
    signature: GraphQLVariableSignature
    coerce: Coerce


class Coercion:
    """Of one operation's variables."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> None:
        self._variables: list[_Variable] = []
        self._is_covered = True
        for node in operation.variable_definitions or ():
            signature = get_variable_signature(schema, node)
            if not isinstance(signature, GraphQLVariableSignature) or node.default_value is not None:
                self._is_covered = False
                return
            self._variables.append(_Variable(signature.name, signature, _coercing(signature.type, ())))

    def coerced(self, given: Mapping[str, object]) -> VariableValues | None:
        """The variables as graphql-core gives them, numbers that cannot be read not among them; None: it is to be asked."""
        if not self._is_covered:
            return None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, object] = {}
        try:
            for name, signature, coerce in self._variables:
                if name in given:
                    value = given[name]
                    coerced[name] = coerce(value)
                    sources[name] = VariableValueSource(signature, value)
                elif isinstance(signature.type, GraphQLNonNull):
                    return None
                else:
                    sources[name] = VariableValueSource(signature)
        except Exception:  # noqa: BLE001 - whatever it is, graphql-core meets it again and tells it
            return None
        return VariableValues(sources, coerced)


def _coercing(type_: GraphQLInputType, around: Sequence[GraphQLInputObjectType]) -> Coerce:
    if isinstance(type_, GraphQLNonNull):
        return _non_null(_coercing(type_.of_type, around))
    if isinstance(type_, GraphQLList):
        return _list(_coercing(type_.of_type, around))
    if isinstance(type_, GraphQLInputObjectType) and not type_.is_one_of and type_ not in around:
        return _object(type_, (*around, type_))
    return _leaf(type_) if is_leaf_type(type_) else _unexpected


def _unexpected(_value: object) -> object:
    raise Unexpected


def _non_null(inner: Coerce) -> Coerce:
    def coerce(value: object) -> object:
        if value is None:
            raise Unexpected
        return inner(value)

    return coerce


def _list(item: Coerce) -> Coerce:
    def coerce(value: object) -> object:
        if value is None:
            return None
        if type(value) is not list:
            raise Unexpected
        return [item(each) for each in value]

    return coerce


def _leaf(type_: GraphQLLeafType) -> Coerce:
    read: Coerce = type_.coerce_input_value  # type: ignore[assignment]

    def coerce(value: object) -> object:
        if value is None:
            return None
        coerced = read(value)
        if coerced is Undefined or type(coerced) is Unreadable:
            raise Unexpected
        return coerced

    return coerce


def _object(type_: GraphQLInputObjectType, around: Sequence[GraphQLInputObjectType]) -> Coerce:
    fields = [
        (name, field.out_name or name, _coercing(field.type, around), _absent(field))
        for name, field in type_.fields.items()
    ]
    out_type = type_.out_type

    def coerce(value: object) -> object:
        if value is None:
            return None
        if type(value) is not dict:
            raise Unexpected
        coerced: dict[str, object] = {}
        met = 0
        for name, out_name, coerce_field, absent in fields:
            if name in value:
                met += 1
                coerced[out_name] = coerce_field(value[name])
            elif absent is not None:
                absent(coerced, out_name)
        if met < len(value):
            raise Unexpected
        return out_type(coerced)

    return coerce


def _absent(field: GraphQLInputField) -> Callable[[dict[str, object], str], None] | None:
    """What is done about a field that a value lacks; None: nothing."""
    default = coerce_default_value(field)
    if default is Undefined:
        return _refuse if isinstance(field.type, GraphQLNonNull) else None
    if isinstance(default, UNCHANGING):
        return lambda coerced, name: coerced.__setitem__(name, default)
    return lambda coerced, name: coerced.__setitem__(name, coerce_default_value(field))


def _refuse(_coerced: dict[str, object], _name: str) -> None:
    raise Unexpected
