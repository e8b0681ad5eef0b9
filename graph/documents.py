"""Documents read once: parsed, measured, validated, and kept by their text."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from core.errors import ExpectedError
from graph.coercion import Coercion
from graph.compile import CompiledOperation, compiled
from graph.cost import OperationCost
from graph.errors import ERRORS_SHOWN, OperationNotFound, RequestRefused, refusal_of
from graph.execution import PipelineSchema
from graph.judged import Judged, PublicOperation
from graph.limits import AloneExceeded, DocumentLimits, parse_document
from graph.numbers import ReadableNumbers

ALONE = "alone_in_its_document"
"""Metadata of a mutation that checks a secret: a document may hold one of them, so that none multiplies guesses."""
_DEFINITION = "strawberry-definition"
_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule, ReadableNumbers)
_DOCUMENTS_HELD = 1_000
_CHARACTERS_HELD = 200_000
"""A syntax tree takes some 250 bytes a character, so this is about 50 MB."""


@dataclass(frozen=True, slots=True)
class Document:
    """A validated document."""

    text: str
    node: DocumentNode
    operations: Mapping[str | None, OperationDefinitionNode]
    fragments: Mapping[str, FragmentDefinitionNode]
    compiled: Mapping[str | None, CompiledOperation | None] = field(default_factory=dict)
    """Its operations, but for those that are left to graphql-core."""
    judged: dict[tuple[str | None, bytes], Judged] = field(default_factory=dict)
    """By the operation's name as it was asked for, and its variables."""
    coercions: dict[str | None, Coercion] = field(default_factory=dict)
    labels: dict[str | None, str] = field(default_factory=dict)
    costs: dict[str | None, OperationCost] = field(default_factory=dict)
    """Those that are the same whatever the variables are; all three by the operation's own name, of operations that were looked at so far."""
    public: dict[str | None, PublicOperation | None] = field(default_factory=dict)
    """Operations that were looked at so far."""

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute (GraphQL specification, GetOperation). Raises RequestRefused."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            message = f"the document has {len(self.operations)} operations; operationName must choose one"
            raise RequestRefused.because(OperationNotFound(message, field="operationName"))
        if name not in self.operations:
            message = "operationName names no operation of the document"
            raise RequestRefused.because(OperationNotFound(message, field="operationName"))
        return self.operations[name]


class Documents:
    """Reads documents against one schema; the least recently used are forgotten first."""

    def __init__(
        self, schema: PipelineSchema, limits: DocumentLimits, *, suggestions: bool, introspection: bool = True
    ) -> None:
        """`suggestions`: whether validation errors may name what the schema has (`Did you mean`).

        `introspection`: whether the schema may be asked for; `__typename` always may.
        """
        self._strawberry = schema
        self._schema = schema._schema
        self._rules = _RULES if introspection else (*_RULES, NoSchemaIntrospectionCustomRule)
        self._limits = limits
        self._suggestions = suggestions
        self._alone = _fields_that_stand_alone(self._schema)
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._characters_held = 0

    def read(self, text: str) -> Document:
        """The document of this text. Raises RequestRefused."""
        document = self._documents.get(text)
        if document is not None:
            self._documents.move_to_end(text)
            return document
        document = self._validated(text)
        self._documents[text] = document
        self._characters_held += len(text)
        while len(self._documents) > _DOCUMENTS_HELD or self._characters_held > _CHARACTERS_HELD:
            _, dropped = self._documents.popitem(last=False)
            self._characters_held -= len(dropped.text)
        return document

    def _validated(self, text: str) -> Document:
        try:
            node = parse_document(text, self._limits)
            faults = validate(
                self._schema, node, self._rules, max_errors=ERRORS_SHOWN, hide_suggestions=not self._suggestions
            )
        except ExpectedError as error:
            raise RequestRefused.because(error) from error
        except GraphQLError as error:
            raise refusal_of([error]) from error
        if faults:
            raise refusal_of(faults)
        definitions = node.definitions
        operations = [each for each in definitions if isinstance(each, OperationDefinitionNode)]
        fragments = [each for each in definitions if isinstance(each, FragmentDefinitionNode)]
        named = {each.name.value if each.name else None: each for each in operations}
        used = {each.name.value: each for each in fragments}
        document = Document(
            text=text,
            node=node,
            operations=named,
            fragments=used,
            compiled={name: compiled(self._strawberry, each, used) for name, each in named.items()},
        )
        self._check_alone(document)
        return document

    def _check_alone(self, document: Document) -> None:
        """Refuse more than one mutation that must stand alone, over all operations."""
        found = [
            name
            for operation in document.operations.values()
            if operation.operation is OperationType.MUTATION
            for name in _root_fields(operation.selection_set, document.fragments)
            if name in self._alone
        ]
        if len(found) > 1:
            message = f"a document may hold one of these mutations, and this one has {len(found)}: {', '.join(found)}"
            raise RequestRefused.because(AloneExceeded(message, limit=1, actual=len(found)))


def _fields_that_stand_alone(schema: GraphQLSchema) -> frozenset[str]:
    fields = schema.mutation_type.fields if schema.mutation_type is not None else {}
    definitions = {name: field.extensions.get(_DEFINITION) for name, field in fields.items()}
    return frozenset(name for name, definition in definitions.items() if getattr(definition, "metadata", {}).get(ALONE))


def _root_fields(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[str]:
    """Names of the fields of a validated operation's root; a fragment counts as often as it is spread."""
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            yield selection.name.value
        elif isinstance(selection, InlineFragmentNode):
            yield from _root_fields(selection.selection_set, fragments)
        elif isinstance(selection, FragmentSpreadNode):
            yield from _root_fields(fragments[selection.name.value].selection_set, fragments)
