"""Refusals about orders, as data."""

from decimal import Decimal
from typing import Self

import strawberry

from core.order_vocabulary import OrderErrorCode
from core.refusals import OrderRefused
from graph.types.errors import UserError


@strawberry.type(description="A refusal about orders.")
class OrderError(UserError):
    code: OrderErrorCode = strawberry.field(description="For programs; the same in every language.")
    limit: Decimal | None = strawberry.field(description="The bound that was crossed, in the unit of the field.")
    actual: Decimal | None = strawberry.field(description="What was given or needed, as `limit`.")

    @staticmethod
    def of(refused: OrderRefused, locale: str) -> "OrderError":
        """The refusal in the reader's language."""
        return OrderError(
            message=refused.message_in(locale),
            field=refused.field,
            code=refused.reason,
            limit=refused.limit,
            actual=refused.actual,
        )


class OrderRefusable:
    """A payload about orders that can say why nothing was done."""

    @classmethod
    def refused(cls, refused: OrderRefused, locale: str) -> Self:
        """Nothing but a refusal."""
        return cls(errors=[OrderError.of(refused, locale)])  # type: ignore[call-arg]
