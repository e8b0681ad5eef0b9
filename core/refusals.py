"""Refusals that a mutation answers as data: a code, a message in the reader's language, and the path of the input field.

Each is a class beside the rule that raises it. What is not about one operation's input (not signed in, too often, too costly) is no
refusal of this kind but an error of the request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from core.account_vocabulary import AuthErrorCode, AuthFactor
from core.errors import TranslatableError
from core.order_texts import order_text
from core.order_vocabulary import OrderErrorCode
from core.wallet_vocabulary import WalletErrorCode


@dataclass(frozen=True, slots=True)
class StepUpDemand:
    """Which factors would do for an operation, and what a passkey must sign."""

    operation: str
    factors: Sequence[AuthFactor]
    passkey_options: Mapping[str, object] | None
    expires_ms: int


class Refused(TranslatableError):
    """A refusal that a mutation's payload carries. `field` is the path below the mutation's `input`."""

    field: list[str] | None


class AuthRefused(Refused):
    """A refusal about an account."""

    code: ClassVar[str] = AuthErrorCode.UNKNOWN

    def __init__(
        self,
        text: str,
        values: Mapping[str, str | int] | None = None,
        *,
        field: Sequence[str] | None = None,
        retry_after_seconds: int | None = None,
        step_up: StepUpDemand | None = None,
    ) -> None:
        super().__init__(text, values)
        self.field = list(field) if field else None
        self.retry_after_seconds = retry_after_seconds
        self.step_up = step_up


class EmailNotVerified(AuthRefused):
    """The account may look, but not yet do this."""

    code = AuthErrorCode.EMAIL_NOT_VERIFIED


class AccountFrozen(AuthRefused):
    """The account is frozen or suspended; nothing moves."""

    code = AuthErrorCode.ACCOUNT_FROZEN


class UnknownObject(AuthRefused):
    """The account has nothing of this id."""

    code = AuthErrorCode.UNKNOWN


class OrderRefused(Refused):
    """A refusal about orders. `limit` is the bound that `actual` crosses, in the unit of the field."""

    code: ClassVar[str] = "ORDER_REFUSED"

    def __init__(
        self,
        reason: OrderErrorCode,
        *,
        field: Sequence[str] | None = None,
        limit: Decimal | None = None,
        actual: Decimal | None = None,
    ) -> None:
        template, values = order_text(reason, limit, actual)
        super().__init__(template, values)
        self.reason = reason
        self.field = list(field) if field else None
        self.limit = limit
        self.actual = actual


class WalletRefused(Refused):
    """A refusal about wallets, chains, deposits or withdrawals. `limit` is the bound that `actual` crosses, in the unit of the field.

    `text` says what would be right, in English; `core/languages/*.json` has it in the other languages.
    """

    code: ClassVar[str] = "WALLET_REFUSED"

    def __init__(
        self,
        text: str,
        values: Mapping[str, str | int] | None = None,
        *,
        reason: WalletErrorCode,
        field: Sequence[str] | None = None,
        limit: Decimal | None = None,
        actual: Decimal | None = None,
    ) -> None:
        super().__init__(text, values)
        self.reason = reason
        self.field = list(field) if field else None
        self.limit = limit
        self.actual = actual
