"""Refusals as data: what a mutation refuses is answered in its payload's `errors`, in the reader's language."""

from typing import Any, Protocol, cast

from strawberry.extensions import FieldExtension

from core.refusals import Refused
from graph.access import Info, Next


class Payload(Protocol):
    """What a payload's type knows."""

    def refused(self, refused: Refused, locale: str) -> object: ...


class RefusalsAsData(FieldExtension):
    """Turns a refusal into a payload with nothing but its error. The payload's type and its errors' type say how."""

    async def resolve_async(self, next_: Next, source: Any, info: Info, **kwargs: Any) -> Any:
        try:
            return await next_(source, info, **kwargs)
        except Refused as refused:
            payload = cast(Payload, info.return_type)
            return payload.refused(refused, info.context.client.locale)
