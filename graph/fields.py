"""Fields of the roots as the schema declares them: who may use them, what they demand, and both repeated in their descriptions."""

import functools
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from core.account_vocabulary import ApiScope
from graph.access import Access, Guard, Info, require
from graph.directives import Cost, Idempotent, Scope, StepUp
from graph.documents import ALONE
from graph.own_events import SAME_BY
from graph.payloads import RefusalsAsData
from graph.step_up import StepUpDemanded


def mutation(
    resolver: Callable[..., Any],
    description: str,
    *,
    access: Access,
    scope: ApiScope | None = None,
    step_up: StepUpDemanded | None = None,
    alone: bool = False,
    idempotent: str | None = None,
    cost: int | None = None,
    name: str | None = None,
) -> Any:
    """A mutation whose refusals are data. `cost`: its points, where it is dearer than others."""
    extensions: list[FieldExtension] = [Guard(access, scope), RefusalsAsData()]
    if step_up is not None:
        extensions.insert(0, step_up)
    return strawberry.mutation(
        resolver=resolver,
        name=name,
        description=_words(description, access, scope, step_up=step_up, alone=alone, idempotent=idempotent),
        directives=[
            *_directives(scope, step_up=step_up is not None, idempotent=idempotent),
            *([Cost(points=cost)] if cost is not None else []),
        ],
        extensions=extensions,
        metadata={ALONE: alone},
    )


def query(
    resolver: Callable[..., Any],
    description: str,
    *,
    access: Access = Access.ANYONE,
    scope: ApiScope | None = None,
    cost: int | None = None,
    name: str | None = None,
) -> Any:
    """A field of the query root, or of the operators' one. `cost`: its points, where it is dearer than others."""
    return strawberry.field(
        resolver=resolver,
        description=_words(description, access, scope),
        name=name,
        directives=[*_directives(scope), *([Cost(points=cost)] if cost is not None else [])],
        extensions=[Guard(access, scope)] if access is not Access.ANYONE or scope is not None else [],
    )


def subscription(
    resolver: Callable[..., AsyncGenerator[Any, None]],
    description: str,
    *,
    access: Access,
    scope: ApiScope | None = None,
    cost: int | None = None,
    same_by: Callable[[Any], Hashable] | None = None,
) -> Any:
    """A stream that is judged when it starts. `cost`: points of its start, where it is dearer than others; `same_by`: what two events of an account are the same by."""

    @functools.wraps(resolver)
    async def guarded(*, info: Info, **arguments: Any) -> AsyncGenerator[Any, None]:
        await require(info.context, access, scope)
        async with aclosing(resolver(info=info, **arguments)) as events:
            async for event in events:
                yield event

    return strawberry.subscription(
        resolver=guarded,
        description=_words(description, access, scope),
        directives=[*_directives(scope), *([Cost(points=cost)] if cost is not None else [])],
        metadata={} if same_by is None else {SAME_BY: same_by},
    )


def _directives(scope: ApiScope | None, *, step_up: bool = False, idempotent: str | None = None) -> list[object]:
    return [
        *([Scope(needs=scope)] if scope is not None else []),
        *([StepUp()] if step_up else []),
        *([Idempotent(key=idempotent)] if idempotent is not None else []),
    ]


def _words(
    description: str,
    access: Access,
    scope: ApiScope | None,
    *,
    step_up: StepUpDemanded | None = None,
    alone: bool = False,
    idempotent: str | None = None,
) -> str:
    words = [description, access.value]
    if scope is not None:
        words.append(f"An API key needs the scope {scope.value}.")
    if step_up is not None:
        words.append(step_up.words)
    if idempotent is not None:
        words.append(f"Idempotent by `{idempotent}`: the same input again gives the first result, `replayed: true`.")
    if alone:
        words.append("At most one such mutation in a document.")
    return " ".join(word for word in words if word)
