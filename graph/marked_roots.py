"""Subscriptions whose one root field carries a mark in its metadata, and that select nothing which a rule does not allow."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)
from graphql.execution.values import VariableValues
from graphql.language import Visitor, visit
from graphql.utilities import TypeInfo, TypeInfoVisitor

from graph.compiled.fields import SelectedField

Mark = TypeVar("Mark")
Rule = Callable[[GraphQLField], bool]
"""Whether a field may be selected below the root."""


@dataclass(frozen=True, slots=True)
class MarkedRoot(Generic[Mark]):
    """The root field of a subscription, with its mark."""

    node: FieldNode
    definition: GraphQLField
    mark: Mark
    variables: tuple[str, ...]
    """Those that what is selected depends on; the field's own arguments are looked at apart."""

    def told(self, variables: VariableValues) -> str:
        """The values of those variables, to be compared with others."""
        coerced: Mapping[str, object] = variables.coerced
        used = {name: coerced[name] for name in self.variables if name in coerced}
        return orjson.dumps(used, default=repr, option=orjson.OPT_SORT_KEYS).decode() if used else ""


def marked_root(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    mark: str,
    allows: Rule,
) -> MarkedRoot[Any] | None:
    """The root field, where it has this mark and the rule allows all that is selected below it."""
    root = schema.subscription_type
    if operation.operation is not OperationType.SUBSCRIPTION or root is None:
        return None
    type_info = TypeInfo(schema)
    seen = _Selected(schema, root, type_info, allows)
    for each in (operation, *fragments.values()):
        visit(each, TypeInfoVisitor(type_info, seen))
    if len(seen.roots) != 1 or not seen.allowed:
        return None
    node, definition = seen.roots[0]
    strawberry = SelectedField("", [], root, definition).strawberry
    if strawberry is None or mark not in strawberry.metadata or node.directives:
        return None
    used = _variables([operation.selection_set, *(each.selection_set for each in fragments.values())])
    used.subtract(_variables(node.arguments or ()))
    depends = tuple(sorted(name for name, times in used.items() if times > 0))
    return MarkedRoot(node, definition, strawberry.metadata[mark], depends)


class _Selected(Visitor):
    """The fields of the root, and whether all below them are allowed."""

    def __init__(self, schema: GraphQLSchema, root: GraphQLObjectType, type_info: TypeInfo, allows: Rule) -> None:
        super().__init__()
        self.roots: list[tuple[FieldNode, GraphQLField]] = []
        self.allowed = True
        self._schema = schema
        self._root = root
        self._type_info = type_info
        self._allows = allows

    def enter_field(self, node: FieldNode, *_rest: object) -> None:
        parent, definition = self._type_info.get_parent_type(), self._type_info.get_field_def()
        if node.name.value == "__typename":
            return
        if parent is self._root and definition is not None:
            self.roots.append((node, definition))
        elif isinstance(parent, GraphQLObjectType) and definition is not None:
            self.allowed = self.allowed and self._allows(definition)
        elif isinstance(parent, GraphQLInterfaceType):
            types = self._schema.get_possible_types(parent)
            self.allowed = self.allowed and all(self._allows(each.fields[node.name.value]) for each in types)
        else:
            self.allowed = False


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def enter_variable(self, node: VariableNode, *_rest: object) -> None:
        self.names[node.name.value] += 1


def _variables(nodes: Iterable[Node]) -> Counter[str]:
    """How often each variable is used in these."""
    seen = _Variables()
    for node in nodes:
        visit(node, seen)
    return seen.names
