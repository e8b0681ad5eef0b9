"""Where the events of a compiled subscription come from: the stream its resolver makes, as graphql-core asks for it."""

from collections.abc import AsyncIterable, Mapping, Sequence

from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema
from graphql.execution import Executor, create_source_event_stream
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental


class NotStarted(Exception):
    """A subscription that has no events; `errors` say why."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__("no stream was made")
        self.errors = errors


async def source_events(
    schema: GraphQLSchema, document: DocumentNode, name: str | None, context: object, variables: Mapping[str, object]
) -> AsyncIterable[object]:
    """What the root field of a subscription tells, event by event. `variables` are as they were sent.

    Raises:
        NotStarted: its arguments, or its resolver, are at fault.
    """
    executor = ExecutorThrowingOnIncremental.build(
        schema, document, context_value=context, raw_variable_values=dict(variables), operation_name=name
    )
    if not isinstance(executor, Executor):
        raise NotStarted(executor)
    source = create_source_event_stream(executor)
    if executor.is_awaitable(source):
        source = await source
    if isinstance(source, ExecutionResult):
        raise NotStarted(source.errors or ())
    return source  # type: ignore[return-value]
