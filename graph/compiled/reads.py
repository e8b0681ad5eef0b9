"""Code that reads the fields which are nothing but attributes, generated once for a selection.

It takes the straight way only: whatever it does not expect, it raises, and the whole selection is completed again the long way (`objects.py`), which knows every
rule and makes every error. Reading attributes twice changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from types import CoroutineType

from graphql import (
    GraphQLEnumType,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.pyutils import Undefined
from strawberry.types.base import StrawberryObjectDefinition

from graph.compiled.fields import SelectedField
from graph.compiled.values import CAST

Read = Callable[[object], dict[str, object]]
Select = Callable[[GraphQLObjectType, SelectedField], Sequence[SelectedField]]
"""The fields of an object of this type that is the value of this field."""
_EXACT = {"String": "str", "ID": "str", "Boolean": "bool", "Int": "int", "Float": "float"}
_BOUNDS = {"Int": " or not -2147483648 <= {0} <= 2147483647", "Float": " or not isfinite({0})"}
_DEFINITION = "strawberry-definition"


class Unexpected(Exception):
    """The straight way ends here."""


class _NotPlain(Exception):
    """Somewhere in the selection a resolver is called."""


@dataclass(slots=True)
class Reads:
    """Generates for one operation. `select` says what is selected of objects."""

    select: Select
    _names: int = 0
    _space: dict[str, object] = field(default_factory=lambda: {"isfinite": isfinite})
    _source: list[str] = field(default_factory=list)

    def of(self, type_: GraphQLObjectType, fields: Sequence[SelectedField]) -> tuple[Read, list[SelectedField]]:
        """What reads the plain fields of an object of this type into a result, in whose other places is None; and the fields of those."""
        self._source = []
        others: list[SelectedField] = []
        function = self._function(type_, fields, others)
        exec(compile("\n".join(self._source), "<selection>", "exec"), self._space)  # noqa: S102 - names and texts of the schema, quoted
        read = self._space[function]
        return read, others  # type: ignore[return-value]

    def _function(
        self, type_: GraphQLObjectType, fields: Sequence[SelectedField], others: list[SelectedField] | None
    ) -> str:
        """The name of what reads an object. `others` takes the fields that are not plain; None: there must be none."""
        lines, items = [self._admission(type_)], []
        for number, each in enumerate(fields):
            if each.name == "__typename":
                items.append(f"{each.key!r}: {type_.name!r}")
                continue
            try:
                if each.attribute is None:
                    raise _NotPlain
                value = f"v{number}"
                completion = self._completion(each, each.type, value)
            except _NotPlain:
                if others is None:
                    raise
                others.append(each)
                items.append(f"{each.key!r}: None")
                continue
            lines += [f"{value} = o.{each.attribute}", *completion]
            items.append(f"{each.key!r}: {value}")
        name = self._name("read")
        body = "\n".join("    " + line for line in [*lines, "return {" + ", ".join(items) + "}"])
        self._source.append(f"def {name}(o):\n{body}")
        return name

    def _completion(self, selected: SelectedField, type_: GraphQLOutputType, value: str) -> list[str]:
        """Lines that turn a variable's value into what the answer has."""
        inner = type_.of_type if is_non_null_type(type_) else type_
        if is_leaf_type(inner):
            return self._leaf(inner, value, may_be_null=inner is type_)
        lines = self._list_or_object(selected, inner, value)
        if inner is type_:
            return [f"if {value} is not None:", *("    " + line for line in lines)]
        return lines

    def _list_or_object(self, selected: SelectedField, type_: GraphQLOutputType, value: str) -> list[str]:
        if is_list_type(type_):
            item_lines = self._completion(selected, type_.of_type, "x")
            name = self._name("item")
            body = "\n".join("    " + line for line in item_lines)
            self._source.append(f"def {name}(x):\n{body}\n    return x")
            return [f"if type({value}) not in lists: raise Unexpected", f"{value} = [{name}(x) for x in {value}]"]
        if is_object_type(type_):
            function = self._function(type_, self.select(type_, selected), None)
            return [f"{value} = {function}({value})"]
        raise _NotPlain

    def _leaf(self, type_: GraphQLLeafType, value: str, *, may_be_null: bool) -> list[str]:
        self._space |= {"Unexpected": Unexpected, "lists": (list, tuple)}
        slow = self._name("slow")
        self._space[slow] = _coercion(type_, may_be_null=may_be_null)
        if isinstance(type_, GraphQLEnumType) and (members := _members(type_)) is not None:
            names, kind = self._name("names"), self._name("kind")
            self._space[names], self._space[kind] = members
            return [f"{value} = {names}[{value}] if type({value}) is {kind} else {slow}({value})"]
        exact = _EXACT.get(type_.name)
        if exact is None:
            return [f"{value} = {slow}({value})"]
        bounds = _BOUNDS.get(type_.name, "").format(value)
        return [f"if type({value}) is not {exact}{bounds}: {value} = {slow}({value})"]

    def _admission(self, type_: GraphQLObjectType) -> str:
        """The line that turns away what is no object of this type, or might not be."""
        known, admit = self._name("known"), self._name("admit")
        classes: set[type] = set()
        self._space[known] = classes
        self._space[admit] = _admitting(type_, classes)
        cast = f" or {CAST!r} in o.__dict__" if type_.is_type_of is not None else ""
        return f"if type(o) not in {known}{cast}: {admit}(o)"

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"


def _coercion(type_: GraphQLLeafType, *, may_be_null: bool) -> Callable[[object], object]:
    coerce = type_.coerce_output_value

    def slow(value: object) -> object:
        if value is None and may_be_null:
            return None
        if value is None or value is Undefined or isinstance(value, Exception) or hasattr(value, "__await__"):
            raise Unexpected
        coerced = coerce(value)
        if coerced is None or coerced is Undefined or type(coerced) is CoroutineType:
            raise Unexpected
        return coerced

    return slow


def _members(type_: GraphQLEnumType) -> tuple[Mapping[object, str], type] | None:
    """An enum's names by its members, and the class of these; None where they are of several."""
    names: dict[object, str] = {}
    wrapped = getattr(type_.extensions.get(_DEFINITION), "wrapped_cls", None)
    if not isinstance(wrapped, type):
        return None
    for member in wrapped:  # type: ignore[attr-defined]
        names[member] = str(type_.coerce_output_value(member))
    return names, wrapped


def _admitting(type_: GraphQLObjectType, classes: set[type]) -> Callable[[object], None]:
    """What lets objects of a class in, for ever, when the class alone says that they are of this type."""
    is_type_of = type_.is_type_of
    definition = type_.extensions.get(_DEFINITION)
    own = definition.is_type_of if isinstance(definition, StrawberryObjectDefinition) else is_type_of

    def admit(value: object) -> None:
        kind = type(value)
        if value is None or issubclass(kind, Exception) or hasattr(kind, "__await__") or value is Undefined:
            raise Unexpected
        if is_type_of is not None and (own is not None or CAST in value.__dict__ or not is_type_of(value, None)):  # type: ignore[arg-type]
            raise Unexpected
        classes.add(kind)

    return admit
