"""Signing in and out."""

from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from core.account_vocabulary import AuthFactor, TokenDelivery
from core.clock import to_datetime
from core.errors import InvalidInput
from graph.context import Context
from graph.types.auth import AuthPayload, AuthTokens, LogInPayload, TwoFactorChallenge
from graph.types.auth_inputs import (
    CompleteTwoFactorInput,
    LogInInput,
    LogOutInput,
    RefreshSessionInput,
    RevokeSessionInput,
    SecondFactorInput,
    StepUpFactorInput,
)
from graph.types.session import Session
from graph.types.user import User
from resolvers.ids import key_of
from resolvers.viewers import account_payload, viewer_of
from services.log_in import AskedSecondFactor, LogInResult, SignedIn, Wish
from services.one_time_tokens import TokenInvalid
from services.sessions import OpenedSession
from services.step_up import StepUpFactor

Info = strawberry.Info[Context, None]


async def log_in(
    info: Info, input: Annotated[LogInInput, strawberry.argument(description="Address and password.")]
) -> LogInPayload:
    wish = wish_of(info, input.delivery, input.device_name)
    result = await info.context.accounts.log_in.with_password(
        input.email, input.password, wish, info.context.client, info.context.viewer
    )
    return log_in_payload(info, result)


async def complete_two_factor(
    info: Info, input: Annotated[CompleteTwoFactorInput, strawberry.argument(description="The second factor.")]
) -> LogInPayload:
    factor = factor_of(input.proof)
    result = await info.context.accounts.log_in.with_second_factor(input.challenge, factor, info.context.client)
    return log_in_payload(info, result)


async def refresh_session(
    info: Info,
    input: Annotated[RefreshSessionInput | None, strawberry.argument(description="For programs.")] = None,
) -> LogInPayload:
    given = input.refresh_token if input is not None else None
    token = given or info.context.cookies.refresh_token
    if token is None:
        raise TokenInvalid("there is no refresh token; sign in again", field=["refreshToken"])
    opened = await info.context.accounts.sessions.refresh(token, info.context.client)
    delivery = TokenDelivery.VALUES if given else TokenDelivery.COOKIE
    return log_in_payload(info, SignedIn(opened, delivery, None))


async def log_out(
    info: Info, input: Annotated[LogOutInput | None, strawberry.argument(description="Which sessions.")] = None
) -> AuthPayload:
    sessions, viewer = info.context.accounts.sessions, info.context.viewer
    if viewer is not None:
        everywhere = input is not None and input.everywhere
        await sessions.log_out(viewer, info.context.client, everywhere=everywhere)
    elif info.context.cookies.refresh_token is not None:
        await sessions.forget(info.context.cookies.refresh_token, info.context.client)
    if info.context.outgoing is not None:
        info.context.outgoing.signs_out = True
    return AuthPayload()


async def revoke_session(
    info: Info, input: Annotated[RevokeSessionInput, strawberry.argument(description="The session.")]
) -> AuthPayload:
    await info.context.accounts.sessions.revoke(viewer_of(info), key_of(input.id, "Session"), info.context.client)
    return await account_payload(info)


def wish_of(info: Info, delivery: TokenDelivery, device_name: str | None) -> Wish:
    """What is wanted of the session. Raises InvalidInput for cookies over a socket."""
    if delivery is TokenDelivery.COOKIE and info.context.outgoing is None:
        raise InvalidInput(
            "a socket sets no cookies; ask for VALUES, or sign in over HTTP", field=["input", "delivery"]
        )
    return Wish(delivery, device_name)


def factor_of(given: SecondFactorInput | StepUpFactorInput) -> StepUpFactor:
    """The one factor that was given."""
    password = getattr(given, "password", strawberry.UNSET)
    for kind, text in (
        (AuthFactor.PASSWORD, password),
        (AuthFactor.TOTP, given.totp),
        (AuthFactor.RECOVERY_CODE, given.recovery_code),
    ):
        if isinstance(text, str):
            return StepUpFactor(kind, text)
    credential: JSON | None = given.passkey
    return StepUpFactor(AuthFactor.PASSKEY, credential=credential)


def log_in_payload(info: Info, result: LogInResult) -> LogInPayload:
    """What a log-in gives, with the cookies that go with it."""
    if isinstance(result, AskedSecondFactor):
        options = result.passkey_options
        challenge = TwoFactorChallenge(
            token=result.token,
            factors=list(result.factors),
            passkey_options=None if options is None else JSON(options),
            expires_at=to_datetime(result.expires_ms),
        )
        return LogInPayload(challenge=challenge)
    opened = result.opened
    if result.delivery is TokenDelivery.COOKIE and info.context.outgoing is not None:
        info.context.outgoing.tokens = opened.tokens
        info.context.outgoing.device_token = result.device_token
    return LogInPayload(
        viewer=User.of(opened.profile, opened.session.id),
        session=Session.of(opened.session, opened.session.id),
        tokens=_tokens(opened) if result.delivery is TokenDelivery.VALUES else None,
    )


def _tokens(opened: OpenedSession) -> AuthTokens:
    return AuthTokens(
        access_token=opened.tokens.access,
        refresh_token=opened.tokens.refresh,
        expires_at=to_datetime(opened.tokens.expires_ms),
        refresh_expires_at=to_datetime(opened.tokens.refresh_expires_ms),
    )
