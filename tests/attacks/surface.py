"""The served surface as attackers see it: every place where a client puts a value, and calls that put one there.

All of it is read from the schema, so that a new field is attacked without being mentioned. What cannot be made up by itself is in DEFAULTS
and NAMED; a schema that needs more fails the tests with a sentence that says what to add.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from core.ids import encode_id
from graph.schema import build_schema
from graph.step_up import StepUpDemanded
from tests.accounts import PAGE, PASSWORD

SCHEMA: GraphQLSchema = build_schema()._schema
NOBODY = encode_id("User", "nobody")
DEFAULTS: dict[str, object] = {
    "Boolean": True,
    "DateTime": "2030-01-31T12:00:00.000Z",
    "Decimal": "1",
    "Float": 1.0,
    "ID": NOBODY,
    "Int": 1,
    "JSON": {},
    "Long": 1,
    "String": "a text",
    "URL": PAGE,
}
"""What stands where any value of the scalar does."""
NAMED: dict[str, object] = {
    "asset": "BTC",
    "chain": "bitcoin",
    "email": "mallory@example.com",
    "ipAllowlist": ["192.0.2.0/24"],
    "locale": "de",
    "operation": "createApiKey",
    "parameters": {"name": "a key", "scopes": ["READ"]},
    "password": PASSWORD,
    "quoteAsset": "BTC",
    "symbol": "BTC-USDT",
    "symbols": ["BTC-USDT"],
    "status": "SUSPENDED",
}
"""What an argument or input field of this name needs, so that a call is not refused for it."""
ABOUT_PRICES = frozenset(
    {
        *("asset", "assets", "candles", "estimateCost", "market", "marketStatusChanged", "markets", "orderBook"),
        *("priceTicks", "status", "tickers", "trades", "chain", "chains", "resolveName"),
    }
)
"""Roots that know nobody: their values are attacked in tests/graph and tests/server."""
_DEPTH = 2


@dataclass(frozen=True)
class Site:
    """A field that takes arguments, and the fields from the root of its operation down to it."""

    operation: str
    path: tuple[str, ...]
    field: GraphQLField = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]

    def __str__(self) -> str:
        return f"{self.operation} {'.'.join(self.path)}"

    @property
    def is_about_people(self) -> bool:
        """Whether accounts have to do with it; so it is with every root that is not known to be about prices."""
        return ABOUT_PRICES.isdisjoint(self.path)

    @property
    def needs_step_up(self) -> bool:
        """Whether it demands a proof, in any case."""
        definition = self.field.extensions.get("strawberry-definition")
        found = [each for each in getattr(definition, "extensions", ()) if isinstance(each, StepUpDemanded)]
        return bool(found) and found[0]._when is None


@dataclass(frozen=True)
class Place:
    """Where a client puts a single value: an argument, or a field at any depth of an input."""

    site: Site
    argument: str
    inner: tuple[str, ...]
    kind: str
    """Name of the scalar or enum."""

    def __str__(self) -> str:
        return f"{self.site}({'.'.join((self.argument, *self.inner))})"

    @property
    def name(self) -> str:
        """The last name of it."""
        return (self.argument, *self.inner)[-1]


class CannotCall(Exception):
    """The surface has grown by something these tests do not know how to call; the text says what to add."""


def sites(schema: GraphQLSchema = SCHEMA) -> list[Site]:
    """Every field with arguments that can be reached from a root, once, by the shortest way."""
    found: list[Site] = []
    seen: set[str] = set()
    for operation, root in (
        ("query", schema.query_type),
        ("mutation", schema.mutation_type),
        ("subscription", schema.subscription_type),
    ):
        waiting: deque[tuple[tuple[str, ...], GraphQLObjectType]] = deque([((), root)] if root is not None else [])
        while waiting:
            path, owner = waiting.popleft()
            if owner.name in seen:
                continue
            seen.add(owner.name)
            for name, each in owner.fields.items():
                if each.args:
                    found.append(Site(operation, (*path, name), each))
                if operation == "query" and not any(map(is_required_argument, each.args.values())):
                    waiting += [((*path, name, *step), kind) for step, kind in _objects(schema, each.type)]
    _require_all_reached(schema, seen)
    return found


def _objects(schema: GraphQLSchema, kind: GraphQLOutputType) -> Iterator[tuple[tuple[str, ...], GraphQLObjectType]]:
    """The object types a field may give, each with the step into it."""
    named = get_named_type(kind)
    if isinstance(named, GraphQLObjectType):
        yield (), named
    elif isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        for possible in schema.get_possible_types(named):
            yield (f"... on {possible.name}",), possible


def _require_all_reached(schema: GraphQLSchema, seen: set[str]) -> None:
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and kind.name not in seen and not kind.name.startswith("__"):
            with_id = [name for name, each in kind.fields.items() if any(_takes_id(arg) for arg in each.args.values())]
            if with_id:
                raise CannotCall(
                    f"{kind.name}.{with_id[0]} takes an ID, and no query without arguments leads to {kind.name}: "
                    "teach tests/attacks/surface.py a way there"
                )


def _takes_id(argument: GraphQLArgument) -> bool:
    return any(kind == "ID" for _, kind in _leaves(argument.type, ()))


def places(*kinds: str, schema: GraphQLSchema = SCHEMA) -> list[Place]:
    """Every place that takes a value of one of these scalars; without any named, every place."""
    return [
        Place(site, name, inner, kind)
        for site in sites(schema)
        for name, argument in site.field.args.items()
        for inner, kind in _leaves(argument.type, ())
        if not kinds or kind in kinds
    ]


def _leaves(
    kind: GraphQLInputType, path: tuple[str, ...], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    named = get_named_type(kind)
    if not isinstance(named, GraphQLInputObjectType):
        yield path, named.name
    elif named.name not in above:  # an input that holds itself is walked once
        for name, each in named.fields.items():
            yield from _leaves(each.type, (*path, name), (*above, named.name))


def call(
    site: Site,
    *,
    place: Place | None = None,
    value: object = None,
    full: bool = False,
    shown: str = "",
    named: Mapping[str, object] | None = None,
) -> tuple[str, dict[str, Any]]:
    """A document that calls this field, with this value at this place, and its variables.

    `full`: with every optional argument and input field, not only the required ones. `shown`: the object type to look into behind an
    interface. `named`: instead of NAMED, as far as it goes.
    """
    filling = _Filling(value, {**NAMED, **(named or {})}, full=full)
    arguments = {
        name: argument
        for name, argument in site.field.args.items()
        if full or is_required_argument(argument) or (place is not None and name == place.argument)
    }
    variables = {
        name: filling.of(argument.type, name, place.inner if place and name == place.argument else None)
        for name, argument in arguments.items()
    }
    header = ", ".join(f"${name}: {argument.type}" for name, argument in arguments.items())
    given = ", ".join(f"{name}: ${name}" for name in arguments)
    text = site.name + (f"({given})" if given else "") + selection(site.field.type, shown=shown)
    for name in reversed(site.path[:-1]):
        text = f"{name} {{ {text} }}"
    return f"{site.operation}{f'({header})' if header else ''} {{ {text} }}", variables


@dataclass(frozen=True)
class _Filling:
    """Makes up values of types: `value` where it is wanted, and elsewhere what does."""

    value: object
    named: Mapping[str, object]
    full: bool

    def of(self, kind: GraphQLInputType, name: str, inner: tuple[str, ...] | None) -> object:
        """A value of this type with `value` at the place `inner`; None: nowhere in it."""
        plain = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        if inner is None and name in self.named and _fits(plain, self.named[name]):
            return self.named[name]
        if inner == () and is_leaf_type(plain):
            return self.value
        if isinstance(plain, GraphQLList):
            return [self.of(plain.of_type, name, inner)]
        if isinstance(plain, GraphQLInputObjectType):
            wanted, rest = (inner[0], inner[1:]) if inner else (None, None)
            chosen = _chosen(plain, wanted, full=self.full)
            return {
                each: self.of(member.type, each, rest if each == wanted else None) for each, member in chosen.items()
            }
        return _default(plain)


def _fits(kind: GraphQLInputType, value: object) -> bool:
    """Whether a value may stand for this type: names are the same in several enums, and in lists."""
    if isinstance(kind, GraphQLEnumType):
        return value in kind.values
    return isinstance(kind, GraphQLInputObjectType) or isinstance(value, list) is isinstance(kind, GraphQLList)


def is_one_of(kind: GraphQLInputObjectType) -> bool:
    """Whether exactly one of its fields is given."""
    return kind.is_one_of or bool(getattr(kind.extensions.get("strawberry-definition"), "is_one_of", False))


def _chosen(kind: GraphQLInputObjectType, wanted: str | None, *, full: bool) -> Mapping[str, GraphQLInputField]:
    if is_one_of(kind):
        name = wanted or next(iter(kind.fields))
        return {name: kind.fields[name]}
    return {
        name: each
        for name, each in kind.fields.items()
        if name == wanted or (full and name != "stepUpProof") or is_required_input_field(each)
    }


def _default(kind: GraphQLInputType) -> object:
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLScalarType) and kind.name in DEFAULTS:
        return DEFAULTS[kind.name]
    raise CannotCall(f"add a value of the scalar {kind} to DEFAULTS in tests/attacks/surface.py")


def selection(kind: GraphQLOutputType, *, depth: int = _DEPTH, shown: str = "") -> str:
    """Everything that can be read without an argument, so deep; behind an interface, of the type `shown`."""
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    parts = ["__typename"]
    if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        if any(possible.name == shown for possible in SCHEMA.get_possible_types(named)):
            parts.append(f"... on {shown} {selection(SCHEMA.type_map[shown], depth=depth)}")  # type: ignore[arg-type]
    elif isinstance(named, GraphQLObjectType):
        for name, each in named.fields.items():
            if name == "edges" or any(map(is_required_argument, each.args.values())):
                continue
            if is_leaf_type(get_named_type(each.type)):
                parts.append(name)
            elif depth > 0:
                parts.append(name + selection(each.type, depth=depth - 1, shown=shown))
    return " { " + " ".join(parts) + " }"
