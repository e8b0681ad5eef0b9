"""What an operation costs, computed from its text and variables before it runs.

An object costs 1, a scalar nothing, a mutation 10 for each thing it is asked to do (those its `input` lists, otherwise one), each times the
number of objects it can appear in. A list's size is what the
caller asks for (`first`, `last`, `limit`, `depth`, `points`, or the length of a list argument such as `ids`), otherwise a default;
a connection hands its size to the lists directly below it. A list of scalars counts as one scalar. `@cost(points, perEvent)` on a field replaces the rule. The result is an
upper bound: what two fragments both select is counted twice, and `@skip` and `@include` are not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from graph.directives import Cost
from graph.limits import INTROSPECTION_FIELDS

SIZE_ARGUMENTS = ("first", "last", "limit", "depth", "points")
LIST_SIZE = 10
"""Assumed for a list that nothing sizes."""
PAGE_SIZE = 50
"""Assumed for a connection without `first` and `last`."""
MUTATION_POINTS = 10
INTROSPECTION_POINTS = 100
LEAST_POINTS = 1
_CONNECTION_SUFFIX = "Connection"
_DEFINITION = "strawberry-definition"


@dataclass(frozen=True, slots=True)
class OperationCost:
    """Points of an operation; for a subscription, of its start and of each event."""

    points: int
    per_event: int | None = None


class _Rule(NamedTuple):
    """How a field of the schema is counted."""

    points: int
    per_event: int | None
    is_list: bool
    is_connection: bool
    sizes: Mapping[str, int | None]
    """Arguments that ask for a size, with their defaults."""
    list_arguments: tuple[str, ...]
    below: GraphQLNamedType
    batch: str | None
    """The field of a mutation's `input` that lists what it is to do."""


Variables = Mapping[str, object]


class CostModel:
    """Costs of operations on one schema; keeps the rule of every field it has met."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._rules: dict[tuple[str, str], _Rule | None] = {}

    def of(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Variables,
    ) -> OperationCost:
        """Cost of a validated operation with its coerced variables."""
        return self.found(operation, fragments, variables)[0]

    def found(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Variables,
    ) -> tuple[OperationCost, bool]:
        """As `of`, and whether it could be another with other variables."""
        root = self._schema.get_root_type(operation.operation)
        if root is None:
            return OperationCost(LEAST_POINTS), False
        walk = _Walk(self, fragments, variables)
        if operation.operation is OperationType.SUBSCRIPTION:
            cost = self._of_subscription(operation, root, walk)
        else:
            cost = OperationCost(max(LEAST_POINTS, walk.of_selections(operation.selection_set, root, None)))
        return cost, walk.depends

    def _of_subscription(
        self, operation: OperationDefinitionNode, root: GraphQLObjectType, walk: "_Walk"
    ) -> OperationCost:
        field = walk.first_field(operation.selection_set)
        rule = self.rule(root, field.name.value) if field else None
        if field is None or rule is None:
            return OperationCost(LEAST_POINTS, 0)
        per_event = rule.per_event
        if per_event is None:
            per_event = LEAST_POINTS + walk.below(field, rule)
        return OperationCost(max(LEAST_POINTS, rule.points), per_event)

    def rule(self, parent: GraphQLNamedType, name: str) -> _Rule | None:
        """How this field is counted; None for one the schema does not have."""
        key = (parent.name, name)
        if key not in self._rules:
            fields = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
            field = fields.get(name)
            self._rules[key] = self._make_rule(parent, field) if field else None
        return self._rules[key]

    def type_named(self, name: str) -> GraphQLNamedType | None:
        """A type of the schema."""
        return self._schema.type_map.get(name)

    def _make_rule(self, parent: GraphQLNamedType, field: GraphQLField) -> _Rule:
        below = get_named_type(field.type)
        declared = _declared(field)
        points = 0 if is_leaf_type(below) else 1
        if parent is self._schema.mutation_type:
            points = MUTATION_POINTS
        per_event = None
        if declared is not None:
            points = declared.points
            per_event = declared.per_event if isinstance(declared.per_event, int) else None
        return _Rule(
            points=points,
            per_event=per_event,
            is_list=not is_leaf_type(below)
            and is_list_type(field.type.of_type if is_non_null_type(field.type) else field.type),
            is_connection=below.name.endswith(_CONNECTION_SUFFIX),
            sizes={name: _default(field.args[name]) for name in SIZE_ARGUMENTS if name in field.args},
            list_arguments=tuple(
                name
                for name, argument in field.args.items()
                if is_list_type(argument.type.of_type if is_non_null_type(argument.type) else argument.type)
            ),
            below=below,
            batch=_batch_field(field) if parent is self._schema.mutation_type else None,
        )


class _Walk:
    """One pass over one operation. What a fragment costs under a given size is computed once."""

    def __init__(self, model: CostModel, fragments: Mapping[str, FragmentDefinitionNode], variables: Variables) -> None:
        self._model = model
        self._fragments = fragments
        self._variables = variables
        self.depends = False
        """Whether a variable was looked at."""
        self._of_fragment: dict[tuple[str, int | None], int] = {}

    def of_selections(self, selections: SelectionSetNode, parent: GraphQLNamedType, handed: int | None) -> int:
        """Points of a selection set for one parent object; `handed` is the size for lists that nothing else sizes."""
        return sum(self._of_selection(selection, parent, handed) for selection in selections.selections)

    def _of_selection(self, selection: SelectionNode, parent: GraphQLNamedType, handed: int | None) -> int:
        if isinstance(selection, FieldNode):
            return self._of_field(selection, parent, handed)
        if isinstance(selection, FragmentSpreadNode):
            key = (selection.name.value, handed)
            if key not in self._of_fragment:
                fragment = self._fragments[selection.name.value]
                self._of_fragment[key] = self.of_selections(
                    fragment.selection_set, self._condition(fragment.type_condition.name.value, parent), handed
                )
            return self._of_fragment[key]
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            narrowed = self._condition(condition.name.value, parent) if condition else parent
            return self.of_selections(selection.selection_set, narrowed, handed)
        return 0

    def _of_field(self, node: FieldNode, parent: GraphQLNamedType, handed: int | None) -> int:
        if node.name.value in INTROSPECTION_FIELDS:
            return INTROSPECTION_POINTS
        rule = self._model.rule(parent, node.name.value)
        if rule is None:
            return 0
        if rule.batch is not None:
            size = self._batch_size(node, rule.batch)
            return size * rule.points + (
                self.of_selections(node.selection_set, rule.below, size) if node.selection_set else 0
            )
        times = self._list_size(node, rule, handed) if rule.is_list else 1
        return times * (rule.points + self.below(node, rule))

    def below(self, node: FieldNode, rule: _Rule) -> int:
        """Points of what is selected in one object of this field."""
        if node.selection_set is None:
            return 0
        handed = None
        if not rule.is_list:
            handed = self._asked_size(node, rule)
            if handed is None and rule.is_connection:
                handed = PAGE_SIZE
        return self.of_selections(node.selection_set, rule.below, handed)

    def first_field(self, selections: SelectionSetNode) -> FieldNode | None:
        """The root field of a subscription, which validation has made the only one."""
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                return selection
            inner = (
                self._fragments[selection.name.value].selection_set
                if isinstance(selection, FragmentSpreadNode)
                else selection.selection_set
                if isinstance(selection, InlineFragmentNode)
                else None
            )
            found = self.first_field(inner) if inner else None
            if found is not None:
                return found
        return None

    def _list_size(self, node: FieldNode, rule: _Rule, handed: int | None) -> int:
        asked = self._asked_size(node, rule)
        if asked is not None:
            return asked
        for name in rule.list_arguments:
            length = self._length(node, name)
            if length is not None:
                return length
        return LIST_SIZE if handed is None else handed

    def _asked_size(self, node: FieldNode, rule: _Rule) -> int | None:
        sizes = [size for name in rule.sizes if (size := self._integer(node, rule, name)) is not None]
        return max(sizes) if sizes else None

    def _integer(self, node: FieldNode, rule: _Rule, name: str) -> int | None:
        given = self._value(node, name)
        if given is None:
            given = rule.sizes[name]
        return max(0, given) if isinstance(given, int) else None

    def _length(self, node: FieldNode, name: str) -> int | None:
        given = self._value(node, name)
        return len(given) if isinstance(given, list | tuple) else None

    def _batch_size(self, node: FieldNode, field: str) -> int:
        """How many things a mutation's `input` asks for in this field; at least one."""
        given: object = None
        for argument in node.arguments or ():
            value = argument.value
            if isinstance(value, VariableNode):
                variable = self._variable(value)
                given = variable.get(field) if isinstance(variable, Mapping) else None
            elif isinstance(value, ObjectValueNode):
                inner = next((each.value for each in value.fields if each.name.value == field), None)
                given = self._variable(inner) if isinstance(inner, VariableNode) else inner
        listed = given.values if isinstance(given, ListValueNode) else given
        return max(1, len(listed)) if isinstance(listed, list | tuple) else 1

    def _value(self, node: FieldNode, name: str) -> object:
        for argument in node.arguments or ():
            if argument.name.value == name:
                value = argument.value
                if isinstance(value, VariableNode):
                    return self._variable(value)
                if isinstance(value, IntValueNode):
                    return int(value.value)
                if isinstance(value, ListValueNode):
                    return value.values
        return None

    def _variable(self, node: VariableNode) -> object:
        self.depends = True
        return self._variables.get(node.name.value)

    def _condition(self, name: str, parent: GraphQLNamedType) -> GraphQLNamedType:
        return self._model.type_named(name) or parent


def _batch_field(field: GraphQLField) -> str | None:
    """The field of a mutation's `input` that lists things to do; None: it does one."""
    kind = get_nullable_type(field.args["input"].type) if "input" in field.args else None
    for name, given in kind.fields.items() if isinstance(kind, GraphQLInputObjectType) else ():
        listed = get_nullable_type(given.type)
        if is_list_type(listed) and isinstance(get_named_type(listed), GraphQLInputObjectType):
            return str(name)
    return None


def _default(argument: GraphQLArgument) -> int | None:
    return argument.default_value if isinstance(argument.default_value, int) else None


def _declared(field: GraphQLField) -> Cost | None:
    definition = field.extensions.get(_DEFINITION)
    for directive in getattr(definition, "directives", ()):
        if isinstance(directive, Cost):
            return directive
    return None
