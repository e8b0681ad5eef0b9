"""Inputs of the mutations about accounts. An optional field that is left out changes nothing."""

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from core.account_vocabulary import ApiScope, OAuthPurpose, TokenDelivery, UserStatus
from graph.scalars import URL

_PROOF = "From `reauthenticate`, for this mutation with these parameters."
_DELIVERY = "How the tokens are delivered."
_DEVICE = "What to call the device in the list of sessions, at most 60 characters."


@strawberry.input(description="A new account.")
class SignUpInput:
    email: str = strawberry.field(description="The address.")
    password: str = strawberry.field(description="At least 10 characters.")
    display_name: str | None = strawberry.field(default=None, description="What to call the person.")
    locale: str | None = strawberry.field(default=None, description="`en` or `de`; without it, as the browser asks.")


@strawberry.input(description="Proof of an address.")
class VerifyEmailInput:
    token: str = strawberry.field(description="From the mail's link, behind `#token=`.")


@strawberry.input(description="An address whose link got lost.")
class ResendVerificationInput:
    email: str = strawberry.field(description="The address.")


@strawberry.input(description="Address and password.")
class LogInInput:
    email: str = strawberry.field(description="The address.")
    password: str = strawberry.field(description="The password.")
    delivery: TokenDelivery = strawberry.field(default=TokenDelivery.COOKIE, description=_DELIVERY)
    device_name: str | None = strawberry.field(default=None, description=_DEVICE)


@strawberry.input(one_of=True, description="One second factor.")
class SecondFactorInput:
    totp: str | None = strawberry.field(default=strawberry.UNSET, description="The six digits the app shows.")
    recovery_code: str | None = strawberry.field(default=strawberry.UNSET, description="An unused recovery code.")
    passkey: JSON | None = strawberry.field(default=strawberry.UNSET, description="`credential.toJSON()`.")


@strawberry.input(one_of=True, description="One factor.")
class StepUpFactorInput:
    password: str | None = strawberry.field(default=strawberry.UNSET, description="The password.")
    totp: str | None = strawberry.field(default=strawberry.UNSET, description="The six digits the app shows.")
    recovery_code: str | None = strawberry.field(default=strawberry.UNSET, description="An unused recovery code.")
    passkey: JSON | None = strawberry.field(default=strawberry.UNSET, description="`credential.toJSON()`.")


@strawberry.input(description="The second half of a log-in.")
class CompleteTwoFactorInput:
    challenge: str = strawberry.field(description="`challenge { token }` of the log-in.")
    proof: SecondFactorInput = strawberry.field(description="The factor.")


@strawberry.input(description="For programs; pages have a cookie.")
class RefreshSessionInput:
    refresh_token: str | None = strawberry.field(default=None, description="The refresh token, when it came by VALUES.")


@strawberry.input(description="Which sessions to end.")
class LogOutInput:
    everywhere: bool = strawberry.field(default=False, description="All of them, not only this one.")


@strawberry.input(description="A session.")
class RevokeSessionInput:
    id: strawberry.ID = strawberry.field(description="Its id.")


@strawberry.input(description="An address whose password got lost.")
class RequestPasswordResetInput:
    email: str = strawberry.field(description="The address.")


@strawberry.input(description="A new password, by mail.")
class ResetPasswordInput:
    token: str = strawberry.field(description="From the mail's link, behind `#token=`.")
    password: str = strawberry.field(description="The new password.")


@strawberry.input(description="A new password, by its owner.")
class ChangePasswordInput:
    current: str | None = strawberry.field(
        default=None, description="The present password: does instead of a proof where the password is a factor."
    )
    password: str = strawberry.field(description="The new password.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="A new address.")
class ChangeEmailInput:
    email: str = strawberry.field(description="The new address; the present one stays until it is proven.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="What a person says of themselves; null removes, what is left out stays.")
class UpdateProfileInput:
    display_name: str | None = strawberry.field(default=strawberry.UNSET, description="What to call the person.")
    locale: str | None = strawberry.field(default=strawberry.UNSET, description="`en` or `de`.")
    quote_asset: str | None = strawberry.field(
        default=strawberry.UNSET, description="Code of the asset values are shown in."
    )
    anti_phishing_code: str | None = strawberry.field(
        default=strawberry.UNSET, description="Words that are to stand in every mail from here, at most 32 characters."
    )


@strawberry.input(description="Proof of being there, for one mutation.")
class ReauthenticateInput:
    operation: str = strawberry.field(description="Name of the mutation, such as `createApiKey`.")
    parameters: JSON = strawberry.field(description="Its `input`, without `stepUpProof`.")
    proof: StepUpFactorInput = strawberry.field(description="The factor.")


@strawberry.input(description="A new authenticator app.")
class EnrollTotpInput:
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="The first code of the app.")
class ConfirmTotpInput:
    code: str = strawberry.field(description="The six digits the app shows.")


@strawberry.input(description="No codes by app any more.")
class DisableTotpInput:
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="New recovery codes.")
class RegenerateRecoveryCodesInput:
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="A new passkey.")
class BeginPasskeyRegistrationInput:
    name: str | None = strawberry.field(
        default=None, description="What it is to be called, to have it checked; the name given when finishing counts."
    )
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="A log-in by passkey.")
class BeginPasskeyLogInInput:
    email: str | None = strawberry.field(
        default=None, description="Not needed, and not used: nothing is told about who has passkeys."
    )


@strawberry.input(description="What the authenticator made.")
class FinishPasskeyRegistrationInput:
    challenge: str = strawberry.field(description="`challenge` of the beginning.")
    credential: JSON = strawberry.field(description="`credential.toJSON()`.")
    name: str = strawberry.field(description="What to call it, 1 to 60 characters.")


@strawberry.input(description="Another name.")
class RenamePasskeyInput:
    id: strawberry.ID = strawberry.field(description="The passkey's id.")
    name: str = strawberry.field(description="The name, 1 to 60 characters.")


@strawberry.input(description="A passkey that is not needed any more.")
class DeletePasskeyInput:
    id: strawberry.ID = strawberry.field(description="The passkey's id.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="What the passkey signed.")
class FinishPasskeyLogInInput:
    challenge: str = strawberry.field(description="`challenge` of the beginning.")
    credential: JSON = strawberry.field(description="`credential.toJSON()`.")
    delivery: TokenDelivery = strawberry.field(default=TokenDelivery.COOKIE, description=_DELIVERY)
    device_name: str | None = strawberry.field(default=None, description=_DEVICE)


@strawberry.input(name="BeginOAuthInput", description="A provider, and what it is asked for.")
class BeginOAuthInput:
    provider: str = strawberry.field(description="Key of the provider, as in `oauthProviders`.")
    purpose: OAuthPurpose = strawberry.field(
        default=OAuthPurpose.LOG_IN, description="To link, be signed in and give a step-up proof."
    )
    redirect_uri: URL = strawberry.field(description="The page people come back to; it must be an allowed one.")
    step_up_proof: str | None = strawberry.field(default=None, description=f"{_PROOF} For LINK only.")


@strawberry.input(name="FinishOAuthInput", description="What came back from the provider.")
class FinishOAuthInput:
    state: str = strawberry.field(description="`state` of the query.")
    code: str = strawberry.field(description="`code` of the query.")
    delivery: TokenDelivery = strawberry.field(default=TokenDelivery.COOKIE, description=_DELIVERY)
    device_name: str | None = strawberry.field(default=None, description=_DEVICE)


@strawberry.input(name="UnlinkOAuthInput", description="An identity that is not needed any more.")
class UnlinkOAuthInput:
    id: strawberry.ID = strawberry.field(description="The identity's id.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="A new API key.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="What to call it, 1 to 60 characters.")
    scopes: list[ApiScope] = strawberry.field(description="What it may do.")
    ip_allowlist: list[str] | None = strawberry.field(
        default=None, description="Addresses and networks it may be used from; WITHDRAW needs some."
    )
    expires_at: datetime | None = strawberry.field(default=None, description="When it ends by itself.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="Changes of an API key.")
class UpdateApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The key's id.")
    name: str | None = strawberry.field(default=None, description="What to call it.")
    ip_allowlist: list[str] | None = strawberry.field(default=None, description="The whole new list.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="An API key that is not needed any more.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The key's id.")


@strawberry.input(description="Who asks for the emergency lock.")
class FreezeAccountInput:
    token: str | None = strawberry.field(
        default=None, description="From the link in a security mail; without it, be signed in."
    )


@strawberry.input(description="The end of a freeze.")
class UnfreezeAccountInput:
    step_up_proof: str = strawberry.field(description=_PROOF)


@strawberry.input(description="The end of an account.")
class DeleteAccountInput:
    step_up_proof: str = strawberry.field(description=_PROOF)


@strawberry.input(description="An operator's decision about an account.")
class SetUserStatusInput:
    id: strawberry.ID = strawberry.field(description="The account's id, as in `admin { users }`.")
    status: UserStatus = strawberry.field(description="ACTIVE, FROZEN or SUSPENDED.")
    reason: str = strawberry.field(description="Why, for the audit log; its owner can read it.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)
