"""What is the same for every request with the same document, operation's name and variables: found once, kept with the document."""

from collections.abc import Callable
from dataclasses import dataclass

from graphql import OperationDefinitionNode, OperationType
from graphql.execution.values import VariableValues

from graph.compile import CompiledOperation
from graph.cost import OperationCost
from graph.public import Version


@dataclass(frozen=True, slots=True, eq=False)
class PublicOperation:
    """An operation that asks for nothing but public market data, or what is public of one. `compiled` gives markets that are encoded already, and blanks."""

    compiled: CompiledOperation
    version: Callable[[], Version]
    """That of everything public it reads, now."""
    has_blanks: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """An operation that may be executed, before its caller is looked at."""

    definition: OperationDefinitionNode
    coerced: VariableValues | None
    """None where something in them could be changed by who is given it: they are then coerced for each execution."""
    cost: OperationCost
    label: str
    public: PublicOperation | None
    compiled: CompiledOperation | None
    """None where it is left to graphql-core."""
    form: PublicOperation | None = None
    """In the place of `public`, of an operation that also asks for private fields: what is public of it, and blanks for them."""

    @property
    def name(self) -> str | None:
        """That of the operation, where it has one."""
        return self.definition.name.value if self.definition.name else None

    @property
    def may_be_repeated(self) -> bool:
        """Whether it can be executed as it is, and may be once more, for nothing is changed by it."""
        return (
            self.compiled is not None and self.coerced is not None and self.definition.operation is OperationType.QUERY
        )
