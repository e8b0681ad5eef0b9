"""The values of a field's arguments, the straight way: what graphql-core looks up in a field's node for each execution is looked up once.

Literals without variables are coerced once, variables are coerced already. Whatever is unusual, such as a variable that was not given, makes it give up, and graphql-core gathers them all.
"""

from collections.abc import Callable, Sequence

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNonNull,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.language import Visitor, visit
from graphql.pyutils import Undefined
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from graph.coercion import UNCHANGING

Coerced = dict[str, object]
Value = Callable[[Coerced], object]
"""A value, given the coerced variables; raises something where the straight way ends."""
Gather = Callable[[VariableValues], dict[str, object]]
"""The values of all arguments."""


def gathering(definition: GraphQLField, node: FieldNode) -> Gather:
    """What gathers the arguments that this node gives to a field, as `get_argument_values` does."""
    given = {each.name.value: each.value for each in node.arguments or ()}
    if not (definition.args or given):
        return lambda _variables: {}
    values = [
        (argument.out_name or name, _declared(argument, given.get(name))) for name, argument in definition.args.items()
    ]
    present = [(name, value) for name, value in values if value is not None]

    def gather(variables: VariableValues) -> dict[str, object]:
        coerced = variables.coerced
        try:
            return {name: value(coerced) for name, value in present}
        except Exception:  # noqa: BLE001 - whatever it is, graphql-core meets it again and tells it
            return get_argument_values(definition, node, variables)

    return gather


def _declared(declared: GraphQLArgument | GraphQLInputField, node: ValueNode | None) -> Value | None:
    """The value of an argument or of a field of an input, with its default where nothing is given; None: it is left out."""
    if node is not None:
        return _of(declared.type, node)
    if declared.default is not None or declared.default_value is not Undefined:
        return _constant(lambda: coerce_default_value(declared))
    return _end if isinstance(declared.type, GraphQLNonNull) else None


def _of(type_: GraphQLInputType, node: ValueNode) -> Value:
    if isinstance(node, VariableNode):
        return _variable(node.name.value, may_be_null=not isinstance(type_, GraphQLNonNull))
    if not has_variables(node):
        return _constant(lambda: coerce_input_literal(node, type_))
    inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if isinstance(node, ObjectValueNode) and isinstance(inner, GraphQLInputObjectType) and not inner.is_one_of:
        return _object(inner, node)
    return _end


def _end(_coerced: Coerced) -> object:
    raise ValueError


def _constant(make: Callable[[], object]) -> Value:
    """The same value for ever, or made again each time where it could be changed."""
    try:
        value = make()
    except Exception:  # noqa: BLE001 - graphql-core tells it when it is executed
        return _end
    if value is Undefined:
        return _end
    return (lambda _coerced: value) if isinstance(value, UNCHANGING) else lambda _coerced: make()


def _variable(name: str, *, may_be_null: bool) -> Value:
    if may_be_null:
        return lambda coerced: coerced[name]

    def value(coerced: Coerced) -> object:
        found = coerced[name]
        if found is None:
            raise ValueError
        return found

    return value


def _object(type_: GraphQLInputObjectType, node: ObjectValueNode) -> Value:
    given = {each.name.value: each.value for each in node.fields}
    values: Sequence[tuple[str, Value | None]] = [
        (field.out_name or name, _declared(field, given.get(name))) for name, field in type_.fields.items()
    ]
    present = [(name, value) for name, value in values if value is not None]
    out_type = type_.out_type
    if not given.keys() <= type_.fields.keys():
        return _end
    return lambda coerced: out_type({name: value(coerced) for name, value in present})


class _Variables(Visitor):
    found = False

    def enter_variable(self, _node: VariableNode, *_rest: object) -> None:
        self.found = True


def has_variables(node: ArgumentNode | ValueNode) -> bool:
    """Whether a variable stands somewhere in it."""
    seen = _Variables()
    visit(node, seen)
    return seen.found
