"""What a link in a mail carries: a token for one purpose, one person, one address, for a limited time, once."""

from enum import StrEnum

from core.account_vocabulary import AuthErrorCode
from core.clock import Clock, to_datetime
from core.ids import token_hash
from core.refusals import AuthRefused
from models import one_time_token
from models.one_time_token import OneTimeTokenDocument

_LONGEST = 256
_HOUR_MS = 3_600_000
_TOLD_MS = 7 * 24 * _HOUR_MS
"""For so long after its end a token is called expired rather than unknown."""


class TokenPurpose(StrEnum):
    """What a token is for. It does for nothing else."""

    VERIFY_EMAIL = "VERIFY_EMAIL"
    CHANGE_EMAIL = "CHANGE_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105
    FREEZE = "FREEZE"
    CONFIRM_WITHDRAWAL = "CONFIRM_WITHDRAWAL"


LIFE_MS = {
    TokenPurpose.VERIFY_EMAIL: 24 * _HOUR_MS,
    TokenPurpose.CHANGE_EMAIL: 24 * _HOUR_MS,
    TokenPurpose.RESET_PASSWORD: _HOUR_MS,
    TokenPurpose.FREEZE: 30 * 24 * _HOUR_MS,
    TokenPurpose.CONFIRM_WITHDRAWAL: 24 * _HOUR_MS,
}


class TokenInvalid(AuthRefused):
    """No such token, or it was used, or it is for something else."""

    code = AuthErrorCode.TOKEN_INVALID


class TokenExpired(AuthRefused):
    """The token was right, but too old."""

    code = AuthErrorCode.TOKEN_EXPIRED


def stored_token(
    token: str, purpose: TokenPurpose, *, user_id: str, email_key: str, now_ms: int, subject: str | None = None
) -> OneTimeTokenDocument:
    """The document of a new token, to be stored with `models.one_time_token.put`. `subject`: what it is about, where a person has several."""
    expires_ms = now_ms + LIFE_MS[purpose]
    return OneTimeTokenDocument(
        id=token_hash(token),
        purpose=purpose,
        user_id=user_id,
        email_key=email_key,
        subject=subject,
        expires_ms=expires_ms,
        purge_at=to_datetime(expires_ms + _TOLD_MS),
    )


async def find(token: str, *purposes: TokenPurpose, clock: Clock) -> OneTimeTokenDocument:
    """A token for one of these purposes that could be redeemed now. Raises TokenInvalid, TokenExpired."""
    row = await one_time_token.by_hash(token_hash(token)) if 0 < len(token) <= _LONGEST else None
    if row is None or row.purpose not in purposes or row.used_ms is not None:
        raise TokenInvalid("this link is not valid, or was used already; ask for a new one", field=["token"])
    if row.expires_ms <= clock.now_ms():
        raise TokenExpired("this link has expired; ask for a new one", field=["token"])
    return row


async def redeem(token: str, *purposes: TokenPurpose, clock: Clock) -> OneTimeTokenDocument:
    """Use a token up and give what it stands for. Of several who try at once, one succeeds. Raises TokenInvalid, TokenExpired."""
    row = await find(token, *purposes, clock=clock)
    if not await one_time_token.use(row.id, clock.now_ms()):
        raise TokenInvalid("this link is not valid, or was used already; ask for a new one", field=["token"])
    return row
