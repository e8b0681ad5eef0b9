"""Generated code, and the part of it that completes values in which no resolver is called: leaves, objects with nothing but attributes, lists of them.

It takes the straight way only: whatever it does not expect, it raises, and the value is completed again the long way (`values.py`), which knows every
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

from graph.compiled.fields import SelectedField, is_awaitable
from graph.compiled.values import CAST
from graph.scalars import EXACT_TEXTS

Select = Callable[[GraphQLObjectType, SelectedField], Sequence[SelectedField]]
"""The fields of an object of this type that is the value of this field."""
_EXACT = {"String": "str", "ID": "str", "Boolean": "bool", "Int": "int", "Float": "float"}
_BOUNDS = {"Int": " or not -2147483648 <= {0} <= 2147483647", "Float": " or not isfinite({0})"}
_DEFINITION = "strawberry-definition"


class Unexpected(Exception):
    """The straight way ends here."""


class NotPlain(Exception):
    """Somewhere in the selection a resolver is called, or a type is not known before its value."""


@dataclass(slots=True)
class Generated:
    """Functions of one operation under the names that they call each other by."""

    _names: int = 0
    _space: dict[str, object] = field(
        default_factory=lambda: {"isfinite": isfinite, "Unexpected": Unexpected, "lists": (list, tuple)}
    )
    _source: list[str] = field(default_factory=list)

    def name(self, kind: str) -> str:
        """A name that is not taken."""
        self._names += 1
        return f"{kind}{self._names}"

    def named(self, kind: str, value: object) -> str:
        """The name of this value for the functions."""
        name = self.name(kind)
        self._space[name] = value
        return name

    def add(self, name: str, parameters: str, lines: Sequence[str]) -> None:
        """A function; it is there once `made` was asked for one."""
        body = "\n".join("    " + line for line in lines)
        self._source.append(f"def {name}({parameters}):\n{body}")

    def mark(self) -> int:
        """Where the functions begin that are added from now on."""
        return len(self._source)

    def forget(self, mark: int) -> None:
        """Those that were added since."""
        del self._source[mark:]

    def made(self, name: str) -> object:
        """The function of this name."""
        exec(compile("\n".join(self._source), "<selection>", "exec"), self._space)  # noqa: S102 - names and texts of the schema, quoted
        self._source.clear()
        return self._space[name]


@dataclass(frozen=True, slots=True)
class Reads:
    """Generates for one operation. `select` says what is selected of objects."""

    select: Select
    code: Generated = field(default_factory=Generated)

    def lines(self, selected: SelectedField, value: str) -> list[str]:
        """Lines that turn a variable's value, which is one of this field, into what the answer has. Raises NotPlain."""
        begun = self.code.mark()
        try:
            return self._completion(selected, selected.type, value)
        except NotPlain:
            self.code.forget(begun)
            raise

    def admission(self, type_: GraphQLObjectType) -> tuple[str, Callable[[object], None]]:
        """Whether `o` is to be looked at more closely before it counts as an object of this type; and what does so, and raises Unexpected."""
        classes: set[type] = set()
        known = self.code.named("known", classes)
        cast = f" or {CAST!r} in o.__dict__" if type_.is_type_of is not None else ""
        return f"type(o) not in {known}{cast}", _admitting(type_, classes)

    def _function(self, type_: GraphQLObjectType, fields: Sequence[SelectedField]) -> str:
        """The name of what reads an object."""
        if any(each.attribute is None and each.name != "__typename" for each in fields):
            raise NotPlain
        doubt, admit = self.admission(type_)
        lines, items = [f"if {doubt}: {self.code.named('admit', admit)}(o)"], []
        for number, each in enumerate(fields):
            if each.name == "__typename":
                items.append(f"{each.key!r}: {type_.name!r}")
                continue
            value = f"v{number}"
            lines += [f"{value} = o.{each.attribute}", *self.lines(each, value)]
            items.append(f"{each.key!r}: {value}")
        name = self.code.name("read")
        self.code.add(name, "o", [*lines, "return {" + ", ".join(items) + "}"])
        return name

    def _completion(self, selected: SelectedField, type_: GraphQLOutputType, value: str) -> list[str]:
        """Lines that turn a variable's value into what the answer has."""
        inner = type_.of_type if is_non_null_type(type_) else type_
        lines = self._leaf(inner, value) if is_leaf_type(inner) else self._list_or_object(selected, inner, value)
        if inner is type_:
            return [f"if {value} is not None:", *("    " + line for line in lines)]
        return lines

    def _list_or_object(self, selected: SelectedField, type_: GraphQLOutputType, value: str) -> list[str]:
        if is_list_type(type_):
            name = self.code.name("item")
            self.code.add(name, "x", [*self._completion(selected, type_.of_type, "x"), "return x"])
            return [f"if type({value}) not in lists: raise Unexpected", f"{value} = [{name}(x) for x in {value}]"]
        if is_object_type(type_):
            function = self._function(type_, self.select(type_, selected))
            return [f"{value} = {function}({value})"]
        raise NotPlain

    def _leaf(self, type_: GraphQLLeafType, value: str) -> list[str]:
        slow = self.code.named("slow", _coercion(type_))
        if isinstance(type_, GraphQLEnumType) and (members := _members(type_)) is not None:
            names, kind = self.code.named("names", members[0]), self.code.named("kind", members[1])
            return [f"{value} = {names}[{value}] if type({value}) is {kind} else {slow}({value})"]
        if (writes := EXACT_TEXTS.get(type_.coerce_output_value)) is not None:
            kind, text = self.code.named("kind", writes[0]), self.code.named("text", writes[1])
            return [f"{value} = {text}({value}) if type({value}) is {kind} else {slow}({value})"]
        exact = _EXACT.get(type_.name)
        if exact is None:
            return [f"{value} = {slow}({value})"]
        bounds = _BOUNDS.get(type_.name, "").format(value)
        return [f"if type({value}) is not {exact}{bounds}: {value} = {slow}({value})"]


def _coercion(type_: GraphQLLeafType) -> Callable[[object], object]:
    coerce = type_.coerce_output_value

    def slow(value: object) -> object:
        if value is None or value is Undefined or isinstance(value, Exception) or is_awaitable(value):
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
        if value is None or issubclass(kind, Exception) or is_awaitable(value) or value is Undefined:
            raise Unexpected
        if is_type_of is not None and (own is not None or CAST in value.__dict__ or not is_type_of(value, None)):  # type: ignore[arg-type]
            raise Unexpected
        classes.add(kind)

    return admit
