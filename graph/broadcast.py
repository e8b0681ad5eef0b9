"""Subscriptions whose events are the same for whoever asks the same: executed and encoded once for all of them.

A field of the subscription root is shared when it names, in its metadata, what makes its `Broadcast`: from the state of the markets and its arguments, nothing else. An
operation on it is shared when whatever it selects below is an attribute or a synchronous resolver that is not given an Info: such code cannot know who asks. Everything else is
executed for each subscriber by itself.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.language import Visitor, visit
from graphql.utilities import TypeInfo, TypeInfoVisitor

from graph.compiled.fields import SelectedField, needs_no_context
from services.live import Live, follow

Item = TypeVar("Item")
Shown = TypeVar("Shown")
BROADCAST = "broadcast"
"""Metadata of a shared field: what makes its Broadcast. It gets the context's `view_of` and the field's arguments, and raises what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Broadcast(Generic[Item, Shown]):
    """A public stream. Two of the same `about` tell the same of the same key."""

    live: Live[Item]
    about: Hashable
    show: Callable[[Item], Shown]
    """The item as an object of the schema."""
    version: Callable[[Item], object] = lambda _item: None
    """What else `show` depends on: while it is equal, an item is shown the same way."""


async def shown(broadcast: Broadcast[Item, Shown]) -> AsyncGenerator[Shown, None]:
    """What it tells, for one reader."""
    async with aclosing(follow(broadcast.live)) as items:
        async for item in items:
            yield broadcast.show(item)


@dataclass(frozen=True, slots=True)
class SharedField:
    """The root field of an operation that may be shared."""

    node: FieldNode
    definition: GraphQLField
    broadcast: Callable[..., Broadcast[object, object]]
    """What makes its Broadcast."""
    variables: tuple[str, ...]
    """Those that what is selected depends on; the field's own arguments are looked at apart."""


def shared_field(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> SharedField | None:
    """The root field, when the operation may be shared."""
    root = schema.subscription_type
    if operation.operation is not OperationType.SUBSCRIPTION or root is None:
        return None
    type_info = TypeInfo(schema)
    seen = _Selected(schema, root, type_info)
    for each in (operation, *fragments.values()):
        visit(each, TypeInfoVisitor(type_info, seen))
    if len(seen.roots) != 1 or not seen.free:
        return None
    node, definition = seen.roots[0]
    strawberry = SelectedField("", [], root, definition).strawberry
    if strawberry is None or BROADCAST not in strawberry.metadata or node.directives:
        return None
    used = _variables([operation.selection_set, *(each.selection_set for each in fragments.values())])
    used.subtract(_variables(node.arguments or ()))
    return SharedField(
        node,
        definition,
        strawberry.metadata[BROADCAST],
        tuple(sorted(name for name, times in used.items() if times > 0)),
    )


class _Selected(Visitor):
    """The fields of the root, and whether nothing below them knows who asks."""

    def __init__(self, schema: GraphQLSchema, root: GraphQLObjectType, type_info: TypeInfo) -> None:
        super().__init__()
        self.roots: list[tuple[FieldNode, GraphQLField]] = []
        self.free = True
        self._schema = schema
        self._root = root
        self._type_info = type_info

    def enter_field(self, node: FieldNode, *_rest: object) -> None:
        parent, definition = self._type_info.get_parent_type(), self._type_info.get_field_def()
        if node.name.value == "__typename":
            return
        if parent is self._root and definition is not None:
            self.roots.append((node, definition))
        elif isinstance(parent, GraphQLObjectType) and definition is not None:
            self.free = self.free and needs_no_context(definition)
        elif isinstance(parent, GraphQLInterfaceType):
            types = self._schema.get_possible_types(parent)
            self.free = self.free and all(needs_no_context(each.fields[node.name.value]) for each in types)
        else:
            self.free = False


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def enter_variable(self, node: VariableNode, *_rest: object) -> None:
        self.names[node.name.value] += 1


def _variables(nodes: Iterable[Node]) -> Counter[str]:
    """How often each variable is used in these."""
    seen = _Variables()
    for node in nodes:
        visit(node, seen)
    return seen.names
