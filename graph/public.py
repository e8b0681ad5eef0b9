"""Operations that ask for nothing but public market data: found by the schema's marks, executed with a context that has nobody in it.

What such an operation answers depends on its document, its variables and the sources that its fields read, and on nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_leaf_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from core.vocabulary import MarketDataOrigin
from graph.public_data import PUBLIC, MarketSource, PublicReads, has_public_attributes
from services.catalogue import Catalogue
from services.market_changes import MarketChanges
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads

Fragments = Mapping[str, FragmentDefinitionNode]
Version = tuple[int, ...]
_DEFINITION = "strawberry-definition"
_EDGE = "Edge"
"""How types end that hold one object and its cursor."""


class PrivateDataTouched(Exception):
    """A resolver that is marked as public asked for something that only a caller's own context has."""


class PublicContext:
    """What public resolvers may reach. Whatever else is asked of it raises PrivateDataTouched."""

    __slots__ = ("catalogue", "exchange_view", "market_data", "markets", "view")

    def __init__(
        self,
        catalogue: Catalogue,
        view: MarketView,
        exchange_view: MarketView,
        markets: MarketReads,
        market_data: MarketDataReads,
    ) -> None:
        self.catalogue = catalogue
        self.view = view
        self.exchange_view = exchange_view
        self.markets = markets
        self.market_data = market_data

    def view_of(self, origin: MarketDataOrigin) -> MarketView:
        """What this process knows of the markets of this origin."""
        return self.exchange_view if origin is MarketDataOrigin.EXCHANGE else self.view

    def __getattr__(self, name: str) -> NoReturn:
        raise PrivateDataTouched(f"a public field asked for the context's {name}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a selection reads: of the one market that it is a selection of, and of everything else."""

    own: frozenset[MarketSource]
    others: frozenset[MarketSource]
    has_blanks: bool
    """Whether there are private fields that are left blank."""

    @property
    def all(self) -> frozenset[MarketSource]:
        return self.own | self.others


class PublicData:
    """The public context of a process, and the versions of what it shows."""

    def __init__(self, context: PublicContext) -> None:
        self.context = context
        self._catalogue = context.catalogue
        self._view, self._exchange_view = context.view, context.exchange_view

    def version(self, sources: frozenset[MarketSource]) -> Callable[[], Version]:
        """What gives the present version of these sources, of all markets together."""
        catalogue, reads = self._catalogue, self._reads(sources)
        changes = [(self._changes(source), name) for source, name in reads]
        if len(changes) == 1:
            only, name = changes[0]
            return lambda: (catalogue.version, getattr(only, name))
        return lambda: (catalogue.version, *[getattr(each, name) for each, name in changes])

    def market_version(self, reading: Reading) -> Callable[[str], Version]:
        """What gives the present version of what a selection of a market reads, by the market's symbol."""
        catalogue, others = self._catalogue, self.version(reading.others)
        own = [(self._of(source).states, name) for source, name in self._reads(reading.own)]
        if not own and not reading.others - {MarketSource.CATALOGUE}:
            return lambda _symbol: (catalogue.version,)
        if len(own) == 1 and not reading.others - {MarketSource.CATALOGUE}:
            states, name = own[0]
            return lambda symbol: (catalogue.version, getattr(states[symbol].own_changes, name))
        return lambda symbol: (*others(), *[getattr(states[symbol].own_changes, name) for states, name in own])

    def _changes(self, source: MarketSource) -> MarketChanges:
        return self._of(source).changes

    def _of(self, source: MarketSource) -> MarketView:
        return self._exchange_view if source is MarketSource.EXCHANGE_TICKER else self._view

    def _reads(self, sources: frozenset[MarketSource]) -> list[tuple[MarketSource, str]]:
        """The counters of these sources but the catalogue's, whose version is part of every other."""
        return [(source, _COUNTERS[source]) for source in MarketSource if source in sources and source in _COUNTERS]


_COUNTERS = {
    MarketSource.TICK: "tick",
    MarketSource.TICKER: "ticker",
    MarketSource.FEED: "feed",
    MarketSource.EXCHANGE_TICKER: "ticker",
}


def reading_of(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments
) -> frozenset[MarketSource] | None:
    """The sources of a valid query that is public as a whole; None for every other operation."""
    reading = _reading(schema, operation, fragments)
    return None if reading is None or reading.has_blanks else reading.all


def reading_around_blanks(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments
) -> frozenset[MarketSource] | None:
    """The sources of a valid query that is public but for its blanks; None for every other operation."""
    reading = _reading(schema, operation, fragments)
    return reading.all if reading is not None and reading.has_blanks and reading.all else None


def _reading(schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments) -> Reading | None:
    if operation.operation is not OperationType.QUERY or schema.query_type is None:
        return None
    return reading_below(schema.query_type, [operation.selection_set], fragments)


def reading_below(
    type_: GraphQLObjectType, selections: Sequence[SelectionSetNode], fragments: Fragments
) -> Reading | None:
    """What these selections of a market, or of an edge with one, read beside their blanks; None where something else of them is not public."""
    walk = _Walk(fragments)
    if not all(walk.is_public(selection, type_, top=True) for selection in selections):
        return None
    return Reading(frozenset(walk.own), frozenset(walk.others), walk.has_blanks)


def is_blank(field: GraphQLField, parent: GraphQLObjectType) -> bool:
    """Whether a field of the schema is private and may be left blank: it has a resolver of its own, which may give null."""
    definition = field.extensions.get(_DEFINITION)
    return (
        isinstance(definition, StrawberryField)
        and definition.base_resolver is not None
        and not is_non_null_type(field.type)
        and public_reads(field, parent) is None
    )


def public_reads(field: GraphQLField, parent: GraphQLObjectType) -> PublicReads | None:
    """How a field of the schema is marked; None: private."""
    definition = field.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryField) or definition.extensions:
        return None
    if definition.base_resolver is None:
        owner = parent.extensions.get(_DEFINITION)
        plain = isinstance(owner, StrawberryObjectDefinition) and has_public_attributes(owner.origin)
        return PublicReads(frozenset()) if plain else None
    mark = definition.metadata.get(PUBLIC)
    return mark if isinstance(mark, PublicReads) and not definition.is_async else None


class _Walk:
    """One pass over a selection; each fragment is looked at once for each type."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._seen: set[tuple[str, str, bool]] = set()
        self.own: set[MarketSource] = set()
        self.others: set[MarketSource] = set()
        self.has_blanks = False

    def is_public(self, selections: SelectionSetNode, type_: GraphQLObjectType, *, top: bool = False) -> bool:
        """Whether everything selected of objects of this type is, but for blanks. Conditions and `@include` are taken as if they held."""
        return all(self._field(node, type_, top=top) for node in self._fields(selections, type_, top=top))

    def _fields(self, selections: SelectionSetNode, type_: GraphQLObjectType, *, top: bool) -> Iterator[FieldNode]:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from self._fields(selection.selection_set, type_, top=top)
            elif isinstance(selection, FragmentSpreadNode):
                key = (selection.name.value, type_.name, top)
                if key not in self._seen:
                    self._seen.add(key)
                    inner = self._fragments[selection.name.value].selection_set
                    yield from self._fields(inner, type_, top=top)

    def _field(self, node: FieldNode, type_: GraphQLObjectType, *, top: bool) -> bool:
        if node.name.value == "__typename":
            return True
        field = type_.fields.get(node.name.value)
        if field is not None and is_blank(field, type_):
            self.has_blanks = True
            return True
        mark = None if field is None else public_reads(field, type_)
        if field is None or mark is None:
            return False
        (self.own if top and mark.of_one_market else self.others).update(mark.sources(node))
        below = get_named_type(field.type)
        if is_leaf_type(below):
            return True
        still_one = top and type_.name.endswith(_EDGE)
        return (
            node.selection_set is not None
            and is_object_type(below)
            and self.is_public(node.selection_set, below, top=still_one)
        )
