"""What a transport is handed of a subscription that is shared: who may have the same bytes, what each event is as bytes, and what events cost."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import orjson
from graphql.execution.values import VariableValues

from core.budget import Allowance, MemoryBudget
from core.ids import public_id
from graph.broadcast import Broadcast, SharedField
from graph.compile import CompiledOperation
from graph.errors import ErrorRenderer


@dataclass(frozen=True, slots=True)
class SharedStream:
    """A subscription that was admitted. Streams of the same `key` have the same bytes."""

    key: Hashable
    broadcast: Broadcast[object, object]
    encode: Callable[[object], bytes]
    """An event, shown, as the JSON object of its response; it ends with `}` and has no extensions."""
    extensions: bytes
    """JSON object that the first response of this subscriber has beside it."""
    account: "EventsAccount"


@dataclass(frozen=True, slots=True)
class EventsAccount:
    """Where the events of one subscriber are charged."""

    budget: MemoryBudget
    key: str
    points: int
    """Of one event."""

    def take(self, events: int) -> Allowance:
        """Pay for so many, all or none."""
        return self.budget.take_now(self.key, self.points * events)

    def give_back(self, events: int) -> None:
        """So many of those paid for were not shown."""
        if events:
            self.budget.give_back(self.key, self.points * events)


def compact(encoded: bytes) -> bytes:
    """What orjson made, to be kept: it leaves room for some 4 KB in every one."""
    return bytes(memoryview(encoded))


def sharing_key(
    operation: CompiledOperation,
    shared: SharedField,
    broadcast: Broadcast[object, object],
    variables: VariableValues,
    locale: str,
) -> Hashable:
    """Who executes the same: the operation itself, what it is told of, the variables its selection depends on, and the language of errors."""
    return (operation, broadcast.about, shared.told(variables), locale)


def encoding(operation: CompiledOperation, variables: VariableValues, locale: str) -> Callable[[object], bytes]:
    """What makes bytes of an event that is shown."""
    errors = ErrorRenderer(public_id(), locale)

    def encode(event: object) -> bytes:
        outcome = operation.shared_event(variables, event)
        body: dict[str, object] = {"data": outcome.data}
        if outcome.errors:
            body["errors"] = [errors.during_execution(error) for error in outcome.errors]
        return orjson.dumps(body)

    return encode
