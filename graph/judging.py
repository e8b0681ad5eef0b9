"""Judges operations before their callers: variables, cost, and whether all of it is public."""

from collections.abc import Collection, Mapping
from functools import partial

import orjson
from graphql import GraphQLSchema, OperationDefinitionNode, OperationType, get_variable_values
from graphql.execution.values import VariableValues

from core.errors import ExpectedError
from graph.coercion import UNCHANGING, Coercion
from graph.compile import CompiledOperation
from graph.cost import CostModel, OperationCost
from graph.documents import Document
from graph.errors import BAD_USER_INPUT, ERRORS_SHOWN, OperationNotAllowed, RequestRefused
from graph.execution import PipelineSchema
from graph.fragments import FragmentObjects, FragmentStore
from graph.judged import Judged, PublicOperation
from graph.numbers import unreadable_variables
from graph.public import PublicData, reading_around_blanks, reading_of

Variables = Mapping[str, object]
_HELD = 32
"""Of one document, with different variables."""
_LONGEST = 512
"""Variables as JSON, in bytes, whose judgement is kept."""
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_NO_VARIABLES = VariableValues({}, {})


class CostLimit(ExpectedError):
    """One request asks for more than a request may. Details: `limit`, `actual`."""

    code = "COST_LIMIT"


class Judging:
    """Judges for one schema. Without `public` every operation is private."""

    def __init__(
        self, schema: PipelineSchema, *, suggestions: bool, cost_per_request: int, public: PublicData | None
    ) -> None:
        self._strawberry = schema
        self._schema: GraphQLSchema = schema._schema
        self._suggestions = suggestions
        self._cost_per_request = cost_per_request
        self._costs = CostModel(self._schema)
        self._public = public
        self._fragments = None if public is None else FragmentStore(public)

    def judged(
        self, document: Document, name: str | None, variables: Variables, allowed: Collection[OperationType]
    ) -> Judged:
        """The judgement, from memory where it is there. A mutation's is not kept: its variables hardly come again. Raises RequestRefused."""
        definition = document.operation(name)
        _check_allowed(definition, allowed)
        values = None if definition.operation is OperationType.MUTATION else canonical(variables)
        known = None if values is None else document.judged.get((name, values))
        if known is not None:
            return known
        judged = self._new(document, definition, variables)
        if values is not None:
            while len(document.judged) >= _HELD:
                del document.judged[next(iter(document.judged))]
            document.judged[name, values] = judged
        return judged

    def cost(self, document: Document, definition: OperationDefinitionNode, coerced: VariableValues) -> OperationCost:
        """What an operation with these variables costs, whether or not a request may cost so much."""
        name = definition.name.value if definition.name else None
        cost = document.costs.get(name)
        if cost is None:
            cost, depends = self._costs.found(definition, document.fragments, coerced.coerced)
            if not depends:
                document.costs[name] = cost
        return cost

    def coerced(self, definition: OperationDefinitionNode, variables: Variables) -> VariableValues:
        """The variables as resolvers get them. Raises RequestRefused."""
        if not definition.variable_definitions:
            return _NO_VARIABLES
        coerced = get_variable_values(
            self._schema,
            definition.variable_definitions,
            dict(variables),
            max_errors=ERRORS_SHOWN,
            hide_suggestions=not self._suggestions,
        )
        if isinstance(coerced, list):
            raise RequestRefused(coerced, BAD_USER_INPUT)
        if faults := unreadable_variables(self._schema, definition, coerced.coerced):
            raise RequestRefused(faults[:ERRORS_SHOWN], BAD_USER_INPUT)
        return coerced

    def _new(self, document: Document, definition: OperationDefinitionNode, variables: Variables) -> Judged:
        coerced = self._straight(document, definition, variables) or self.coerced(definition, variables)
        cost = self.cost(document, definition, coerced)
        if cost.points > self._cost_per_request:
            raise RequestRefused.because(
                CostLimit(
                    f"the operation costs {cost.points} points; a request may cost {self._cost_per_request}",
                    limit=self._cost_per_request,
                    actual=cost.points,
                )
            )
        keeps = all(isinstance(value, UNCHANGING) for value in coerced.coerced.values())
        public = self._public_of(document, definition)
        has_blanks = public is not None and public.has_blanks
        return Judged(
            definition,
            coerced if keeps else None,
            cost,
            self._label(document, definition),
            None if has_blanks else public,
            document.compiled.get(definition.name.value if definition.name else None),
            public if has_blanks else None,
        )

    def _straight(
        self, document: Document, definition: OperationDefinitionNode, variables: Variables
    ) -> VariableValues | None:
        """As `coerced`, where that is possible without graphql-core."""
        if not definition.variable_definitions:
            return _NO_VARIABLES
        name = definition.name.value if definition.name else None
        coercion = document.coercions.get(name)
        if coercion is None:
            coercion = document.coercions[name] = Coercion(self._schema, definition)
        return coercion.coerced(variables)

    def _label(self, document: Document, definition: OperationDefinitionNode) -> str:
        name = definition.name.value if definition.name else None
        label = document.labels.get(name)
        if label is None:
            label = document.labels[name] = self._new_label(definition)
        return label

    def _new_label(self, definition: OperationDefinitionNode) -> str:
        root = self._schema.get_root_type(definition.operation)
        first = definition.selection_set.selections[0] if definition.selection_set.selections else None
        name = getattr(getattr(first, "name", None), "value", "")
        known = root is not None and name in root.fields
        return f"{definition.operation.value} {name if known else 'other'}"

    def _public_of(self, document: Document, definition: OperationDefinitionNode) -> PublicOperation | None:
        """One for all judgements of an operation."""
        name = definition.name.value if definition.name else None
        if self._public is None or self._fragments is None or document.compiled.get(name) is None:
            return None
        if name not in document.public:
            sources = reading_of(self._schema, definition, document.fragments)
            has_blanks = sources is None
            if has_blanks:
                sources = reading_around_blanks(self._schema, definition, document.fragments)
            document.public[name] = (
                None
                if sources is None
                else PublicOperation(
                    CompiledOperation(
                        self._strawberry,
                        definition,
                        document.fragments,
                        partial(FragmentObjects, store=self._fragments, fragments=document.fragments),
                    ),
                    self._public.version(sources),
                    has_blanks,
                )
            )
        return document.public[name]


def canonical(variables: Variables) -> bytes | None:
    """One text for equal variables; None where they are long, or no JSON."""
    if not variables:
        return b""
    try:
        text = orjson.dumps(variables, option=_OPTIONS)
    except TypeError:
        return None
    return text if len(text) <= _LONGEST else None


def _check_allowed(definition: OperationDefinitionNode, allowed: Collection[OperationType]) -> None:
    if definition.operation not in allowed:
        raise RequestRefused.because(
            OperationNotAllowed(f"a {definition.operation.value} is not served over this transport or method")
        )
