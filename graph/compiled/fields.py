"""How a field of a compiled operation gets its value: its attribute read, or its resolver called with everything Strawberry puts around it.

A resolver that nothing is put around, or nothing but extensions, is called directly, with arguments as Strawberry converts them: once for ever where they do not depend on
variables, else once in an execution. Every other field is called through Strawberry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING

import strawberry
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.types.arguments import InputContext
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from graph.compiled.arguments import gathering, has_variables
from graph.compiled.run import Place, Run, as_path, field_place, helpers
from graph.inputs import arguments_conversion

if TYPE_CHECKING:
    from graph.execution import PipelineSchema

Resolve = Callable[[Run, Place, object], object]
"""The value of a field of an object, or what is to be awaited for it."""
_DEFINITION = "strawberry-definition"
_INFO = "info"
"""Strawberry gives extensions what the resolver calls so as `info`, and not among the keywords."""
_UNCHANGING = (str, int, float, bool, Decimal, Enum, datetime, type(None), type(strawberry.UNSET))
_NO_VARIABLES = VariableValues({}, {})
_awaitable_classes: dict[type, bool] = {}


@dataclass(frozen=True, slots=True)
class SelectedField:
    """A field as an operation selects it: under `key`, by these nodes that were merged."""

    key: str
    details: list[FieldDetails]
    parent: GraphQLObjectType
    definition: GraphQLField

    @property
    def name(self) -> str:
        return self.details[0].node.name.value

    @property
    def type(self) -> GraphQLOutputType:
        return self.definition.type

    @property
    def nodes(self) -> list[FieldNode]:
        return [each.node for each in self.details]

    @property
    def strawberry(self) -> StrawberryField | None:
        """The field as Strawberry has it; None for what graphql-core adds."""
        found = self.definition.extensions.get(_DEFINITION)
        return found if isinstance(found, StrawberryField) else None

    @property
    def attribute(self) -> str | None:
        """The attribute that is read for it, where that is all."""
        field = self.strawberry
        if (
            field is None
            or field.base_resolver is not None
            or not getattr(self.definition.resolve, "_is_default", False)
        ):
            return None
        return field.python_name if field.is_basic_field and field.default_resolver is getattr else None

    def info(self, run: Run, place: Place) -> GraphQLResolveInfo[object]:
        """What resolvers are told of it."""
        return GraphQLResolveInfo(
            self.name,
            self.nodes,
            self.type,
            self.parent,
            as_path(field_place(place)),
            run.statics.schema,
            run.statics.fragments,
            run.root,
            run.statics.operation,
            run.variables,
            run.context,
            optimized_is_awaitable,  # type: ignore[arg-type]
            None,
            helpers(run),
        )


class LeanInfo(strawberry.Info[object, object]):
    """Strawberry's Info, which makes graphql-core's only when somebody asks for more than the context."""

    __slots__ = ("_field", "_place", "_run", "_selected", "context")

    def __init__(self, run: Run, field: SelectedField, definition: StrawberryField, place: Place) -> None:
        self._run = run
        self._selected = field
        self._field = definition
        self._place = place
        self.context = run.context  # type: ignore[misc]

    @property
    def _raw_info(self) -> GraphQLResolveInfo[object]:  # type: ignore[override]
        return self._selected.info(self._run, self._place)


def resolving(field: SelectedField, schema: "PipelineSchema") -> Resolve:
    """What gets the value of this field."""
    if field.definition.subscribe is not None:
        return lambda _run, _place, event: event
    attribute = field.attribute
    if attribute is not None:
        return lambda _run, _place, source: getattr(source, attribute)
    if field.name == "__typename" or _is_wrapped(field, schema):
        return _by_strawberry(field)
    return _extended(field, schema) if _own(field)[0].extensions else _directly(field, schema)


def is_awaitable(value: object) -> bool:
    """Whether a resolver's value is to be awaited; as Strawberry sees it, asked once for each class."""
    known = _awaitable_classes.get(type(value))
    if known is None:
        known = _awaitable_classes[type(value)] = isinstance(value, CoroutineType) or hasattr(type(value), "__await__")
    return known or (type(value).__name__ == "generator" and optimized_is_awaitable(value))


def needs_no_context(definition: GraphQLField) -> bool:
    """Whether a field's value comes from its object and its arguments alone, at once: an attribute, or a resolver that is given no Info."""
    field = definition.extensions.get(_DEFINITION)
    resolver = field.base_resolver if isinstance(field, StrawberryField) else None
    return is_known_at_once(definition) and (resolver is None or resolver.info_parameter is None)


def is_known_at_once(definition: GraphQLField) -> bool:
    """Whether a field's value is an attribute, or given by a resolver that does not wait and that nothing is put around."""
    field = definition.extensions.get(_DEFINITION)
    if not isinstance(field, StrawberryField):
        return False
    if field.base_resolver is None:
        return field.is_basic_field and field.default_resolver is getattr
    return not (_is_unusual(field) or field.extensions or field.is_async)


def _is_wrapped(field: SelectedField, schema: "PipelineSchema") -> bool:
    """Whether Strawberry puts something else than extensions (permissions are some) around the resolver: handlers of exceptions, an Info of one's own."""
    definition = field.strawberry
    return (
        definition is None
        or _is_unusual(definition)
        or bool(schema.schema_converter._exception_handler_specs)
        or schema.config.info_class is not strawberry.Info
    )


def _is_unusual(definition: StrawberryField) -> bool:
    return definition.base_resolver is None or type(definition).get_result is not StrawberryField.get_result


def _by_strawberry(field: SelectedField) -> Resolve:
    """Through the resolver that Strawberry has made."""
    resolve = field.definition.resolve
    if resolve is None:
        raise TypeError(f"{field.parent}.{field.name} has no resolver")
    gather = gathering(field.definition, field.details[0].node)

    def call(run: Run, place: Place, source: object) -> object:
        return resolve(source, field.info(run, place), **gather(run.variables))

    return call


def _directly(field: SelectedField, schema: "PipelineSchema") -> Resolve:
    """The resolver itself."""
    definition, resolver = _own(field)
    names = _Reserved.of(resolver)
    arguments = arguments_of(field, schema)
    is_async = definition.is_async

    def call(run: Run, place: Place, source: object) -> object:
        try:
            given = arguments(run)
        except Exception as error:
            if is_async:
                return _raising(error)
            raise
        keywords = dict(given) if given else {}
        for name in names.source:
            keywords[name] = source
        if names.info is not None:
            keywords[names.info] = LeanInfo(run, field, definition, place)
        return resolver(source, **keywords) if names.by_self else resolver(**keywords)  # type: ignore[arg-type]

    return call


def _extended(field: SelectedField, schema: "PipelineSchema") -> Resolve:
    """The resolver behind the extensions of its field, in Strawberry's order of them."""
    definition, resolver = _own(field)
    names = _Reserved.of(resolver)
    arguments = arguments_of(field, schema)
    extensions = build_field_extension_resolvers(definition)
    is_async = definition.is_async

    def chained(run: Run, place: Place, source: object) -> object:
        keywords = {**arguments(run), **dict.fromkeys(names.source, source)}
        info = LeanInfo(run, field, definition, place)
        if names.info not in {None, _INFO}:
            keywords[names.info] = info

        def innermost(_source: object, info: object, **keywords: object) -> object:
            if names.info == _INFO:
                keywords[_INFO] = info
            return resolver(source, **keywords) if names.by_self else resolver(**keywords)  # type: ignore[arg-type]

        call: Callable[..., object] = innermost
        for extension in extensions:
            call = partial(extension, call)
        return call(source, info, **keywords)

    def awaited(run: Run, place: Place, source: object) -> object:
        try:
            return chained(run, place, source)
        except Exception as error:  # noqa: BLE001 - where others are awaited with it, it comes up with theirs
            return _raising(error)

    return awaited if is_async else chained


async def _raising(error: Exception) -> object:
    raise error


@dataclass(frozen=True, slots=True)
class DirectCall:
    """How a resolver is called that nothing is put around and that is no coroutine: by itself, or with its object, and by these names."""

    function: Callable[..., object]
    definition: StrawberryField
    by_self: bool
    source: Sequence[str]
    info: str | None
    constants: Mapping[str, object] | None
    """Its arguments, where they are the same for ever."""
    arguments: "Callable[[Run], Mapping[str, object]]"

    @staticmethod
    def of(field: SelectedField, schema: "PipelineSchema") -> "DirectCall | None":
        """How this field's is called; None where it is another kind of field."""
        if field.definition.subscribe is not None or field.name == "__typename" or _is_wrapped(field, schema):
            return None
        definition, resolver = _own(field)
        if definition.extensions or definition.is_async or not callable(resolver.wrapped_func):
            return None
        names = _Reserved.of(resolver)
        return DirectCall(
            resolver.wrapped_func,
            definition,
            names.by_self,
            names.source,
            names.info,
            constant_arguments(field, schema),
            arguments_of(field, schema),
        )


@dataclass(frozen=True, slots=True)
class _Reserved:
    """The parameters of a resolver that are no arguments of its field."""

    by_self: bool
    source: Sequence[str]
    info: str | None

    @staticmethod
    def of(resolver: StrawberryResolver[object]) -> "_Reserved":
        sources = (resolver.parent_parameter, resolver.root_parameter)
        return _Reserved(
            by_self=resolver.self_parameter is not None,
            source=tuple(each.name for each in sources if each is not None),
            info=resolver.info_parameter.name if resolver.info_parameter is not None else None,
        )


def _own(field: SelectedField) -> tuple[StrawberryField, StrawberryResolver[object]]:
    definition = field.strawberry
    if definition is None or definition.base_resolver is None:
        raise TypeError(f"{field.parent}.{field.name} has no resolver of its own")
    return definition, definition.base_resolver


def constant_arguments(field: SelectedField, schema: "PipelineSchema") -> Mapping[str, object] | None:
    """The converted arguments of a field, where neither a variable nor something that a resolver could change is among them."""
    if any(has_variables(argument) for argument in field.details[0].node.arguments or ()):
        return None
    try:
        known = _converting(field, schema)(_NO_VARIABLES)
    except Exception:  # noqa: BLE001 - whatever it is, every execution meets it again and tells it
        return None
    return known if all(isinstance(value, _UNCHANGING) for value in known.values()) else None


def arguments_of(field: SelectedField, schema: "PipelineSchema") -> Callable[[Run], Mapping[str, object]]:
    """What gives the converted arguments of a field in an execution, as its resolver takes them."""
    constants = constant_arguments(field, schema)
    if constants is not None:
        return lambda _run: constants
    key, convert = id(field), _converting(field, schema)

    def arguments(run: Run) -> Mapping[str, object]:
        known = run.arguments.get(key)
        if known is None:
            known = convert(run.variables)
            if all(isinstance(value, _UNCHANGING) for value in known.values()):
                run.arguments[key] = known
        return known

    return arguments


def _converting(field: SelectedField, schema: "PipelineSchema") -> Callable[[VariableValues], dict[str, object]]:
    """What gives the converted arguments with these variables."""
    definition, _ = _own(field)
    node = field.details[0].node
    if not (field.definition.args or node.arguments):
        return lambda _variables: {}
    gather = gathering(field.definition, node)
    convert = arguments_conversion(
        definition, InputContext(None, schema.config, schema.schema_converter.scalar_registry, path=())
    )
    return lambda variables: convert(gather(variables))
