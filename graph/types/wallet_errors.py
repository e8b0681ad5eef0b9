"""Refusals about wallets and chains, as data."""

from decimal import Decimal
from typing import Self

import strawberry

from core.account_vocabulary import AuthErrorCode
from core.refusals import AuthRefused, Refused, WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from graph.types.errors import StepUpChallenge, UserError

_OF_ACCOUNTS = {
    AuthErrorCode.ACCOUNT_FROZEN: WalletErrorCode.ACCOUNT_FROZEN,
    AuthErrorCode.EMAIL_NOT_VERIFIED: WalletErrorCode.EMAIL_NOT_VERIFIED,
    AuthErrorCode.STEP_UP_REQUIRED: WalletErrorCode.STEP_UP_REQUIRED,
    AuthErrorCode.STEP_UP_INVALID: WalletErrorCode.STEP_UP_INVALID,
    AuthErrorCode.CHALLENGE_EXPIRED: WalletErrorCode.CHALLENGE_EXPIRED,
    AuthErrorCode.LAST_FACTOR: WalletErrorCode.LAST_FACTOR,
}


@strawberry.type(description="A refusal about wallets, chains, deposits or withdrawals.")
class WalletError(UserError):
    code: WalletErrorCode = strawberry.field(description="For programs; the same in every language.")
    limit: Decimal | None = strawberry.field(
        default=None, description="The bound that was crossed, in the unit of the field."
    )
    actual: Decimal | None = strawberry.field(default=None, description="What was given or needed, as `limit`.")
    step_up: StepUpChallenge | None = strawberry.field(default=None, description="What would do, for STEP_UP_REQUIRED.")

    @staticmethod
    def of(refused: Refused, locale: str) -> "WalletError":
        """The refusal in the reader's language; one about the account by its nearest code."""
        if isinstance(refused, WalletRefused):
            return WalletError(
                message=refused.message_in(locale),
                field=refused.field,
                code=refused.reason,
                limit=refused.limit,
                actual=refused.actual,
            )
        demand = refused.step_up if isinstance(refused, AuthRefused) else None
        return WalletError(
            message=refused.message_in(locale),
            field=refused.field,
            code=_OF_ACCOUNTS.get(AuthErrorCode(refused.code), WalletErrorCode.INVALID_INPUT),
            step_up=None if demand is None else StepUpChallenge.of(demand),
        )


class WalletRefusable:
    """A payload about wallets that can say why nothing was done."""

    @classmethod
    def refused(cls, refused: Refused, locale: str) -> Self:
        """Nothing but a refusal."""
        return cls(errors=[WalletError.of(refused, locale)])  # type: ignore[call-arg]
