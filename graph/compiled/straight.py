"""Objects whose resolvers are called by generated code, once and in their order: one function for a selection.

Where something unexpected comes up, the function hands on what it has: the fields that are completed already, the value that it cannot complete, or the
error. The long way goes on from there, so that no resolver is called twice.
"""

from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import Protocol

from graphql import GraphQLObjectType

from graph.compiled.fields import DirectCall, LeanInfo, SelectedField
from graph.compiled.reads import NotPlain, Reads
from graph.compiled.run import Execute, Place, Run, fill
from graph.compiled.values import Complete

Resume = Callable[[Run, Place, object, dict[str, object], object], object]
"""What goes on with an object behind the fields that are completed: with the value that the next one was given, or the error that came in its place."""


class Fields(Protocol):
    """What is there for a field of the operation."""

    def direct(self, field: SelectedField) -> DirectCall | None:
        """How its resolver is called, where that is all that has to be called."""

    def executing(self, field: SelectedField) -> Execute:
        """What executes it the long way."""

    def completing(self, field: SelectedField) -> Complete:
        """What completes its values the long way."""


class Straight:
    """Generates for one operation."""

    def __init__(self, reads: Reads, fields: Fields) -> None:
        self._reads = reads
        self._code = reads.code
        self._fields = fields
        self._missing = self._code.named("missing", object())
        self._info = self._code.named("info", LeanInfo)
        self._coroutine = self._code.named("coroutine", CoroutineType)

    def object(
        self,
        type_: GraphQLObjectType,
        fields: Sequence[SelectedField],
        whole: Complete,
        finished: Complete,
        resume: Resume,
    ) -> Complete:
        """What completes values as objects of this type. `whole`: does it the long way; `finished`: for a result that is awaited."""
        doubt, admit = self._reads.admission(type_)

        def doubtful(run: Run, place: Place, value: object) -> object:
            try:
                admit(value)
            except Exception:  # noqa: BLE001 - whatever it is, the long way meets it again and tells it
                return whole(run, place, value)
            return made(run, place, value)

        def waiting(run: Run, place: Place, results: dict[str, object], keys: list[str]) -> object:
            return finished(run, place, fill(results, keys))

        code, name = self._code, self._code.name("object")
        lines = [line for each in fields for line in self._field(each)] or ["pass"]
        code.add(
            name,
            "run, place, o",
            [
                f"if {doubt}: return {code.named('doubtful', doubtful)}(run, place, o)",
                f"results, pending, raw = {{}}, [], {self._missing}",
                "try:",
                *("    " + line for line in lines),
                "except Exception as error:",
                f"    return {code.named('resume', resume)}(run, place, o, results, error if raw is {self._missing} else raw)",
                f"return {code.named('waiting', waiting)}(run, place, results, pending) if pending else results",
            ],
        )
        made: Complete = code.made(name)  # type: ignore[assignment]
        return made

    def field(self, field: SelectedField) -> Execute:
        """What executes one field of an object by itself."""
        place = f"(place, {field.key!r}, {field.parent.name!r})"
        given = self._given(field, place)
        try:
            lines = None if given is None else self._reads.lines(field, "v")
        except NotPlain:
            lines = None
        if lines is None:
            return self._fields.executing(field)
        code, name = self._code, self._code.name("field")
        complete = code.named("complete", self._fields.completing(field))
        code.add(
            name,
            "run, place, o",
            [
                f"raw = {self._missing}",
                "try:",
                f"    raw = v = {given}",
                *("    " + line for line in lines),
                "    return v",
                "except Exception as error:",
                f"    return {complete}(run, {place}, error if raw is {self._missing} else raw)",
            ],
        )
        made: Execute = code.made(name)  # type: ignore[assignment]
        return made

    def _field(self, field: SelectedField) -> list[str]:
        """Lines that put a field into the results. `raw` is the value that it was given while that has still to be completed."""
        key, parent = repr(field.key), repr(field.parent.name)
        if field.name == "__typename":
            return [f"results[{key}] = {parent}"]
        place = f"(place, {key}, {parent})"
        given = self._given(field, place)
        if given is None:
            value = f"{self._code.named('execute', self._fields.executing(field))}(run, place, o)"
        else:
            try:
                lines = self._reads.lines(field, "v")
            except NotPlain:
                value = f"{self._code.named('complete', self._fields.completing(field))}(run, {place}, {given})"
            else:
                return [f"raw = {self._missing}", f"raw = v = {given}", *lines, f"results[{key}] = v"]
        return [
            f"raw = {self._missing}",
            f"results[{key}] = v = {value}",
            f"if type(v) is {self._coroutine}: pending.append({key})",
        ]

    def _given(self, field: SelectedField, place: str) -> str | None:
        """The expression for the value that a field of `o` is given; None where that is more than one call."""
        if field.attribute is not None:
            return f"o.{field.attribute}"
        call = self._fields.direct(field)
        if call is None:
            return None
        named, code = self._code.named, self._code
        arguments = ["o"] if call.by_self else []
        arguments += [f"{name}=o" for name in call.source]
        if call.info is not None:
            info = f"{self._info}(run, {named('field', field)}, {named('definition', call.definition)}, {place})"
            arguments.append(f"{call.info}={info}")
        if call.constants is None:
            arguments.append(f"**{named('arguments', call.arguments)}(run)")
        else:
            arguments += [f"{name}={named('argument', value)}" for name, value in call.constants.items()]
        return f"{code.named('resolver', call.function)}({', '.join(arguments)})"
