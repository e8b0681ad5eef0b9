# mypy: disable-error-code="untyped-decorator"
"""A schema of every shape, whose values come from a seed and the place they are asked for: nulls where none may be, errors, waiting."""

import asyncio
import random
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions.field_extension import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from graph.execution import PipelineSchema
from graph.scalars import SCALARS


@dataclass
class Chance:
    """The context: what decides, and what was called."""

    seed: int
    trouble: float
    calls: list[str] = field(default_factory=list)

    def at(self, place: str) -> random.Random:
        """The chance at a place of the answer, the same in every execution."""
        return random.Random(zlib.crc32(f"{self.seed}:{place}".encode()))


Info = strawberry.Info[Chance, None]


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"


@strawberry.input
class Wish:
    amount: Decimal
    colour: Colour = Colour.RED
    inner: "Wish | None" = None


class Sometimes(BasePermission):
    message = "not for you"

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        return _chance(info).random() > info.context.trouble


class Shout(FieldExtension):
    """An extension that waits and changes what comes back."""

    async def resolve_async(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        said = await next_(source, info, **kwargs)
        return said.upper() if isinstance(said, str) else said


def _place(info: Info) -> str:
    return "/".join(str(key) for key in info.path.as_list())


def _chance(info: Info) -> random.Random:
    return info.context.at(_place(info))


def _trouble(chance: random.Random, level: float) -> None:
    if chance.random() < level:
        raise chance.choice(
            [ValueError("wrong value"), GraphQLError("told", extensions={"code": "TOLD"}), KeyError("missing")]
        )


def _text(chance: random.Random, level: float) -> Any:
    """A text; or what is none, or none at all."""
    if chance.random() < level:
        return chance.choice([None, 7, 2.5, True, object(), ValueError("a value that is an error"), ["list"]])
    return chance.choice(["ann", "ben", ""])


def _leaves(chance: random.Random, level: float) -> dict[str, Any]:
    """The plain fields, right or wrong."""

    def wrong(right: Any) -> Any:
        if chance.random() >= level / 3:
            return right
        return chance.choice([None, "7", 2**40, float("nan"), 1.5, True, object(), ValueError("an error"), Colour.RED])

    return {
        "text": wrong("text"),
        "maybe": chance.choice([None, wrong("maybe")]),
        "number": wrong(chance.randint(-5, 5)),
        "ratio": wrong(chance.choice([0.5, 2, -1.25])),
        "flag": wrong(True),
        "colour": wrong(chance.choice(list(Colour))),
        "amount": wrong(chance.choice([Decimal("1.50"), Decimal(0), Decimal("-3E+2")])),
        "moment": wrong(datetime(2026, 1, 1, tzinfo=UTC)),
        "words": wrong(chance.choice([[], ["a", "b"], ("c",), ["d", wrong("e")]])),
        "grid": wrong([[1, wrong(2)], [], wrong([3])]),
    }


@strawberry.interface
class Named:
    text: str

    @strawberry.field
    def called(self, info: Info) -> str:
        info.context.calls.append(_place(info))
        _trouble(_chance(info), info.context.trouble)
        return _text(_chance(info), info.context.trouble)  # type: ignore[no-any-return]


@strawberry.type
class Plain:
    text: str
    maybe: str | None
    number: int
    ratio: float
    flag: bool
    colour: Colour
    amount: Decimal
    moment: datetime
    words: list[str]
    grid: list[list[int | None] | None]


@strawberry.type
class Leaf(Named):
    plain: Plain
    plains: list[Plain] | None
    number: int | None


@strawberry.type
class Branch(Named):
    maybe: str | None

    @strawberry.field
    async def slow(self, info: Info, times: int = 2) -> str | None:
        info.context.calls.append(_place(info))
        chance = _chance(info)
        for _ in range(abs(times)):
            await asyncio.sleep(0)
        _trouble(chance, info.context.trouble)
        return _text(chance, info.context.trouble)  # type: ignore[no-any-return]

    @strawberry.field
    async def sure(self, info: Info) -> str:
        info.context.calls.append(_place(info))
        chance = _chance(info)
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(0)
        _trouble(chance, info.context.trouble)
        return _text(chance, info.context.trouble)  # type: ignore[no-any-return]

    @strawberry.field(permission_classes=[Sometimes])
    def guarded(self, info: Info) -> str:
        return "guarded"

    @strawberry.field(extensions=[Shout()])
    async def shouted(self, info: Info, wish: Wish | None = None) -> str | None:
        _trouble(_chance(info), info.context.trouble)
        return f"{wish}"

    @strawberry.field
    def echoed(
        self,
        info: Info,
        wishes: list[Wish],
        colour: Colour = Colour.GREEN,
        amount: Annotated[Decimal | None, strawberry.argument(name="of")] = None,
        text: str | None = strawberry.UNSET,
    ) -> str:
        return f"{wishes} {colour} {amount} {'unset' if text is strawberry.UNSET else text}"

    @strawberry.field
    def leaf(self, info: Info) -> Leaf:
        return _object(info, "Leaf")  # type: ignore[no-any-return]

    @strawberry.field
    async def one(self, info: Info) -> "Named | None":
        await asyncio.sleep(0)
        return _object(info)  # type: ignore[no-any-return]

    @strawberry.field
    def all(self, info: Info) -> "list[Named]":
        return _objects(info)  # type: ignore[no-any-return]

    @strawberry.field
    async def some(self, info: Info) -> "list[Branch | None] | None":
        return _objects(info, "Branch")  # type: ignore[no-any-return]

    @strawberry.field
    def either(self, info: Info) -> "list[Annotated[Branch | Plain, strawberry.union('Either')]]":
        return _objects(info, "Branch", "Plain")  # type: ignore[no-any-return]

    @strawberry.field
    def waiting(self, info: Info) -> list[str | None]:
        return [_later(info, number) for number in range(3)]  # type: ignore[misc]


async def _later(info: Info, number: int) -> Any:
    chance = info.context.at(f"{_place(info)}:{number}")
    for _ in range(number):
        await asyncio.sleep(0)
    _trouble(chance, info.context.trouble)
    return _text(chance, info.context.trouble)


@strawberry.type
class Busy:
    """Its resolvers are no coroutines, take what resolvers may take, and give whatever they like; calls of those without an Info are counted as well."""

    context: strawberry.Private[Chance]
    place: strawberry.Private[str]
    text: str

    def asked(self, name: str, right: Callable[[random.Random], Any], *given: object) -> Any:
        """Note a call; what it gives: the right value, or another, at once or to be awaited."""
        place = f"{self.place}.{name}{given or ''}"
        self.context.calls.append(place)
        chance, level = self.context.at(place), self.context.trouble
        _trouble(chance, level / 2)
        value = right(chance)
        if chance.random() < level / 2:
            value = chance.choice([None, "7", 2**40, object(), ValueError("an error"), [None, "x"], iter(["y"])])
        return _soon(value, chance, level) if chance.random() < level / 2 else value

    def another(self, chance: random.Random) -> "Busy":
        return Busy(context=self.context, place=f"{self.place}>{chance.randrange(9)}", text="busy")

    @strawberry.field
    def word(self) -> str:
        return self.asked("word", lambda _: "word")  # type: ignore[no-any-return]

    @strawberry.field
    def twice(self, info: Info, times: int = 2, colour: Colour = Colour.GREEN) -> str | None:
        return self.asked("twice", lambda _: _place(info), times, colour)  # type: ignore[no-any-return]

    @strawberry.field
    def wished(self, wishes: list[Wish], of: Decimal | None = None) -> str:
        wishes.append(Wish(amount=Decimal(len(wishes))))
        return self.asked("wished", lambda _: f"{wishes} {of}", len(wishes))  # type: ignore[no-any-return]

    @strawberry.field
    def number(parent: strawberry.Parent[Any]) -> int:  # noqa: N805 - no method, as Strawberry sees it
        return parent.asked("number", lambda _: 3)  # type: ignore[no-any-return]

    @strawberry.field
    def colour(root: Any, info: Info) -> Colour | None:  # noqa: N805 - no method, as Strawberry sees it
        return root.asked("colour", lambda chance: chance.choice([Colour.RED, None]))  # type: ignore[no-any-return]

    @strawberry.field
    def amount(self) -> Decimal:
        return self.asked("amount", lambda chance: chance.choice([Decimal("1.50"), Decimal("-0"), Decimal("1E+3")]))  # type: ignore[no-any-return]

    @strawberry.field
    def words(self, info: Info) -> list[str | None] | None:
        return self.asked("words", lambda chance: [_text(chance, info.context.trouble / 2) for _ in range(3)])  # type: ignore[no-any-return]

    @strawberry.field
    def plain(self) -> Plain | None:
        return self.asked("plain", lambda chance: _make("Plain", chance, self.context.trouble / 4))  # type: ignore[no-any-return]

    @strawberry.field
    def plains(self, info: Info) -> list[Plain]:
        return self.asked("plains", lambda chance: [_make("Plain", chance, info.context.trouble / 4) for _ in range(2)])  # type: ignore[no-any-return]

    @strawberry.field
    def next(self, info: Info) -> "Busy":
        return self.asked("next", self.another)  # type: ignore[no-any-return]

    @strawberry.field
    async def later(self) -> "Busy | None":
        await asyncio.sleep(0)
        return self.asked("later", lambda chance: chance.choice([self.another(chance), None]))  # type: ignore[no-any-return]

    @strawberry.field
    def several(self) -> "list[Busy | None]":
        return self.asked("several", lambda chance: [self._item(chance) for _ in range(3)])  # type: ignore[no-any-return]

    @strawberry.field
    def sure(self, info: Info) -> "tuple[Busy, ...] | None":
        return self.asked("sure", lambda chance: tuple(self._item(chance) for _ in range(2)))  # type: ignore[no-any-return]

    def _item(self, chance: random.Random) -> Any:
        level = self.context.trouble
        if chance.random() < level / 4:
            return chance.choice([None, object(), ValueError("an item that is an error")])
        item = self.another(chance)
        return _soon(item, chance, level) if chance.random() < level / 4 else item


async def _soon(value: Any, chance: random.Random, level: float) -> Any:
    await asyncio.sleep(0)
    _trouble(chance, level)
    return value


def _make(kind: str, chance: random.Random, level: float) -> Any:
    if chance.random() < level / 2:
        return chance.choice([None, object(), ValueError("an object that is an error"), "text"])
    if kind == "Plain":
        return Plain(**_leaves(chance, level))
    if kind == "Leaf":
        plains = [_make("Plain", chance, level) for _ in range(chance.randint(0, 3))]
        return Leaf(text=_text(chance, level), plain=_make("Plain", chance, level), plains=plains, number=3)
    return Branch(text=_text(chance, level), maybe=_text(chance, level))


def _object(info: Info, *kinds: str) -> Any:
    info.context.calls.append(_place(info))
    chance = _chance(info)
    _trouble(chance, info.context.trouble / 2)
    return _make(chance.choice(kinds or ("Leaf", "Branch")), chance, info.context.trouble)


def _objects(info: Info, *kinds: str) -> Any:
    info.context.calls.append(_place(info))
    chance = _chance(info)
    _trouble(chance, info.context.trouble / 2)
    if chance.random() < info.context.trouble / 4:
        return chance.choice([None, 3, "text"])

    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    made = [_make(chance.choice(kinds or ("Leaf", "Branch")), chance, info.context.trouble) for _ in range(3)]
    values: list[Any | Awaitable[Any]] = [later(each) if chance.random() < 0.2 else each for each in made]
    kinds_of_lists: list[Callable[[list[Any | Awaitable[Any]]], Any]] = [tuple, list, iter]
    return chance.choice(kinds_of_lists)(values)


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, info: Info) -> Branch | None:
        return _object(info, "Branch")  # type: ignore[no-any-return]

    @strawberry.field
    async def sure(self, info: Info) -> Branch:
        return _object(info, "Branch")  # type: ignore[no-any-return]

    @strawberry.field
    def plain(self, info: Info, first: int | None = None) -> list[Plain]:
        return _objects(info, "Plain")  # type: ignore[no-any-return]

    @strawberry.field
    def named(self, info: Info) -> list[Named]:
        return _objects(info)  # type: ignore[no-any-return]

    @strawberry.field
    def busy(self, info: Info) -> "list[Busy]":
        return [Busy(context=info.context, place=f"{_place(info)}{number}", text="busy") for number in range(2)]

    @strawberry.field
    def busiest(self, info: Info) -> "Busy | None":
        return Busy(context=info.context, place=_place(info), text="busy")


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def change(self, info: Info, wish: Wish) -> Branch | None:
        info.context.calls.append("begun " + _place(info))
        await asyncio.sleep(0)
        info.context.calls.append("ended " + _place(info))
        return _object(info, "Branch")  # type: ignore[no-any-return]

    @strawberry.mutation
    def sure(self, info: Info) -> Leaf:
        return _object(info, "Leaf")  # type: ignore[no-any-return]


async def _events(info: Info, *kinds: str) -> AsyncGenerator[Any, None]:
    """Some objects; or an error before them, or after some."""
    _trouble(_chance(info), info.context.trouble / 2)
    for number in range(_chance(info).randint(0, 4)):
        chance = info.context.at(f"{_place(info)}:{number}")
        _trouble(chance, info.context.trouble / 2)
        await asyncio.sleep(0)
        yield _make(chance.choice(kinds), chance, info.context.trouble)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def branches(self, info: Info, wish: Wish, times: int = 1) -> AsyncGenerator[Branch | None, None]:
        info.context.calls.append(f"{wish} {times}")
        async with aclosing(_events(info, "Branch")) as events:
            async for event in events:
                yield event

    @strawberry.subscription
    async def plain(self, info: Info) -> AsyncGenerator[Plain, None]:
        async with aclosing(_events(info, "Plain")) as events:
            async for event in events:
                yield event

    @strawberry.subscription
    async def either(
        self, info: Info
    ) -> AsyncGenerator[Annotated[Branch | Plain, strawberry.union("OfTwo")] | None, None]:
        async with aclosing(_events(info, "Branch", "Plain")) as events:
            async for event in events:
                yield event

    @strawberry.subscription
    async def numbers(self, info: Info, to: int = 2) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number
        _trouble(_chance(info), info.context.trouble)


SCHEMA = PipelineSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Leaf, Branch],
    config=StrawberryConfig(scalar_map=SCALARS),
)
