"""What proves the owner: passwords, codes by app, passkeys, and step-up."""

from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from core.clock import to_datetime
from graph.context import Context
from graph.step_up import deed_of
from graph.types.auth import (
    AuthPayload,
    EnrollTotpPayload,
    LogInPayload,
    PasskeyOptionsPayload,
    PasskeyPayload,
    ReauthenticatePayload,
    RecoveryCodesPayload,
    TokenState,
)
from graph.types.auth_inputs import (
    BeginPasskeyLogInInput,
    BeginPasskeyRegistrationInput,
    ChangePasswordInput,
    ConfirmTotpInput,
    DeletePasskeyInput,
    DisableTotpInput,
    EnrollTotpInput,
    FinishPasskeyLogInInput,
    FinishPasskeyRegistrationInput,
    ReauthenticateInput,
    RegenerateRecoveryCodesInput,
    RenamePasskeyInput,
    RequestPasswordResetInput,
    ResetPasswordInput,
)
from graph.types.security import Passkey
from resolvers.ids import key_of
from resolvers.sessions import factor_of, log_in_payload, wish_of
from resolvers.viewers import account_payload, present, viewer_of
from services.names import checked_name

Info = strawberry.Info[Context, None]


async def password_reset_token(
    info: Info, token: Annotated[str, strawberry.argument(description="From the mail's link.")]
) -> TokenState | None:
    expires_ms = await info.context.accounts.password_changes.token_expires_ms(token, info.context.client)
    return TokenState(valid=expires_ms is not None, expires_at=None if expires_ms is None else to_datetime(expires_ms))


async def request_password_reset(
    info: Info, input: Annotated[RequestPasswordResetInput, strawberry.argument(description="The address.")]
) -> AuthPayload:
    await info.context.accounts.password_changes.request_reset(input.email, info.context.client)
    return AuthPayload()


async def reset_password(
    info: Info, input: Annotated[ResetPasswordInput, strawberry.argument(description="Token and password.")]
) -> AuthPayload:
    await info.context.accounts.password_changes.reset(input.token, input.password, info.context.client)
    return AuthPayload()


async def change_password(
    info: Info, input: Annotated[ChangePasswordInput, strawberry.argument(description="The password.")]
) -> AuthPayload:
    await info.context.accounts.password_changes.change(viewer_of(info), input.password, info.context.client)
    return await account_payload(info)


async def reauthenticate(
    info: Info, input: Annotated[ReauthenticateInput, strawberry.argument(description="For what, and the factor.")]
) -> ReauthenticatePayload:
    deed = deed_of(info, input.operation, input.parameters)
    proof, expires_ms = await info.context.accounts.step_up.prove(
        viewer_of(info), deed, factor_of(input.proof), info.context.client
    )
    return ReauthenticatePayload(step_up_proof=proof, expires_at=to_datetime(expires_ms))


async def enroll_totp(
    info: Info,
    input: Annotated[EnrollTotpInput | None, strawberry.argument(description="The proof.")] = None,  # noqa: ARG001
) -> EnrollTotpPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    enrolment = await info.context.accounts.two_factor.enroll(person)
    return EnrollTotpPayload(secret=enrolment.secret, otpauth_uri=enrolment.uri, qr_svg=enrolment.qr_svg)


async def confirm_totp(
    info: Info, input: Annotated[ConfirmTotpInput, strawberry.argument(description="The code.")]
) -> RecoveryCodesPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    codes = await info.context.accounts.two_factor.confirm(person, input.code, info.context.client)
    return RecoveryCodesPayload(viewer=await present(info), recovery_codes=codes)


async def disable_totp(
    info: Info,
    input: Annotated[DisableTotpInput, strawberry.argument(description="The proof.")],  # noqa: ARG001
) -> AuthPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    await info.context.accounts.two_factor.disable(person, info.context.client)
    return await account_payload(info)


async def regenerate_recovery_codes(
    info: Info,
    input: Annotated[RegenerateRecoveryCodesInput, strawberry.argument(description="The proof.")],  # noqa: ARG001
) -> RecoveryCodesPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    codes = await info.context.accounts.two_factor.new_recovery_codes(person, info.context.client)
    return RecoveryCodesPayload(viewer=await present(info), recovery_codes=codes)


async def begin_passkey_registration(
    info: Info,
    input: Annotated[BeginPasskeyRegistrationInput | None, strawberry.argument(description="The proof.")] = None,
) -> PasskeyOptionsPayload:
    if input is not None and input.name:
        checked_name(input.name, field=["name"])
    person = await info.context.accounts.accounts.of(viewer_of(info))
    asked = await info.context.accounts.passkeys.begin_registration(person)
    return PasskeyOptionsPayload(options=JSON(asked.options), challenge=asked.token)


async def finish_passkey_registration(
    info: Info, input: Annotated[FinishPasskeyRegistrationInput, strawberry.argument(description="What was made.")]
) -> PasskeyPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    row = await info.context.accounts.passkeys.finish_registration(
        person, input.challenge, input.credential, input.name, info.context.client
    )
    return PasskeyPayload(passkey=Passkey.of(row), viewer=await present(info))


async def rename_passkey(
    info: Info, input: Annotated[RenamePasskeyInput, strawberry.argument(description="The name.")]
) -> PasskeyPayload:
    passkeys = info.context.accounts.passkeys
    row = await passkeys.rename(viewer_of(info).user_id, key_of(input.id, "Passkey"), input.name)
    return PasskeyPayload(passkey=Passkey.of(row), viewer=await present(info))


async def delete_passkey(
    info: Info, input: Annotated[DeletePasskeyInput, strawberry.argument(description="The passkey.")]
) -> PasskeyPayload:
    person = await info.context.accounts.accounts.of(viewer_of(info))
    row = await info.context.accounts.passkeys.delete(person, key_of(input.id, "Passkey"), info.context.client)
    return PasskeyPayload(passkey=Passkey.of(row), viewer=await present(info))


async def begin_passkey_log_in(
    info: Info,
    input: Annotated[BeginPasskeyLogInInput | None, strawberry.argument(description="Nothing is needed.")] = None,  # noqa: ARG001
) -> PasskeyOptionsPayload:
    asked = await info.context.accounts.log_in.begin_passkey(info.context.client)
    return PasskeyOptionsPayload(options=JSON(asked.options), challenge=asked.token)


async def finish_passkey_log_in(
    info: Info, input: Annotated[FinishPasskeyLogInInput, strawberry.argument(description="What was signed.")]
) -> LogInPayload:
    wish = wish_of(info, input.delivery, input.device_name)
    result = await info.context.accounts.log_in.with_passkey(
        input.challenge, input.credential, wish, info.context.client
    )
    return log_in_payload(info, result)
