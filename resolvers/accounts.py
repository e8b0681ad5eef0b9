"""Root fields of a person's own account."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graph.context import Context
from graph.types.account_event import AccountEvent, account_event
from graph.types.auth import AuthPayload
from graph.types.auth_inputs import (
    ChangeEmailInput,
    DeleteAccountInput,
    FreezeAccountInput,
    ResendVerificationInput,
    SignUpInput,
    UnfreezeAccountInput,
    UpdateProfileInput,
    VerifyEmailInput,
)
from graph.types.user import User
from resolvers.viewers import account_payload, present, viewer_of
from services.accounts import NewAccount

Info = strawberry.Info[Context, None]


async def viewer(info: Info) -> User | None:
    return await present(info)


async def sign_up(
    info: Info, input: Annotated[SignUpInput, strawberry.argument(description="The account.")]
) -> AuthPayload:
    client = info.context.client
    new = NewAccount(input.email, input.password, input.display_name, input.locale or client.locale)
    await info.context.accounts.accounts.sign_up(new, client)
    return AuthPayload()


async def verify_email(
    info: Info, input: Annotated[VerifyEmailInput, strawberry.argument(description="The token.")]
) -> AuthPayload:
    await info.context.accounts.accounts.verify_email(input.token, info.context.client)
    return await account_payload(info)


async def resend_verification(
    info: Info, input: Annotated[ResendVerificationInput, strawberry.argument(description="The address.")]
) -> AuthPayload:
    await info.context.accounts.accounts.resend_verification(input.email, info.context.client)
    return AuthPayload()


async def change_email(
    info: Info, input: Annotated[ChangeEmailInput, strawberry.argument(description="The address.")]
) -> AuthPayload:
    await info.context.accounts.accounts.change_email(viewer_of(info), input.email, info.context.client)
    return await account_payload(info)


async def update_profile(
    info: Info, input: Annotated[UpdateProfileInput, strawberry.argument(description="The changes.")]
) -> AuthPayload:
    given = {
        "display_name": input.display_name,
        "locale": input.locale,
        "quote_asset": input.quote_asset,
        "anti_phishing_code": input.anti_phishing_code,
    }
    changes = {name: value for name, value in given.items() if value is not strawberry.UNSET}
    await info.context.accounts.accounts.update_profile(viewer_of(info), changes, info.context.client)
    return await account_payload(info)


async def delete_account(
    info: Info,
    input: Annotated[DeleteAccountInput, strawberry.argument(description="The proof.")],  # noqa: ARG001
) -> AuthPayload:
    await info.context.accounts.accounts.delete(viewer_of(info), info.context.client)
    _sign_out(info)
    return AuthPayload()


async def freeze_account(
    info: Info, input: Annotated[FreezeAccountInput, strawberry.argument(description="Who asks.")]
) -> AuthPayload:
    freezes = info.context.accounts.freezes
    if input.token is not None:
        await freezes.by_mail(input.token, info.context.client)
        return AuthPayload()
    await freezes.by_owner(viewer_of(info), info.context.client)
    _sign_out(info)
    return AuthPayload()


async def unfreeze_account(
    info: Info,
    input: Annotated[UnfreezeAccountInput, strawberry.argument(description="The proof.")],  # noqa: ARG001
) -> AuthPayload:
    await info.context.accounts.freezes.unfreeze(viewer_of(info), info.context.client)
    return await account_payload(info)


async def account_events(
    info: Info,
    after: Annotated[
        str | None, strawberry.argument(description="A cursor of this log; without it, from now on.")
    ] = None,
) -> AsyncGenerator[AccountEvent, None]:
    user_id = viewer_of(info).user_id
    async with aclosing(info.context.funds.events.watch(user_id, after)) as events:
        async for happened in events:
            yield account_event(happened)


def _sign_out(info: Info) -> None:
    if info.context.outgoing is not None:
        info.context.outgoing.signs_out = True
