"""What is the same for every request with the same document, operation's name and variables: found once, kept with the document."""

from collections.abc import Callable
from dataclasses import dataclass

from graphql import OperationDefinitionNode
from graphql.execution.values import VariableValues

from graph.compile import CompiledOperation
from graph.cost import OperationCost
from graph.public import Version


@dataclass(frozen=True, slots=True, eq=False)
class PublicOperation:
    """An operation that asks for nothing but public market data. `compiled` gives markets that are encoded already."""

    compiled: CompiledOperation
    version: Callable[[], Version]
    """That of everything it reads, now."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """An operation that may be executed, before its caller is looked at."""

    definition: OperationDefinitionNode
    coerced: VariableValues | None
    """None where something in them could be changed by who is given it: they are then coerced for each execution."""
    cost: OperationCost
    label: str
    public: PublicOperation | None
