"""Answers as callers get them: what an execution gave, or why there was none, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import OperationDefinitionNode
from strawberry.types.execution import ExecutionResult, PreExecutionError

from core.budget import Allowance, Budget
from core.errors import RateLimited
from graph.cost import LEAST_POINTS, OperationCost
from graph.documents import Document
from graph.errors import INTERNAL, ErrorRenderer, RequestRefused
from graph.judged import Judged
from graph.request import Answer, Caller, GraphQLRequest

_CHARACTERS_PER_POINT = 100
"""What reading a document costs that is then refused."""


class OutOfPoints(RateLimited):
    """The caller has spent its points."""

    def __init__(self, points: int, allowance: Allowance) -> None:
        self.remaining = allowance.remaining
        seconds = max(1, -(-allowance.retry_after_ms // 1000))
        super().__init__(
            "{points} points are needed and {remaining} are left; try again in {seconds} s",
            {"points": points, "remaining": allowance.remaining, "seconds": seconds},
            retryAfter=seconds,
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be executed."""

    document: Document
    judged: Judged
    variables: Mapping[str, object]
    remaining: int
    """Points the caller had left when it was admitted."""

    @property
    def definition(self) -> OperationDefinitionNode:
        return self.judged.definition

    @property
    def cost(self) -> OperationCost:
        return self.judged.cost

    @property
    def label(self) -> str:
        """Kind and first root field."""
        return self.judged.label


class Answering:
    """Makes answers for callers who spend from one budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def failed(self, body: dict[str, object], operation: Operation, code: str) -> Answer:
        """Execution gave nothing, because of this code."""
        cost = self.cost(operation.cost.points, operation.remaining)
        return Answer({**body, **cost}, code, operation.label, remaining=operation.remaining)

    def answer(
        self,
        result: ExecutionResult,
        operation: Operation,
        errors: ErrorRenderer,
        extensions: Mapping[str, object],
        *,
        did_not_wait: bool = False,
    ) -> Answer:
        """What execution gave. Without data and without a place that failed it is a refusal.

        `did_not_wait`: it came at once, and data is all there is to tell.
        """
        rendered = [errors.during_execution(error) for error in result.errors or ()]
        failed_whole = result.data is None and all(error.path is None for error in result.errors or ())
        if isinstance(result, PreExecutionError) or failed_whole:
            refused: str | None = _code(rendered)
            body: dict[str, object] = {"errors": rendered, **extensions}
        else:
            refused = None
            body = {"data": result.data, **({"errors": rendered} if rendered else {}), **extensions}
        again = operation.judged if did_not_wait and not rendered and operation.judged.may_be_repeated else None
        return Answer(body, refused, operation.label, _retry_after(rendered), operation.remaining, did_not_wait=again)

    async def refused(
        self,
        refused: RequestRefused,
        errors: ErrorRenderer,
        request: GraphQLRequest | None,
        caller: Caller,
        operation: Operation | None = None,
    ) -> Answer:
        """It is not executed, or goes on no more. Having asked costs its points, but for who has none."""
        rendered = errors.refusal(refused)
        points = LEAST_POINTS
        first = refused.errors[0]
        if isinstance(first, OutOfPoints):
            remaining = first.remaining
        else:
            points += len((request and request.query) or "") // _CHARACTERS_PER_POINT
            remaining = (await self._budget.take(caller.limit_key, points, if_refused=LEAST_POINTS)).remaining
        return Answer(
            {"errors": rendered, **self.cost(points, remaining)},
            _code(rendered),
            operation.label if operation else "unknown",
            _retry_after(rendered),
            remaining,
        )

    def cost(
        self, requested: int, remaining: int, others: Mapping[str, object] | None = None
    ) -> dict[str, dict[str, object]]:
        """`extensions` that say what it cost, beside `others`."""
        return {
            "extensions": {
                **(others or {}),
                "cost": {
                    "requested": requested,
                    "remaining": remaining,
                    "restoreRate": self._budget.restore_per_second,
                },
            }
        }


def _code(rendered: list[dict[str, object]]) -> str:
    extensions = rendered[0].get("extensions") if rendered else None
    return str(extensions.get("code", INTERNAL)) if isinstance(extensions, dict) else INTERNAL


def _retry_after(rendered: list[dict[str, object]]) -> int | None:
    """Seconds that the first error which says so asks to wait."""
    for error in rendered:
        extensions = error.get("extensions")
        seconds = extensions.get("retryAfter") if isinstance(extensions, dict) else None
        if isinstance(seconds, int):
            return seconds
    return None
