"""Extensions of fields are called as Strawberry calls them: in its order, with the same words, and each once."""

from typing import Any

import orjson
import pytest
import strawberry
from graphql import OperationDefinitionNode, get_variable_values, parse
from graphql.execution.values import VariableValues
from strawberry import Info
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission

from graph.compile import compiled
from graph.execution import PipelineSchema

Calls = list[str]


@strawberry.input
class Point:
    x: int
    y: int = 7


class Told(FieldExtension):
    """Notes what it is given, and says so in the answer."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def resolve_async(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        info.context.append(f"{self.name} {type(source).__name__} {info.field_name} {sorted(kwargs)} {info.path.key}")
        return f"{self.name}({await next_(source, info, **kwargs)})"


class AtOnce(FieldExtension):
    """Of fields that do not wait."""

    def resolve(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        info.context.append(f"at once {sorted(kwargs)}")
        return f"at once({next_(source, info, **kwargs)})"


class Moved(FieldExtension):
    """Gives the resolver other arguments than the field has."""

    def map_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "point": Point(x=kwargs["point"].x + 1, y=kwargs["point"].y)}


class Replacing(FieldExtension):
    """Gives what is within it another argument and another source."""

    async def resolve_async(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        return await next_("another", info, **{**kwargs, "count": 3})


class Refusing(BasePermission):
    message = "not you"

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        info.context.append(f"judged {sorted(kwargs)}")
        return bool(kwargs["allow"])


@strawberry.type
class Query:
    @strawberry.field(extensions=[Told("outer"), Told("inner")])  # type: ignore[untyped-decorator]
    async def both(self, info: Info, point: Point) -> str:
        info.context.append("resolved")
        return f"{type(self).__name__} {point.x} {point.y}"

    @strawberry.field(extensions=[Told("outer")])  # type: ignore[untyped-decorator]
    def without_waiting(self, count: int = 2) -> str:
        return str(count)

    @strawberry.field(extensions=[AtOnce()])  # type: ignore[untyped-decorator]
    def at_once(self, root: "Query", told: Info, count: int = 2) -> str:
        return f"{root is self} {told.field_name} {count}"

    @strawberry.field(extensions=[Moved(), Told("outer")])  # type: ignore[untyped-decorator]
    async def moved(self, point: Point) -> str:
        return f"{point.x} {point.y}"

    @strawberry.field(extensions=[Replacing()])  # type: ignore[untyped-decorator]
    async def replaced(self, root: "Query", count: int = 2) -> str:
        return f"{type(self).__name__} {type(root).__name__} {count}"

    @strawberry.field(permission_classes=[Refusing])  # type: ignore[untyped-decorator]
    async def judged(self, allow: bool) -> str | None:
        return "yes"


SCHEMA = PipelineSchema(query=Query)


async def ours(text: str, given: dict[str, object]) -> tuple[object, list[str], Calls]:
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    variables = get_variable_values(SCHEMA._schema, operation.variable_definitions or (), given)
    assert isinstance(variables, VariableValues)
    made = compiled(SCHEMA, operation, {})
    assert made is not None
    calls: Calls = []
    outcome = await made.execute(calls, variables)
    return outcome.data, sorted(orjson.dumps(each.formatted).decode() for each in outcome.errors), calls


async def stock(text: str, given: dict[str, object]) -> tuple[object, list[str], Calls]:
    calls: Calls = []
    result = await SCHEMA.execute(text, given, context_value=calls)
    return result.data, sorted(orjson.dumps(each.formatted).decode() for each in result.errors or ()), calls


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("{ both(point: {x: 1}) }", {}),
        ("query($p: Point!) { one: both(point: $p) two: both(point: {x: 2, y: 3}) }", {"p": {"x": 4}}),
        ("query($x: Int!) { both(point: {x: $x}) }", {"x": 5}),
        ("{ withoutWaiting again: withoutWaiting(count: 9) }", {}),
        ("{ atOnce }", {}),
        ("query($n: Int!) { atOnce(count: $n) }", {"n": 4}),
        ("{ moved(point: {x: 1}) }", {}),
        ("{ replaced }", {}),
        ("{ judged(allow: true) }", {}),
        ("{ judged(allow: false) other: judged(allow: true) }", {}),
    ],
)
async def test_what_they_are_given_and_what_becomes_of_it(text: str, given: dict[str, object]) -> None:
    assert await ours(text, given) == await stock(text, given)
