"""Objects of a compiled operation: their plain fields are read at once (`reads.py`), the others called in their order, all that wait together.

Where reading meets something unexpected, nothing was called yet: the object is then completed field by field, as graphql-core does it.
"""

from collections.abc import Callable, Sequence

from graphql import GraphQLObjectType

from graph.compiled.fields import SelectedField, resolving
from graph.compiled.reads import Reads
from graph.compiled.run import Place, Run, fill, is_pending
from graph.compiled.values import Complete, checked, completing, guarded, told
from graph.execution import PipelineSchema

Select = Callable[[GraphQLObjectType, SelectedField], Sequence[SelectedField]]
Execute = Callable[[Run, Place | None, object], object]
"""The completed value of a field of this object, or a coroutine of it."""


class CompiledObjects:
    """Of one operation. An object's code is made when the first one is met; nothing of it can be refused by then."""

    def __init__(self, schema: PipelineSchema, select: Select) -> None:
        self._schema = schema
        self._select = select
        self._reads = Reads(select)

    def object(self, field: SelectedField, type_: GraphQLObjectType) -> Complete:
        """What completes objects of this type that are values of this field."""
        made: list[Complete] = []

        def complete(run: Run, place: Place, value: object) -> object:
            if not made:
                made.append(self._made(field, type_))
            return made[0](run, place, value)

        return complete

    def _made(self, field: SelectedField, type_: GraphQLObjectType) -> Complete:
        fields = self._select(type_, field)
        read, others = self._reads.of(type_, fields)
        called = [(each.key, self.executing(each)) for each in others]
        whole: list[Complete] = []

        def the_long_way(run: Run, place: Place, value: object) -> object:
            if not whole:
                every = [(each.key, self.executing(each)) for each in fields]
                whole.append(checked(field, type_, lambda run, place, value: execute_fields(run, place, value, every)))
            return whole[0](run, place, value)

        def complete(run: Run, place: Place, value: object) -> object:
            try:
                results = read(value)
            except Exception:  # noqa: BLE001 - whatever it is, the long way meets it again and tells it
                return the_long_way(run, place, value)
            return execute_fields(run, place, value, called, results) if called else results

        return complete

    def executing(self, field: SelectedField) -> Execute:
        """What executes a field of an object."""
        key, parent, type_ = field.key, field.parent.name, field.type
        if field.name == "__typename":
            return lambda _run, _place, _source: parent
        resolve = resolving(field, self._schema)
        complete = guarded(field, type_, completing(field, self))

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
    """These fields of an object, in their order; those that wait are awaited together. `results` already has a place for each."""
    results = {} if results is None else results
    pending: list[str] = []
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
