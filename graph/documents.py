"""Documents read once: parsed, measured, validated, and kept by the SHA-256 of their text."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from core.errors import ExpectedError
from graph.errors import ERRORS_SHOWN, OperationNotFound, RequestRefused, refusal_of
from graph.limits import DocumentLimits, parse_document

_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
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
        self, schema: GraphQLSchema, limits: DocumentLimits, *, suggestions: bool, introspection: bool = True
    ) -> None:
        """`suggestions`: whether validation errors may name what the schema has (`Did you mean`).

        `introspection`: whether the schema may be asked for; `__typename` always may.
        """
        self._schema = schema
        self._rules = _RULES if introspection else (*_RULES, NoSchemaIntrospectionCustomRule)
        self._limits = limits
        self._suggestions = suggestions
        self._documents: OrderedDict[bytes, Document] = OrderedDict()
        self._characters_held = 0

    def read(self, text: str) -> Document:
        """The document of this text. Raises RequestRefused."""
        key = sha256(text.encode()).digest()
        document = self._documents.get(key)
        if document is not None:
            self._documents.move_to_end(key)
            return document
        document = self._validated(text)
        self._documents[key] = document
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
        return Document(
            text=text,
            node=node,
            operations={each.name.value if each.name else None: each for each in operations},
            fragments={each.name.value: each for each in fragments},
        )
