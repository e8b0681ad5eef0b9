"""Objects of a compiled operation: the straight way by generated code (`straight.py`), and the long way field by field, as graphql-core does it."""

from collections.abc import Callable, Sequence
from functools import cache

from graphql import GraphQLObjectType, GraphQLOutputType

from graph.compiled.fields import DirectCall, SelectedField, resolving
from graph.compiled.reads import Reads
from graph.compiled.run import Execute, Place, Run, fill, is_pending
from graph.compiled.straight import Straight
from graph.compiled.values import Complete, checked, completing, finishing, guarded_object, told
from graph.execution import PipelineSchema

Select = Callable[[GraphQLObjectType, SelectedField], Sequence[SelectedField]]


class CompiledObjects:
    """Of one operation. An object's code is made when the first one is met; nothing of it can be refused by then."""

    def __init__(self, schema: PipelineSchema, select: Select) -> None:
        self._schema = schema
        self._select = select
        self._straight = Straight(Reads(select), self)

    def object(self, field: SelectedField, type_: GraphQLObjectType, declared: GraphQLOutputType) -> Complete:
        """What completes objects of this type that are values of this field, where the declared type stands."""
        made: list[Complete] = []

        def complete(run: Run, place: Place, value: object) -> object:
            if not made:
                made.append(self._made(field, type_, declared))
            return made[0](run, place, value)

        return complete

    def _made(self, field: SelectedField, type_: GraphQLObjectType, declared: GraphQLOutputType) -> Complete:
        fields = self._select(type_, field)
        finished = finishing(field, declared)

        @cache
        def every() -> Sequence[tuple[str, Execute]]:
            return [(each.key, self.executing(each)) for each in fields]

        @cache
        def completion(at: int) -> Complete:
            return self.completing(fields[at])

        def execute(run: Run, place: Place, value: object) -> object:
            return execute_fields(run, place, value, every())

        def resume(run: Run, place: Place, source: object, results: dict[str, object], given: object) -> object:
            at = len(results)
            begun = fields[at]

            def going_on(run: Run, around: Place | None, _source: object) -> object:
                return completion(at)(run, (around, begun.key, begun.parent.name), given)

            following = [(begun.key, going_on), *every()[at + 1 :]]
            try:
                completed = execute_fields(run, place, source, following, results)
            except Exception as raised:  # noqa: BLE001 - every error is told
                told(run, place, field, declared, raised)
                return None
            return finished(run, place, completed) if is_pending(completed) else completed

        whole = guarded_object(field, declared, checked(field, type_, execute))
        return self._straight.object(type_, fields, whole, finished, resume)

    def completing(self, field: SelectedField) -> Complete:
        """What completes the values of a field."""
        return completing(field, self)

    def direct(self, field: SelectedField) -> DirectCall | None:
        """How the resolver of a field is called by generated code; None: the field is executed otherwise."""
        return DirectCall.of(field, self._schema)

    def alone(self, field: SelectedField) -> Execute:
        """What executes a field of many objects, of which nothing else is executed."""
        return self._straight.field(field)

    def executing(self, field: SelectedField) -> Execute:
        """What executes a field of an object."""
        key, parent, type_ = field.key, field.parent.name, field.type
        if field.name == "__typename":
            return lambda _run, _place, _source: parent
        resolve = resolving(field, self._schema)
        complete = self.completing(field)

        def execute(run: Run, around: Place | None, source: object) -> object:
            place: Place = (around, key, parent)
            try:
                result = resolve(run, place, source)
            except Exception as raw:  # noqa: BLE001 - every error of a resolver is told
                told(run, place, field, type_, raw)
                return None
            return complete(run, place, result)

        return execute


def execute_fields(
    run: Run,
    place: Place | None,
    source: object,
    fields: Sequence[tuple[str, Execute]],
    results: dict[str, object] | None = None,
) -> object:
    """These fields of an object, in their order, behind those in `results`; all that wait are awaited together."""
    results = {} if results is None else results
    pending = [key for key, value in results.items() if is_pending(value)]
    try:
        for key, execute in fields:
            completed = results[key] = execute(run, place, source)
            if is_pending(completed):
                pending.append(key)
    except Exception:
        if pending:
            run.settle([results[key] for key in pending])  # type: ignore[misc]
        raise
    return fill(results, pending) if pending else results


async def execute_serially(run: Run, source: object, fields: Sequence[tuple[str, Execute]]) -> dict[str, object]:
    """These fields, each begun when the one before is done."""
    results: dict[str, object] = {}
    for key, execute in fields:
        completed = execute(run, None, source)
        results[key] = await completed if is_pending(completed) else completed  # type: ignore[misc]
    return results
