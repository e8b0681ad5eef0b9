"""Completion of values, as the specification says ("Value Completion"): what resolvers give becomes what the answer has.

A completion gives the value, or a coroutine of it, and raises what is wrong. Positions are those of the value that is completed.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    located_error,
)
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils import Undefined, is_iterable
from strawberry.types.base import StrawberryObjectDefinition

from graph.compiled.fields import SelectedField, is_awaitable
from graph.compiled.run import Place, Run, as_list, fill_list, is_pending

Complete = Callable[[Run, Place, object], object]
CAST = "__as_strawberry_type__"
"""Where `strawberry.cast` notes what an object stands for."""
_DEFINITION = "strawberry-definition"


class Objects(Protocol):
    """What completes objects of a type as a field selects them, where values of the declared type stand, and deals with whatever goes wrong there."""

    def object(self, field: SelectedField, type_: GraphQLObjectType, declared: GraphQLOutputType) -> Complete: ...


def completing(field: SelectedField, objects: Objects) -> Complete:
    """What completes the values of this field, and deals with whatever goes wrong with them."""
    return _at(field, field.type, objects)


def told(run: Run, place: Place, field: SelectedField, type_: GraphQLOutputType, raw: Exception) -> None:
    """What is done with an error at this place: it is told and leaves null, or goes up where null may not be. Raises GraphQLError."""
    error = located_error(raw, field.nodes, as_list(place))
    if is_non_null_type(type_):
        raise error
    run.add(error, place)


def finishing(field: SelectedField, type_: GraphQLOutputType) -> Complete:
    """What makes a coroutine of a completed value that has to be awaited, which deals with whatever goes wrong with it."""

    async def finished(run: Run, place: Place, completed: object) -> object:
        try:
            return await completed  # type: ignore[misc]
        except Exception as raw:  # noqa: BLE001 - every error of a resolver is told
            told(run, place, field, type_, raw)
            return None

    return finished


def guarded_object(field: SelectedField, declared: GraphQLOutputType, execute: Complete) -> Complete:
    """The completion of values of this type as objects."""
    inner = _non_null(field, execute) if is_non_null_type(declared) else _nullable(execute)
    return guarded(field, declared, inner)


def guarded(field: SelectedField, type_: GraphQLOutputType, inner: Complete) -> Complete:
    """What completes a value of this type that may still have to be awaited, and deals with whatever goes wrong with it."""

    async def awaited(run: Run, place: Place, value: object) -> object:
        try:
            completed = inner(run, place, await value)  # type: ignore[misc]
            return await completed if is_pending(completed) else completed  # type: ignore[misc]
        except Exception as raw:  # noqa: BLE001 - every error of a resolver is told
            told(run, place, field, type_, raw)
            return None

    finished = finishing(field, type_)

    def complete(run: Run, place: Place, value: object) -> object:
        if is_awaitable(value):
            return awaited(run, place, value)
        try:
            completed = inner(run, place, value)
        except Exception as raw:  # noqa: BLE001 - every error of a resolver is told
            told(run, place, field, type_, raw)
            return None
        return finished(run, place, completed) if is_pending(completed) else completed

    return complete


def _at(field: SelectedField, declared: GraphQLOutputType, objects: Objects) -> Complete:
    """The completion where values of this type stand."""
    type_ = declared.of_type if is_non_null_type(declared) else declared
    if is_object_type(type_):
        return objects.object(field, type_, declared)
    inner = _inner(field, type_, declared, objects)
    return guarded(field, declared, _nullable(inner) if type_ is declared else _non_null(field, inner))


def _inner(field: SelectedField, type_: GraphQLOutputType, declared: GraphQLOutputType, objects: Objects) -> Complete:
    if is_list_type(type_):
        return _list(field, type_, objects)
    if is_leaf_type(type_):
        return _leaf(type_)
    if is_abstract_type(type_):
        return _abstract(field, type_, declared, objects)
    raise TypeError(f"{type_} is no type of an answer")


def _nullable(inner: Complete) -> Complete:
    def complete(run: Run, place: Place, value: object) -> object:
        if value is None or value is Undefined:
            return None
        if isinstance(value, Exception):
            raise value
        return inner(run, place, value)

    return complete


def _non_null(field: SelectedField, inner: Complete) -> Complete:
    message = f"Cannot return null for non-nullable field {field.parent}.{field.name}."

    def complete(run: Run, place: Place, value: object) -> object:
        if isinstance(value, Exception):
            raise value
        completed = None if value is None or value is Undefined else inner(run, place, value)
        if completed is None:
            raise TypeError(message)
        return completed

    return complete


def _leaf(type_: GraphQLLeafType) -> Complete:
    def complete(_run: Run, _place: Place, value: object) -> object:
        return Executor.complete_leaf_value(type_, value)

    return complete


def _list(field: SelectedField, type_: GraphQLList[GraphQLOutputType], objects: Objects) -> Complete:
    message = f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'."
    one = _at(field, type_.of_type, objects)

    def complete(run: Run, place: Place, value: object) -> object:
        if not is_iterable(value):
            raise GraphQLError(message)
        return _items(run, place, value, one)

    return complete


def _items(run: Run, place: Place, values: Iterable[object], one: Complete) -> object:
    """The completed items, or what they are awaited by."""
    results: list[object] = []
    pending: list[int] = []
    iterator = iter(values)
    try:
        for index, value in enumerate(iterator):
            completed = one(run, (place, index, None), value)
            results.append(completed)
            if is_pending(completed):
                pending.append(index)
    except Exception:
        left = [results[index] for index in pending] + [value for value in iterator if is_awaitable(value)]
        if left:
            run.settle(left)  # type: ignore[arg-type]
        raise
    return fill_list(results, pending) if pending else results


def _abstract(
    field: SelectedField, type_: GraphQLAbstractType, declared: GraphQLOutputType, objects: Objects
) -> Complete:
    by_name: dict[str, Complete] = {}
    by_class: dict[type, Complete] = {}
    resolve_type = type_.resolve_type
    if resolve_type is None:
        raise TypeError(f"{type_} does not tell its values apart")

    def completion(run: Run, place: Place, value: object, name: object) -> Complete:
        found = by_name.get(name) if isinstance(name, str) else None
        if found is None:
            info = field.info(run, place)
            checked = Executor.ensure_valid_runtime_type(_Schema(run), name, type_, field.details, info, value)  # type: ignore[arg-type]
            found = by_name[checked.name] = objects.object(field, checked, declared)
        return found

    async def awaited(run: Run, place: Place, value: object, name: object) -> object:
        completed = completion(run, place, value, await name)(run, place, value)  # type: ignore[misc]
        return await completed if is_pending(completed) else completed  # type: ignore[misc]

    def complete(run: Run, place: Place, value: object) -> object:
        known = by_class.get(type(value))
        if known is not None and CAST not in value.__dict__:
            return known(run, place, value)
        name = resolve_type(value, field.info(run, place), type_)
        if is_awaitable(name):
            return awaited(run, place, value, name)
        found = completion(run, place, value, name)
        if _decides(value, type_):
            by_class[type(value)] = found
        return found(run, place, value)

    return complete


class _Schema:
    """What graphql-core asks for its check of a runtime type."""

    def __init__(self, run: Run) -> None:
        self.schema = run.statics.schema


def _decides(value: object, type_: GraphQLAbstractType) -> bool:
    """Whether every object of this value's class is of the same type: Strawberry then goes by the class."""
    definition = getattr(type(value), "__strawberry_definition__", None)
    abstract = type_.extensions.get(_DEFINITION)
    own = getattr(abstract, "resolve_type", None) if isinstance(abstract, StrawberryObjectDefinition) else None
    return (
        isinstance(definition, StrawberryObjectDefinition)
        and own is None
        and not definition.is_graphql_generic
        and definition.is_type_of is None
        and hasattr(value, "__dict__")
        and CAST not in value.__dict__
    )


def checked(field: SelectedField, type_: GraphQLObjectType, execute: Complete) -> Complete:
    """The completion of an object, behind its type's own check of the value."""
    is_type_of = type_.is_type_of
    if is_type_of is None:
        return execute

    async def awaited(run: Run, place: Place, value: object, answer: object) -> object:
        if not await answer:  # type: ignore[misc]
            raise invalid_return_type_error(type_, value, field.details)
        completed = execute(run, place, value)
        return await completed if is_pending(completed) else completed  # type: ignore[misc]

    def complete(run: Run, place: Place, value: object) -> object:
        answer = is_type_of(value, field.info(run, place))
        if is_awaitable(answer):
            return awaited(run, place, value, answer)
        if not answer:
            raise invalid_return_type_error(type_, value, field.details)
        return execute(run, place, value)

    return complete
