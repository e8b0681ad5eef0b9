"""Operations compiled once and executed many times.

What an operation selects is the same at every execution, but for `@skip` and `@include` by variables: for each of their values it is compiled anew. Compiled are the
selection, the completion of every type, the arguments that do not depend on variables. Resolvers, with everything Strawberry puts around them, are called as ever, each
once; mutations one after the other. Of a subscription graphql-core makes the stream, once; each of its events is executed as compiled. `data` and `errors` are those of
graphql-core.

Whether an operation is compiled at all is decided before anything of it runs (`_is_covered`).
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from graphql.language import Visitor, visit

from graph.broadcast import SharedField, shared_field
from graph.compiled.events import source_events
from graph.compiled.fields import SelectedField, arguments_of
from graph.compiled.objects import CompiledObjects, Select, execute_fields, execute_serially
from graph.compiled.run import Execute, Run, Statics, is_pending
from graph.execution import PipelineSchema
from graph.own_events import own_field

Fragments = Mapping[str, FragmentDefinitionNode]
"""Those of an operation's document, by their names."""
ObjectsFactory = Callable[[PipelineSchema, Select], CompiledObjects]
_VARIANTS_HELD = 16
"""Of one operation, for different values of its conditions."""
_CONDITIONS = ("skip", "include")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution gave: as `graphql.ExecutionResult`, but never both without data and without errors."""

    data: dict[str, object] | None
    errors: Sequence[GraphQLError]


KnownOutcome = Callable[[object], Outcome | None]
"""Gives the outcome of an event that may be shared; None for one that is to be executed."""


class CompiledOperation:
    """One operation of a document."""

    def __init__(
        self,
        schema: PipelineSchema,
        operation: OperationDefinitionNode,
        fragments: Fragments,
        objects: ObjectsFactory = CompiledObjects,
    ) -> None:
        """`objects`: makes what completes its objects."""
        self._schema = schema
        self._objects = objects
        self._operation = operation
        self._fragments = {name: FragmentDetails(each) for name, each in fragments.items()}
        self._statics = Statics(schema._schema, operation, dict(fragments))
        self._conditions = _condition_variables(operation, fragments)
        self.shared = shared_field(schema._schema, operation, fragments)
        """The root field of a subscription that is executed once for all who ask the same."""
        self.own = own_field(schema._schema, operation, fragments)
        """That of a private one, whose events are executed once for all of an account who ask the same."""
        self._variants: OrderedDict[tuple[object, ...], Sequence[tuple[str, Execute]]] = OrderedDict()

    async def execute(self, context: object, variables: VariableValues, *, root: object = None) -> Outcome:
        """Execute it with coerced variables; of a subscription the one event that `root` is.

        Raises only what is no GraphQL error, which nothing here should make.
        """
        run = self.run(context, variables, root=root)
        fields = self._root_fields(variables)
        try:
            if self._operation.operation is OperationType.MUTATION:
                data: object = await execute_serially(run, root, fields)
            else:
                data = execute_fields(run, None, root, fields)
                if is_pending(data):
                    data = await data  # type: ignore[misc]
        except GraphQLError as error:
            run.add(error, None)
            data = None
        return Outcome(data, run.errors)  # type: ignore[arg-type]

    def run(self, context: object, variables: VariableValues, *, root: object = None) -> Run:
        """A new execution, of which nothing is executed yet."""
        return Run(self._statics, context, root, variables)

    def shared_event(self, variables: VariableValues, event: object, context: object = None) -> Outcome:
        """The outcome of an event of a subscription that is `shared`, or an account's `own`: known at once, whoever asks."""
        run = Run(self._statics, context, event, variables)
        try:
            data = execute_fields(run, None, event, self._root_fields(variables))
        except GraphQLError as error:
            run.add(error, None)
            data = None
        if is_pending(data):
            raise TypeError("what is shared may not wait")
        return Outcome(data, run.errors)  # type: ignore[arg-type]

    def shared_arguments(self, shared: SharedField, variables: VariableValues) -> Mapping[str, object]:
        """The arguments of the root field as its resolver gets them. Raises what is wrong with them."""
        root = self._statics.schema.subscription_type
        if root is None:
            raise TypeError("the schema has no subscriptions")
        field = SelectedField(shared.node.name.value, [FieldDetails(shared.node, None, None)], root, shared.definition)
        return arguments_of(field, self._schema)(Run(self._statics, None, None, variables))

    async def events(
        self,
        context: object,
        variables: VariableValues,
        sent: Mapping[str, object],
        known: KnownOutcome | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """An outcome for each event of a subscription. `sent`: its variables as they came; `known`: what gives the outcome of an event that others have had.

        Raises:
            NotStarted: there are no events.
            Exception: whatever its source ends with.
        """
        name = self._operation.name.value if self._operation.name else None
        document = DocumentNode(definitions=(self._operation, *self._statics.fragments.values()))
        source = aiter(await source_events(self._statics.schema, document, name, context, sent))
        async with _closing(source):
            async for event in source:
                outcome = None if known is None else known(event)
                yield await self.execute(context, variables, root=event) if outcome is None else outcome

    def _root_fields(self, variables: VariableValues) -> Sequence[tuple[str, Execute]]:
        coerced = variables.coerced
        values = tuple([coerced.get(name) for name in self._conditions])
        variant = self._variants.get(values)
        if variant is None:
            variant = self._variants[values] = self._compiled(variables)
            if len(self._variants) > _VARIANTS_HELD:
                self._variants.popitem(last=False)
        return variant

    def _compiled(self, variables: VariableValues) -> Sequence[tuple[str, Execute]]:
        schema = self._statics.schema
        conditions = VariableValues(
            {name: variables.sources[name] for name in self._conditions if name in variables.sources},
            {name: variables.coerced[name] for name in self._conditions if name in variables.coerced},
        )
        root = schema.get_root_type(self._operation.operation)
        if root is None:
            raise TypeError(f"the schema has no {self._operation.operation.value}")

        def selected(parent: GraphQLObjectType, grouped: GroupedFieldSet) -> list[SelectedField]:
            return [
                _selected(schema.get_field(parent, _name(each)), key, each, parent) for key, each in grouped.items()
            ]

        def select(type_: GraphQLObjectType, field: SelectedField) -> list[SelectedField]:
            found = collect_subfields(schema, self._fragments, conditions, self._operation, type_, field.details)
            return selected(type_, found.grouped_field_set)

        objects = self._objects(self._schema, select)
        collected = collect_fields(schema, self._fragments, conditions, root, self._operation)
        return [(each.key, objects.executing(each)) for each in selected(root, collected.grouped_field_set)]


def _closing(source: AsyncIterator[object]) -> AsyncExitStack | aclosing[AsyncGenerator[object, None]]:
    """Closes a source that can be closed."""
    return aclosing(source) if isinstance(source, AsyncGenerator) else AsyncExitStack()


def compiled(
    schema: PipelineSchema, operation: OperationDefinitionNode, fragments: Fragments
) -> CompiledOperation | None:
    """The operation, which is valid, ready to be executed; None when it is left to graphql-core."""
    covered = not schema.extensions and _is_covered(operation, fragments)
    return CompiledOperation(schema, operation, fragments) if covered else None


def _is_covered(operation: OperationDefinitionNode, fragments: Fragments) -> bool:
    """Left out are questions about the schema itself, directives on operations, and fragments with variables."""
    if operation.directives:
        return False
    if any(each.variable_definitions for each in fragments.values()):
        return False
    seen = _Introspection()
    for node in (operation, *fragments.values()):
        visit(node, seen)
    return not seen.found


class _Introspection(Visitor):
    found = False

    def enter_field(self, node: FieldNode, *_rest: object) -> None:
        self.found = self.found or node.name.value in ("__schema", "__type")


class _Conditions(Visitor):
    """The variables that say what is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_rest: object) -> None:
        if node.name.value in _CONDITIONS:
            values = [each.value for each in node.arguments or ()]
            self.names.update(each.name.value for each in values if isinstance(each, VariableNode))


def _condition_variables(operation: OperationDefinitionNode, fragments: Fragments) -> tuple[str, ...]:
    seen = _Conditions()
    for node in (operation, *fragments.values()):
        visit(node, seen)
    return tuple(sorted(seen.names))


def _name(details: Sequence[FieldDetails]) -> str:
    return details[0].node.name.value


def _selected(
    definition: GraphQLField | None, key: str, details: list[FieldDetails], parent: GraphQLObjectType
) -> SelectedField:
    if definition is None:
        raise TypeError(f"{parent} has no field {_name(details)}")
    return SelectedField(key, details, parent, definition)
