"""What a document may be, decided before it is validated.

One pass over each definition, remembered per fragment and added up where it is spread, so that fragments which double at every
level cost their text, not their expansion. Fragment cycles count as nothing here: validation refuses them.
"""

from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    parse,
)

from core.errors import ExpectedError

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})
_NESTING_PER_LEVEL = 4
"""Inline fragments nest without adding depth; this many for each level of depth are followed."""
_LARGEST_SHOWN = 2**31 - 1


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Upper bounds, each inclusive, counted through fragments and over all operations of a document."""

    characters: int = 32_768
    tokens: int = 1_000
    depth: int = 12
    introspection_depth: int = 20
    """Depth below `__schema` and `__type`; the standard introspection queries need 13."""
    aliases: int = 15
    directives: int = 50
    root_fields: int = 50
    repeated_fields: int = 20
    """Fields written again in the same selection set; validation compares each with each."""


class DocumentRefused(ExpectedError):
    """A document beyond a limit. Details: `limit`, and `actual` where it was counted."""

    code = "DOCUMENT_REFUSED"


class DocumentTooLong(DocumentRefused):
    """Too many tokens, comments or characters."""

    code = "DOCUMENT_TOO_LONG"


class DepthExceeded(DocumentRefused):
    """Fields nested too deeply."""

    code = "DEPTH_LIMIT"


class AliasesExceeded(DocumentRefused):
    """Too many aliases."""

    code = "ALIAS_LIMIT"


class DirectivesExceeded(DocumentRefused):
    """Too many directives."""

    code = "DIRECTIVE_LIMIT"


class RootFieldsExceeded(DocumentRefused):
    """Too many fields at the root."""

    code = "ROOT_FIELD_LIMIT"


class RepeatedFieldsExceeded(DocumentRefused):
    """The same field too often in one selection set."""

    code = "REPEATED_FIELD_LIMIT"


class AloneExceeded(DocumentRefused):
    """Two mutations in one document that each check a secret."""

    code = "ALONE_LIMIT"


def parse_document(text: str, limits: DocumentLimits) -> DocumentNode:
    """The document of this text, within all limits.

    Raises:
        DocumentRefused: beyond a limit.
        graphql.GraphQLSyntaxError: not GraphQL.
    """
    if len(text) > limits.characters:
        raise DocumentTooLong(
            f"the document has {len(text)} characters; at most {limits.characters} are read",
            limit=limits.characters,
            actual=len(text),
        )
    try:
        document = parse(text, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
    except GraphQLError as error:
        if "Document contains more than" in error.message:
            raise DocumentTooLong(
                f"the document has more than {limits.tokens} tokens or comments", limit=limits.tokens
            ) from error
        raise
    check_document(document, limits)
    return document


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Refuse a parsed document that is beyond a limit. Raises DocumentRefused."""
    measure = _Measure(document, limits)
    depth = aliases = directives = fields = 0
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            size = measure.of_selections(definition.selection_set, 1)
            depth = max(depth, size.depth)
            aliases += size.aliases
            directives += size.directives + len(definition.directives or ())
            fields += size.fields
        elif isinstance(definition, FragmentDefinitionNode):
            measure.of_fragment(definition.name.value, 1)
    checks: tuple[tuple[type[DocumentRefused], str, int, int], ...] = (
        (DepthExceeded, "levels of fields", depth, limits.depth),
        (AliasesExceeded, "aliases", aliases, limits.aliases),
        (DirectivesExceeded, "directives", directives, limits.directives),
        (RootFieldsExceeded, "root fields", fields, limits.root_fields),
        (RepeatedFieldsExceeded, "repeated fields", measure.repeated, limits.repeated_fields),
    )
    for error, noun, actual, limit in checks:
        if actual > limit:
            shown = min(actual, _LARGEST_SHOWN)
            raise error(f"the document has {shown} {noun}; at most {limit} are allowed", limit=limit, actual=shown)


class _Size(NamedTuple):
    """What a selection set amounts to with everything it spreads."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    """Of its own level."""


class _Measure:
    """Sizes of one document's selection sets; `repeated` grows as they are walked, each once."""

    def __init__(self, document: DocumentNode, limits: DocumentLimits) -> None:
        self.repeated = 0
        self._limits = limits
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, _Size] = {}

    def of_fragment(self, name: str, nesting: int) -> _Size:
        """Size of a fragment; nothing when it does not exist or is being measured further up (a cycle)."""
        size = self._sizes.get(name)
        if size is None:
            self._sizes[name] = _Size()
            fragment = self._fragments.get(name)
            if fragment is None:
                return _Size()
            size = self.of_selections(fragment.selection_set, nesting)
            self._sizes[name] = size._replace(directives=size.directives + len(fragment.directives or ()))
        return self._sizes[name]

    def of_selections(self, selections: SelectionSetNode, nesting: int) -> _Size:
        """Size of a selection set that stands `nesting` sets and spreads deep."""
        if nesting > self._limits.depth * _NESTING_PER_LEVEL:
            raise DepthExceeded(
                f"selections are nested more than {self._limits.depth * _NESTING_PER_LEVEL} deep; "
                f"at most {self._limits.depth} levels of fields are allowed",
                limit=self._limits.depth,
            )
        depth = aliases = directives = fields = 0
        seen: set[str] = set()
        for selection in selections.selections:
            size = self._of_selection(selection, seen, nesting + 1)
            depth = max(depth, size.depth)
            aliases += size.aliases
            directives += size.directives + len(selection.directives or ())
            fields += size.fields
        return _Size(depth, aliases, directives, fields)

    def _of_selection(self, selection: SelectionNode, seen: set[str], nesting: int) -> _Size:
        if isinstance(selection, FragmentSpreadNode):
            return self.of_fragment(selection.name.value, nesting)
        if isinstance(selection, InlineFragmentNode):
            return self.of_selections(selection.selection_set, nesting)
        if not isinstance(selection, FieldNode):
            return _Size()
        key = (selection.alias or selection.name).value
        self.repeated += key in seen
        seen.add(key)
        below = self.of_selections(selection.selection_set, nesting) if selection.selection_set else _Size()
        depth = below.depth + 1
        if selection.name.value in INTROSPECTION_FIELDS:
            self._check_introspection(below.depth)
            depth = 1
        return _Size(depth, below.aliases + (selection.alias is not None), below.directives, 1)

    def _check_introspection(self, depth: int) -> None:
        limit = self._limits.introspection_depth
        if depth > limit:
            raise DepthExceeded(
                f"introspection is nested {depth} levels deep; at most {limit} are allowed", limit=limit, actual=depth
            )
