"""Subscriptions whose events are the same for whoever asks the same: executed and encoded once for all of them.

A field of the subscription root is shared when it names, in its metadata, what makes its `Broadcast`: from the state of the markets and its arguments, nothing else. An
operation on it is shared when whatever it selects below is an attribute or a synchronous resolver that is not given an Info: such code cannot know who asks. Everything else is
executed for each subscriber by itself.
"""

from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode

from graph.compiled.fields import needs_no_context
from graph.marked_roots import MarkedRoot, marked_root
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


SharedField = MarkedRoot[Callable[..., Broadcast[object, object]]]
"""The root field of an operation that may be shared, marked with what makes its Broadcast."""


def shared_field(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> SharedField | None:
    """The root field, when the operation may be shared."""
    return marked_root(schema, operation, fragments, BROADCAST, needs_no_context)
