"""Refusals as data: what a mutation answers when it does nothing."""

from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from core.account_vocabulary import AuthErrorCode, AuthFactor
from core.clock import to_datetime
from core.refusals import AuthRefused, Refused, StepUpDemand, WalletRefused
from core.vocabulary import GeneralErrorCode
from core.wallet_vocabulary import WalletErrorCode

ERRORS = "Why it was refused; empty when it was done."


@strawberry.type(description="What `reauthenticate` needs for this operation.")
class StepUpChallenge:
    operation: str = strawberry.field(description="The mutation.")
    factors: list[AuthFactor] = strawberry.field(description="Any one of these does.")
    passkey_options: JSON | None = strawberry.field(
        description="For `navigator.credentials.get`; null without passkeys."
    )
    expires_at: datetime = strawberry.field(description="Until when the passkey's signature is taken.")

    @staticmethod
    def of(demand: StepUpDemand) -> "StepUpChallenge":
        """The demand as clients see it."""
        options = demand.passkey_options
        return StepUpChallenge(
            operation=demand.operation,
            factors=list(demand.factors),
            passkey_options=None if options is None else JSON(options),
            expires_at=to_datetime(demand.expires_ms),
        )


@strawberry.interface(description="An expected refusal.")
class UserError:
    message: str = strawberry.field(description="For people, in the account's language.")
    field: list[str] | None = strawberry.field(description="Path of the input field, below `input`.")


_WALLET_CODES = {
    WalletErrorCode.ADDRESS_INVALID: AuthErrorCode.ADDRESS_INVALID,
    WalletErrorCode.ADDRESS_WRONG_NETWORK: AuthErrorCode.ADDRESS_INVALID,
    WalletErrorCode.CHALLENGE_EXPIRED: AuthErrorCode.CHALLENGE_EXPIRED,
    WalletErrorCode.CHALLENGE_USED: AuthErrorCode.CHALLENGE_USED,
    WalletErrorCode.MESSAGE_MISMATCH: AuthErrorCode.MESSAGE_MISMATCH,
    WalletErrorCode.SIGNATURE_INVALID: AuthErrorCode.SIGNATURE_INVALID,
    WalletErrorCode.CONTRACT_WALLET_REFUSED: AuthErrorCode.SIGNATURE_INVALID,
    WalletErrorCode.PROVIDER_UNAVAILABLE: AuthErrorCode.PROVIDER_UNAVAILABLE,
    WalletErrorCode.PROVIDER_LYING: AuthErrorCode.PROVIDER_UNAVAILABLE,
}
"""What is refused about a wallet, where an account is what it is about."""


@strawberry.type(description="A refusal about an account.")
class AuthError(UserError):
    code: AuthErrorCode = strawberry.field(description="For programs; the same in every language.")
    retry_after: int | None = strawberry.field(description="Seconds until it is worth trying again.")
    step_up: StepUpChallenge | None = strawberry.field(description="What would do, for STEP_UP_REQUIRED.")

    @staticmethod
    def of(refused: Refused, locale: str) -> "AuthError":
        """The refusal in the reader's language; one about a wallet by its nearest code."""
        if not isinstance(refused, AuthRefused):
            reason = refused.reason if isinstance(refused, WalletRefused) else None
            return AuthError(
                message=refused.message_in(locale),
                field=refused.field,
                code=AuthErrorCode.UNKNOWN if reason is None else _WALLET_CODES.get(reason, AuthErrorCode.UNKNOWN),
                retry_after=None,
                step_up=None,
            )
        return AuthError(
            message=refused.message_in(locale),
            field=refused.field,
            code=AuthErrorCode(refused.code),
            retry_after=refused.retry_after_seconds,
            step_up=None if refused.step_up is None else StepUpChallenge.of(refused.step_up),
        )


_GENERAL_CODES = {
    AuthErrorCode.ACCOUNT_FROZEN: GeneralErrorCode.ACCOUNT_FROZEN,
    AuthErrorCode.EMAIL_NOT_VERIFIED: GeneralErrorCode.EMAIL_NOT_VERIFIED,
    AuthErrorCode.STEP_UP_REQUIRED: GeneralErrorCode.STEP_UP_REQUIRED,
    AuthErrorCode.STEP_UP_INVALID: GeneralErrorCode.STEP_UP_INVALID,
    AuthErrorCode.UNKNOWN: GeneralErrorCode.NOT_FOUND,
}


@strawberry.type(description="A refusal about anything else.")
class GeneralError(UserError):
    code: GeneralErrorCode = strawberry.field(description="For programs; the same in every language.")
    limit: Decimal | None = strawberry.field(default=None, description="The bound that was crossed.")
    actual: Decimal | None = strawberry.field(default=None, description="What was given.")
    step_up: StepUpChallenge | None = strawberry.field(default=None, description="What would do, for STEP_UP_REQUIRED.")

    @staticmethod
    def of(refused: AuthRefused, locale: str) -> "GeneralError":
        """The refusal in the reader's language."""
        return GeneralError(
            message=refused.message_in(locale),
            field=refused.field,
            code=_GENERAL_CODES.get(AuthErrorCode(refused.code), GeneralErrorCode.INVALID),
            step_up=None if refused.step_up is None else StepUpChallenge.of(refused.step_up),
        )
