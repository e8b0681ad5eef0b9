"""Random valid operations of any schema: aliases, fragments of every shape, `@skip` and `@include`, arguments given and left to their defaults, variables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)
from graphql.pyutils import Undefined


@dataclass
class RandomDocuments:
    """Made from one source of chance."""

    schema: GraphQLSchema
    random: Random
    deepest: int = 5
    texts: Sequence[str] = tuple("0123456789")
    """What texts in arguments are."""
    _variables: dict[str, tuple[str, object]] = field(default_factory=dict)
    _fragments: dict[str, str] = field(default_factory=dict)
    _budget: int = 60

    def operation(self, kind: str = "query") -> tuple[str, dict[str, object]]:
        """A document with one operation, and its variables."""
        self._variables, self._fragments, self._budget = {}, {}, 60
        root = getattr(self.schema, f"{kind}_type")
        assert root is not None
        selection = self._one_field(root) if kind == "subscription" else self._selection(root, 0)
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in self._variables.items())
        head = f"{kind} Q({declared})" if declared else f"{kind} Q"
        values = {name: value for name, (_, value) in self._variables.items() if value is not Undefined}
        return "\n".join([f"{head} {selection}", *self._fragments.values()]), values

    def _one_field(self, root: GraphQLObjectType) -> str:
        name, definition = self.random.choice(list(root.fields.items()))
        text = self._field(name, definition, 0)
        return f"{{ ... on {root.name} {{ {text} }} }}" if self.random.random() < 0.2 else f"{{ {text} }}"

    def may_ask(self, type_: GraphQLObjectType | GraphQLInterfaceType, field: GraphQLField) -> bool:
        """Whether documents ask for this field of this type."""
        return True

    def _selection(self, type_: GraphQLNamedType, depth: int) -> str:
        parts: list[str] = []
        for _ in range(self.random.randint(1, 4)):
            parts.append(self._part(type_, depth))
        if isinstance(type_, GraphQLUnionType) and not parts:
            parts.append("__typename")
        return "{ " + " ".join(parts) + " }"

    def _part(self, type_: GraphQLNamedType, depth: int) -> str:
        self._budget -= 1
        chance = self.random.random()
        if chance < 0.07 or (isinstance(type_, GraphQLUnionType) and chance < 0.2):
            return self._alias() + "__typename" + self._condition()
        if isinstance(type_, GraphQLUnionType) or chance < 0.25:
            return self._fragment(type_, depth)
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        leaves = depth >= self.deepest or self._budget < 0
        names = [
            name
            for name, each in type_.fields.items()
            if not (leaves and is_composite_type(get_named_type(each.type))) and self.may_ask(type_, each)
        ]
        if not names:
            return "__typename"
        name = self.random.choice(names)
        return self._field(name, type_.fields[name], depth)

    def _field(self, name: str, definition: GraphQLField, depth: int) -> str:
        named = get_named_type(definition.type)
        arguments, distinct = self._arguments(definition)
        alias = f"a{self.random.randrange(10**6)}: " if distinct else self._alias(name)
        selection = " " + self._selection(named, depth + 1) if is_composite_type(named) else ""
        if selection and not alias and self.random.random() < 0.8:
            alias = f"b{self.random.randrange(10**6)}: "
        return f"{alias}{name}{arguments}{self._condition()}{selection}"

    def _alias(self, name: str = "t") -> str:
        return f"{name}{self.random.randrange(3)}: " if self.random.random() < 0.15 else ""

    def _arguments(self, definition: GraphQLField) -> tuple[str, bool]:
        """The text, and whether two fields with it may not be merged by chance."""
        given = []
        for name, argument in definition.args.items():
            if (is_non_null_type(argument.type) and argument.default_value is Undefined) or self.random.random() < 0.6:
                given.append(f"{name}: {self._value(argument)}")
        return (f"({', '.join(given)})" if given else "", bool(definition.args))

    def _value(self, argument: GraphQLArgument) -> str:
        if self.random.random() < 0.5:
            name = f"v{len(self._variables)}"
            value: object = self._json(argument.type)
            if not is_non_null_type(argument.type) and self.random.random() < 0.3:
                value = self.random.choice([None, Undefined])
            self._variables[name] = (str(argument.type), value)
            return f"${name}"
        return self._literal(argument.type)

    def _literal(self, type_: object) -> str:
        if is_non_null_type(type_):
            return self._literal(type_.of_type)
        if self.random.random() < 0.1 and not is_non_null_type(type_) and isinstance(type_, GraphQLList):
            return "[]"
        if isinstance(type_, GraphQLList):
            return "[" + ", ".join(self._literal(type_.of_type) for _ in range(self.random.randint(0, 2))) + "]"
        if isinstance(type_, GraphQLEnumType):
            return str(self.random.choice(list(type_.values)))
        if isinstance(type_, GraphQLInputObjectType):
            fields = type_.fields.items()
            chosen = [(n, f) for n, f in fields if is_non_null_type(f.type) or self.random.random() < 0.5]
            return "{" + ", ".join(f"{name}: {self._literal(each.type)}" for name, each in chosen) + "}"
        return {"Int": str(self.random.randint(-3, 3)), "Boolean": "true", "Float": "1.5"}.get(
            getattr(type_, "name", ""), f'"{self.random.choice(self.texts)}"'
        )

    def _json(self, type_: object) -> object:
        if isinstance(type_, GraphQLNonNull):
            return self._json(type_.of_type)
        if is_list_type(type_):
            return [self._json(type_.of_type) for _ in range(self.random.randint(0, 2))]
        if isinstance(type_, GraphQLEnumType):
            return self.random.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return {
                n: self._json(f.type)
                for n, f in type_.fields.items()
                if is_non_null_type(f.type) or self.random.random() < 0.5
            }
        known: dict[str, object] = {"Int": self.random.randint(-3, 3), "Boolean": True, "Float": 1.5}
        return known.get(getattr(type_, "name", ""), self.random.choice(self.texts))

    def _condition(self) -> str:
        text = ""
        for name in ("skip", "include"):
            if self.random.random() < 0.08:
                text += f" @{name}(if: {self._truth()})"
        return text

    def _truth(self) -> str:
        if self.random.random() < 0.4:
            return self.random.choice(["true", "false"])
        name = f"c{self.random.randrange(3)}"
        self._variables.setdefault(name, ("Boolean!", self.random.random() < 0.5))
        return f"${name}"

    def _fragment(self, type_: GraphQLNamedType, depth: int) -> str:
        """An inline fragment with or without a condition of type, or a spread of a named one, which may be spread again."""
        target = self._target(type_)
        if self.random.random() < 0.3:
            known = [name for name in self._fragments if name.startswith(f"F_{target.name}_")]
            if known and self.random.random() < 0.3:
                return f"...{self.random.choice(known)}{self._condition()}"
            name = f"F_{target.name}_{len(self._fragments)}_"
            body = self._selection(target, depth + 1)
            self._fragments[name] = f"fragment {name} on {target.name} {body}"
            return f"...{name}{self._condition()}"
        if target is type_ and self.random.random() < 0.5 and not isinstance(type_, GraphQLUnionType):
            return f"...{self._condition()} {self._selection(type_, depth + 1)}"
        return f"... on {target.name}{self._condition()} {self._selection(target, depth + 1)}"

    def _target(self, type_: GraphQLNamedType) -> GraphQLNamedType:
        """A type that values of this one may be of."""
        if isinstance(type_, GraphQLObjectType):
            choice: list[GraphQLNamedType] = [type_, type_, *type_.interfaces]
        else:
            assert isinstance(type_, GraphQLInterfaceType | GraphQLUnionType)
            choice = [type_, *self.schema.get_possible_types(type_)]
        return self.random.choice(choice)
