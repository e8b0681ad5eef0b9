"""External identities."""

from typing import Annotated

import strawberry

from core.account_vocabulary import OAuthPurpose
from graph.access import NotSignedIn
from graph.context import Context
from graph.scalars import URL
from graph.types.auth import AuthPayload, BeginOAuthPayload, LogInPayload
from graph.types.auth_inputs import BeginOAuthInput, FinishOAuthInput, UnlinkOAuthInput
from graph.types.security import OAuthProvider
from resolvers.ids import key_of
from resolvers.sessions import log_in_payload, wish_of
from resolvers.viewers import account_payload, present, viewer_of
from services.identities import ProviderAnswer
from services.log_in import AskedSecondFactor, SignedIn

Info = strawberry.Info[Context, None]


async def oauth_providers(info: Info) -> list[OAuthProvider] | None:
    providers = info.context.accounts.identities.providers.values()
    return [OAuthProvider(key=provider.key, name=provider.name) for provider in providers]


async def begin_oauth(
    info: Info, input: Annotated[BeginOAuthInput, strawberry.argument(description="At which provider, and for what.")]
) -> BeginOAuthPayload:
    viewer = info.context.viewer
    if input.purpose is OAuthPurpose.LINK and viewer is None:
        raise NotSignedIn("sign in first")
    begun = await info.context.accounts.identities.begin(
        input.provider,
        input.purpose,
        input.redirect_uri,
        info.context.client,
        viewer,
        browser_token=info.context.cookies.browser_token,
    )
    if info.context.outgoing is not None:
        info.context.outgoing.browser_token = begun.browser_token
    return BeginOAuthPayload(authorization_url=URL(begun.url), state=begun.state)


async def finish_oauth(
    info: Info, input: Annotated[FinishOAuthInput, strawberry.argument(description="What came back.")]
) -> LogInPayload:
    wish = wish_of(info, input.delivery, input.device_name)
    answer = ProviderAnswer(input.state, input.code, info.context.cookies.browser_token)
    result = await info.context.accounts.identities.finish(answer, wish, info.context.client, info.context.viewer)
    if isinstance(result, SignedIn | AskedSecondFactor):
        return log_in_payload(info, result)
    return LogInPayload(viewer=await present(info))


async def unlink_oauth(
    info: Info, input: Annotated[UnlinkOAuthInput, strawberry.argument(description="The identity.")]
) -> AuthPayload:
    identity_id = key_of(input.id, "ExternalIdentity")
    await info.context.accounts.identities.unlink(viewer_of(info), identity_id, info.context.client)
    return await account_payload(info)
