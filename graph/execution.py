"""Strawberry's schema, taking documents that are already parsed and validated.

`strawberry.Schema.execute` and `.stream` stay as they are, with permissions, field extensions, schema extensions and argument
conversion; only their parsing and validation are skipped for a document the pipeline hands over.
"""

from typing import TYPE_CHECKING

import strawberry
from graphql import DocumentNode, GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREPARED = "prepared_document"


def with_document(document: DocumentNode) -> dict[str, object]:
    """`operation_extensions` that hand a validated document to a `PipelineSchema`."""
    return {_PREPARED: document}


class PreparedDocument(SchemaExtension):
    """Puts the handed-over document where Strawberry looks for a parsed one, and tells it that there is nothing to validate."""

    def on_operation(self) -> "Iterator[None]":
        handed = (self.execution_context.operation_extensions or {}).get(_PREPARED)
        if isinstance(handed, DocumentNode):
            self.execution_context.graphql_document = handed
            self.execution_context.validation_rules = ()
        yield


class PipelineSchema(strawberry.Schema):
    """Build the schema as this class; without a handed-over document it behaves as Strawberry's."""

    def get_extensions(self, sync: bool = False) -> list[SchemaExtension]:
        return [PreparedDocument(), *super().get_extensions(sync)]

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: graph.errors logs what nobody expected, once, with the request's id."""
