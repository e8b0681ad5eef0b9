"""One execution of a compiled operation: what it was given, and the errors that it met.

It follows graphql-core 3.3 (`graphql/execution/executor.py`) in what is awaited together, what is cancelled, and which errors are told.
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import CoroutineType
from typing import TYPE_CHECKING, TypeAlias, cast

from graphql import FragmentDefinitionNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from graphql.pyutils.gather_with_cancel import gather_with_cancel
from graphql.type import GraphQLResolveInfoHelpers

if TYPE_CHECKING:
    from asyncio import Future

Place: TypeAlias = tuple["Place | None", str | int, str | None]
"""A position in the answer: what is around it, the response's key or an index, and the type that has the field. A `Path` in a form that is cheap to make."""


Execute: TypeAlias = Callable[["Run", "Place | None", object], object]
"""The completed value of a field of this object, or a coroutine of it."""


@dataclass(frozen=True, slots=True)
class Statics:
    """What all executions of one operation share."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]


@dataclass(slots=True)
class Run:
    """One execution. `arguments` are those that fields with variables were given, by the field: they are the same for every object of this execution."""

    statics: Statics
    context: object
    root: object
    variables: VariableValues
    errors: list[GraphQLError] = field(default_factory=list)
    arguments: "dict[int, dict[str, object]]" = field(default_factory=dict)
    _nulled: "set[Place | None]" = field(default_factory=set)
    _background: "set[Future[list[object]]]" = field(default_factory=set)

    def add(self, error: GraphQLError, place: Place | None) -> None:
        """Tell an error, unless its place is within one that is null because of another."""
        if self._nulled:
            around = place
            while around is not None:
                if around in self._nulled:
                    return
                around = around[0]
            if None in self._nulled:
                return
        self._nulled.add(place)
        self.errors.append(error)

    def settle(self, awaitables: Sequence[Awaitable[object]]) -> None:
        """Let what was begun come to its end although nobody waits for it, so that its errors are seen."""
        future = gather(*awaitables, return_exceptions=True)
        self._background.add(future)
        future.add_done_callback(self._background.discard)


def is_pending(value: object) -> bool:
    """Whether a completed value is still to be awaited. Completion only ever makes coroutines."""
    return type(value) is CoroutineType


async def fill(results: "dict[str, object]", keys: Sequence[str]) -> "dict[str, object]":
    """Await these fields together; the first that fails cancels the others."""
    if len(keys) == 1:
        results[keys[0]] = await _awaitable(results[keys[0]])
        return results
    results.update(zip(keys, await gather_with_cancel(*(_awaitable(results[key]) for key in keys)), strict=True))
    return results


async def fill_list(results: "list[object]", indices: Sequence[int]) -> "list[object]":
    """Await these items together; the first that fails cancels the others."""
    if len(indices) == 1:
        results[indices[0]] = await _awaitable(results[indices[0]])
        return results
    awaited = await gather_with_cancel(*(_awaitable(results[index]) for index in indices))
    for index, value in zip(indices, awaited, strict=True):
        results[index] = value
    return results


def _awaitable(value: object) -> Awaitable[object]:
    return cast(Awaitable[object], value)


def as_list(place: Place) -> "list[str | int]":
    """The keys from the root to here, as an error's path has them."""
    keys: list[str | int] = []
    around: Place | None = place
    while around is not None:
        keys.append(around[1])
        around = around[0]
    keys.reverse()
    return keys


def as_path(place: Place) -> Path:
    """The position as graphql-core has it."""
    around, key, type_name = place
    return Path(None if around is None else as_path(around), key, type_name)


def field_place(place: Place) -> Place:
    """The field whose list has this item; the place itself when it is no item."""
    while isinstance(place[1], int) and place[0] is not None:
        place = place[0]
    return place


def helpers(run: Run) -> GraphQLResolveInfoHelpers:
    """What resolvers find under `info.async_helpers`."""

    def track(values: Sequence[object]) -> None:
        waiting = [value for value in values if isinstance(value, Awaitable)]
        if waiting:
            run.settle(waiting)

    return GraphQLResolveInfoHelpers(gather=lambda values: gather_with_cancel(*values), track=track)
