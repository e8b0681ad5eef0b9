"""Private subscriptions of one account that ask the same: an event is executed and encoded once for all of them.

Each keeps a source, an authority and limits of its own; shared is what an event becomes. A field of the subscription root says, in its metadata, what its events are the same
by. What is selected below must be known at once, and is executed with an `AccountContext`, in which there is nobody and no database: an operation that asks for more is executed
for each subscriber by itself, from then on.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
from graphql import FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues

from graph.compiled.fields import is_known_at_once
from graph.marked_roots import MarkedRoot, marked_root
from graph.public import PrivateDataTouched
from services.catalogue import Catalogue

if TYPE_CHECKING:
    from graph.compile import CompiledOperation, KnownOutcome, Outcome

SAME_BY = "same_by"
"""Metadata of a field of the subscription root: what an event of it is told by from others of its account."""
OwnField = MarkedRoot[Callable[[Any], Hashable]]
"""The root field of an operation whose events may be shared within an account."""
_KEPT_BYTES = 65_536
"""Of one operation: how far its subscribers may be apart and still share."""
_PER_EVENT = 1_000
"""Bytes that an event takes beside its JSON."""


def own_field(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> OwnField | None:
    """The root field, when what it becomes may be shared within an account."""
    return marked_root(schema, operation, fragments, SAME_BY, is_known_at_once)


class _OnlyLocale:
    """A client of whom nothing is known but the language it is answered in."""

    __slots__ = ("locale",)

    def __init__(self, locale: str) -> None:
        self.locale = locale

    def __getattr__(self, name: str) -> NoReturn:
        raise PrivateDataTouched(f"an event asked for the client's {name}")


class AccountContext:
    """What resolvers of a shared event may reach. Whatever else is asked of it raises PrivateDataTouched."""

    __slots__ = ("catalogue", "client")

    def __init__(self, catalogue: Catalogue, locale: str) -> None:
        self.catalogue = catalogue
        self.client = _OnlyLocale(locale)

    def __getattr__(self, name: str) -> NoReturn:
        raise PrivateDataTouched(f"an event asked for the context's {name}")


class OwnEvents:
    """Of one process."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._groups: dict[Hashable, SameSubscriptions] = {}

    @contextmanager
    def joined(
        self, operation: "CompiledOperation", own: OwnField, account: str, variables: VariableValues, locale: str
    ) -> Iterator["KnownOutcome"]:
        """For as long as an operation is followed: what gives the outcomes that it shares with others of the account."""
        key = (operation, account, own.told(variables), locale)
        group = self._groups.get(key)
        if group is None:
            context = AccountContext(self._catalogue, locale)
            group = self._groups[key] = SameSubscriptions(operation, own, variables, context)
        group.followers += 1
        try:
            yield group.outcome
        finally:
            group.followers -= 1
            if not group.followers:
                del self._groups[key]

    def __len__(self) -> int:
        """Operations that somebody follows, each counted once per account."""
        return len(self._groups)


class SameSubscriptions:
    """Those of one account that show an event the same way."""

    def __init__(
        self, operation: "CompiledOperation", own: OwnField, variables: VariableValues, context: AccountContext
    ) -> None:
        self.followers = 0
        self._operation = operation
        self._same_by = own.mark
        self._variables = variables
        self._context = context
        self._known: OrderedDict[Hashable, tuple[Outcome, int]] = OrderedDict()
        """The newest outcomes, and the bytes they take."""
        self._bytes = 0
        self._apart = False

    def outcome(self, event: object) -> "Outcome | None":
        """What an event becomes, its data encoded; None where that is found out for one subscriber alone."""
        if self.followers == 1 or self._apart:
            return None
        key = (self._same_by(event), self._context.catalogue.version)
        known = self._known.get(key)
        return self._made(key, event) if known is None else known[0]

    def _made(self, key: Hashable, event: object) -> "Outcome | None":
        outcome = self._operation.shared_event(self._variables, event, self._context)
        if any(isinstance(error.original_error, PrivateDataTouched) for error in outcome.errors):
            self._apart = True
            self._known.clear()
            self._bytes = 0
            return None
        if outcome.data is None:
            return outcome
        encoded = {name: bytes(memoryview(orjson.dumps(value))) for name, value in outcome.data.items()}
        made = replace(outcome, data={name: orjson.Fragment(each) for name, each in encoded.items()})
        self._keep(key, made, _PER_EVENT + sum(map(len, encoded.values())))
        return made

    def _keep(self, key: Hashable, made: "Outcome", size: int) -> None:
        self._known[key] = made, size
        self._bytes += size
        while self._bytes > _KEPT_BYTES:
            _, (_, dropped) = self._known.popitem(last=False)
            self._bytes -= dropped
