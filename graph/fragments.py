"""Markets, and edges with one, encoded once for a selection and version: after one tick one market is encoded again, and the others are copied.

Only for what is public of an operation, with blanks for the rest, and for selections that no variable changes. What was completed with an error is not kept.
"""

from collections.abc import Callable
from weakref import WeakSet

import orjson
from graphql import FieldNode, GraphQLObjectType, GraphQLOutputType, VariableNode
from graphql.language import Visitor, visit

from graph.compiled.fields import DirectCall, SelectedField
from graph.compiled.objects import CompiledObjects, Select
from graph.compiled.run import Execute, Place, Run, is_pending
from graph.compiled.values import Complete
from graph.execution import PipelineSchema
from graph.forms import Blank, Form, encoded
from graph.public import Fragments, PublicData, Version, is_blank, reading_below
from graph.types.connection import Edge
from graph.types.market import Market

_BYTES_HELD = 32 * 1024 * 1024
_ENCODED = frozenset({"Market", "MarketEdge"})


class _Held:
    """What is kept of one selection, by symbol: its version, what else it depends on, and the object encoded."""

    __slots__ = ("__weakref__", "markets")

    def __init__(self) -> None:
        self.markets: dict[str, tuple[Version, object, orjson.Fragment | Form]] = {}


class FragmentStore:
    """All encoded markets of a process; where they grow too many, all are forgotten."""

    def __init__(self, public: PublicData, *, bytes_held: int = _BYTES_HELD) -> None:
        self.public = public
        self._bytes_held = bytes_held
        self._bytes = 0
        self._selections: WeakSet[_Held] = WeakSet()

    def selection(self) -> _Held:
        """Where one selection keeps its markets."""
        held = _Held()
        self._selections.add(held)
        return held

    def count(self, size: int) -> None:
        """So many bytes more are kept."""
        self._bytes += size
        if self._bytes > self._bytes_held:
            for held in self._selections:
                held.markets.clear()
            self._bytes = size


class FragmentObjects(CompiledObjects):
    """What is public of a compiled operation: markets may be there already encoded, and private fields are left blank."""

    def __init__(self, schema: PipelineSchema, select: Select, *, store: FragmentStore, fragments: Fragments) -> None:
        super().__init__(schema, select)
        self._store = store
        self._fragments = fragments
        self._private = CompiledObjects(schema, select)

    def direct(self, field: SelectedField) -> DirectCall | None:
        return None if is_blank(field.definition, field.parent) else super().direct(field)

    def executing(self, field: SelectedField) -> Execute:
        if not is_blank(field.definition, field.parent):
            return super().executing(field)
        execute = self._private.alone(field)
        return lambda _run, place, source: Blank(execute, place, source)

    def object(self, field: SelectedField, type_: GraphQLObjectType, declared: GraphQLOutputType) -> Complete:
        complete = super().object(field, type_, declared)
        if type_.name not in _ENCODED:
            return complete
        selections = [node.selection_set for node in field.nodes if node.selection_set is not None]
        reading = reading_below(type_, selections, self._fragments)
        if reading is None or _depends_on_variables(field, self._fragments):
            return complete
        return _kept(complete, self._store, self._store.public.market_version(reading), has_blanks=reading.has_blanks)


def _kept(
    complete: Complete, store: FragmentStore, version_of: Callable[[str], Version], *, has_blanks: bool
) -> Complete:
    """Blanks know their place in the answer, so that a market with some is the same in one place only."""
    held = store.selection()

    def kept(run: Run, place: Place, value: object) -> object:
        cursor, market = (value.cursor, value.node) if isinstance(value, Edge) else (None, value)
        if type(market) is not Market:
            return complete(run, place, value)
        symbol = market.symbol
        version, otherwise = version_of(symbol), (cursor, place if has_blanks else None)
        known = held.markets.get(symbol)
        if known is not None and known[0] == version and known[1] == otherwise:
            return known[2]
        errors = len(run.errors)
        completed = complete(run, place, value)
        if completed is None or is_pending(completed) or len(run.errors) != errors:
            return completed
        try:
            form = encoded(completed)
        except orjson.JSONEncodeError:
            return completed  # whoever encodes the whole answer meets it again and tells it
        store.count(form.size if known is None else 0)
        made = form if has_blanks else orjson.Fragment(form.text)
        held.markets[symbol] = (version, otherwise, made)
        return made

    return kept


class _Arguments(Visitor):
    """Whether a variable stands anywhere but in a condition; for each value of its conditions an operation is compiled anew."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_field(self, node: FieldNode, *_rest: object) -> None:
        for argument in node.arguments or ():
            inner = _Variables()
            visit(argument, inner)
            self.found = self.found or inner.found


class _Variables(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_rest: object) -> None:
        self.found = True


def _depends_on_variables(field: SelectedField, fragments: Fragments) -> bool:
    """Whether what is selected below depends on a variable; any fragment of the document counts as selected."""
    seen = _Arguments()
    for node in field.nodes:
        if node.selection_set is not None:
            visit(node.selection_set, seen)
    for fragment in fragments.values():
        visit(fragment.selection_set, seen)
    return seen.found
