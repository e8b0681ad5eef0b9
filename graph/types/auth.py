"""What signing in gives: tokens, challenges, refusals as data, and the payloads that carry them."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry.scalars import JSON

from core.account_vocabulary import AuthFactor
from core.refusals import Refused
from graph.scalars import URL
from graph.types.errors import ERRORS, AuthError
from graph.types.security import Passkey
from graph.types.session import ApiKey, Session
from graph.types.user import User


@strawberry.type(description="Tokens of a session, for a program that asked for VALUES.")
class AuthTokens:
    access_token: str = strawberry.field(
        description="Send it as `Authorization: Bearer …`, or as `authorization` in the socket's connection_init."
    )
    refresh_token: str = strawberry.field(description="Does once, for `refreshSession`. Keep it secret.")
    expires_at: datetime = strawberry.field(description="End of the access token.")
    refresh_expires_at: datetime = strawberry.field(description="End of the session, unless it is refreshed before.")


@strawberry.type(description="The password was right; a second factor is needed.")
class TwoFactorChallenge:
    token: str = strawberry.field(description="What `completeTwoFactor` takes.")
    factors: list[AuthFactor] = strawberry.field(description="Any one of these does.")
    passkey_options: JSON | None = strawberry.field(
        description="For `navigator.credentials.get`; null without passkeys."
    )
    expires_at: datetime = strawberry.field(description="Until when, and for five tries.")


class Refusable:
    """A payload that can say why nothing was done."""

    @classmethod
    def refused(cls, refused: Refused, locale: str) -> Self:
        """Nothing but a refusal."""
        return cls(errors=[AuthError.of(refused, locale)])  # type: ignore[call-arg]


@strawberry.type(description="An account after a change.")
class AuthPayload(Refusable):
    viewer: User | None = strawberry.field(default=None, description="The account; null when nobody is signed in.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A session, or what is still needed for one.")
class LogInPayload(Refusable):
    viewer: User | None = strawberry.field(default=None, description="The account that is signed in now.")
    session: Session | None = strawberry.field(default=None, description="The session.")
    tokens: AuthTokens | None = strawberry.field(default=None, description="Tokens, when VALUES was asked for.")
    challenge: TwoFactorChallenge | None = strawberry.field(
        default=None, description="What is still needed; there is no session then."
    )
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A step-up proof.")
class ReauthenticatePayload(Refusable):
    step_up_proof: str | None = strawberry.field(default=None, description="Give it to the mutation. Does once.")
    expires_at: datetime | None = strawberry.field(default=None, description="Until when.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="What an authenticator app needs, in three forms.")
class EnrollTotpPayload(Refusable):
    secret: str | None = strawberry.field(default=None, description="To type in.")
    otpauth_uri: str | None = strawberry.field(default=None, description="To open in the app.")
    qr_svg: str | None = strawberry.field(default=None, description="To scan: an SVG image.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="Recovery codes, shown this once.")
class RecoveryCodesPayload(Refusable):
    viewer: User | None = strawberry.field(default=None, description="The account.")
    recovery_codes: list[str] | None = strawberry.field(default=None, description="Ten codes, each for one use.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="Options for the browser's WebAuthn call.")
class PasskeyOptionsPayload(Refusable):
    options: JSON | None = strawberry.field(
        default=None, description="For `PublicKeyCredential.parse…OptionsFromJSON` and `navigator.credentials`."
    )
    challenge: str | None = strawberry.field(default=None, description="What the finishing mutation takes.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A passkey after a change.")
class PasskeyPayload(Refusable):
    passkey: Passkey | None = strawberry.field(default=None, description="The passkey.")
    viewer: User | None = strawberry.field(default=None, description="The account.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(name="BeginOAuthPayload", description="Where to send the person.")
class BeginOAuthPayload(Refusable):
    authorization_url: URL | None = strawberry.field(default=None, description="The provider's page.")
    state: str | None = strawberry.field(
        default=None, description="Comes back with the code; `finishOAuth` takes both."
    )
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A new API key.")
class CreateApiKeyPayload(Refusable):
    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    secret: str | None = strawberry.field(default=None, description="What the program shows. Not to be had again.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="An API key after a change.")
class ApiKeyPayload(Refusable):
    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    errors: list[AuthError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="Whether a mailed token could be used now.")
class TokenState:
    valid: bool = strawberry.field(description="Whether it could.")
    expires_at: datetime | None = strawberry.field(description="Until when; null when it could not.")
