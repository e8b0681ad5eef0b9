"""Inputs built straight: what Strawberry works out of an input type anew for each value (the names of its fields, their types, what is to be converted), worked
out once for the type.

It is put where Strawberry lets an input type build its own value (`StrawberryObjectDefinition.from_input`). Values that Strawberry hands on as they are, it
hands on; lists, inputs within inputs and whatever else there may be are converted by Strawberry. The arguments of fields are converted in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import NamedTuple

from graphql import GraphQLInputObjectType, GraphQLSchema
from strawberry import UNSET
from strawberry.extensions import FieldExtension
from strawberry.relay.types import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    StrawberryType,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField

_DEFINITION = "strawberry-definition"


Convert = Callable[[object, InputContext], object]


class _Field(NamedTuple):
    """A field of an input. `convert`: None where its values stay as they are."""

    name: str
    attribute: str
    convert: Convert | None


class _Building:
    """Builds the values of one input type."""

    def __init__(self, definition: StrawberryObjectDefinition) -> None:
        self._definition = definition
        self._fields: Sequence[_Field] = ()
        self._absent: dict[str, object] = {}
        """What is given for fields without a default of their own that a value lacks, as Strawberry does it."""

    def __call__(self, kind: type, value: Mapping[str, object], context: InputContext) -> object:
        if not self._fields:
            self._plan(context)
        given = dict(self._absent)
        for name, attribute, convert in self._fields:
            if name in value:
                each = value[name]
                given[attribute] = each if convert is None else convert(each, context)
        return kind(**given)

    def _plan(self, context: InputContext) -> None:
        definition = self._definition
        fields = []
        for each in definition.fields:
            name = context.config.name_converter.from_field(each)
            type_ = each.resolve_type(type_definition=definition)
            fields.append(_Field(name, each.python_name, _converting(name, type_, context)))
        self._fields = fields
        self._absent = {
            each.python_name: None
            for each in definition.fields
            if each.default_value is MISSING and each.default_factory is MISSING
        }


def build_straight(schema: GraphQLSchema) -> None:
    """Have the inputs of this schema built so, but for those that build themselves."""
    for each in schema.type_map.values():
        definition = each.extensions.get(_DEFINITION) if isinstance(each, GraphQLInputObjectType) else None
        if (
            isinstance(definition, StrawberryObjectDefinition)
            and definition.from_input is None
            and not any(isinstance(field.type, StrawberryMaybe) for field in definition.fields)
        ):
            definition.from_input = _Building(definition)


def arguments_conversion(
    definition: StrawberryField, context: InputContext
) -> Callable[[Mapping[str, object]], dict[str, object]]:
    """What converts the arguments of this field, as `strawberry.schema.schema_converter.get_arguments` does."""
    fields = [
        _Field(name, each.python_name, _converting(name, each.type, context))
        for each in definition.arguments
        for name in (context.config.name_converter.from_argument(each),)
    ]
    reshaping = [
        each.map_arguments
        for each in definition.extensions
        if type(each).map_arguments is not FieldExtension.map_arguments
    ]

    def converted(values: Mapping[str, object]) -> dict[str, object]:
        given = {
            attribute: values[name] if convert is None else convert(values[name], context)
            for name, attribute, convert in fields
            if name in values
        }
        for reshape in reshaping:
            given = reshape(given)
        return given

    return converted


def _converting(name: str, type_: StrawberryType | type, context: InputContext) -> Convert | None:
    """What converts the values of a field; None where Strawberry hands them on as they are."""
    inner = type_.of_type if type(type_) is StrawberryOptional else type_
    if inner is not GlobalID and (
        is_scalar(inner, context.scalar_registry)
        or isinstance(inner, StrawberryEnumDefinition)
        or has_enum_definition(inner)
    ):
        return None
    building = inner.__strawberry_definition__.from_input if has_object_definition(inner) else None
    if isinstance(building, _Building):
        return lambda value, context: value if value is None or value is UNSET else building(inner, value, context)  # type: ignore[arg-type]
    return lambda value, context: context.convert(value, type_, name)
