"""API keys."""

from typing import Annotated

import strawberry

from core.clock import to_ms
from graph.context import Context
from graph.types.auth import ApiKeyPayload, CreateApiKeyPayload
from graph.types.auth_inputs import CreateApiKeyInput, RevokeApiKeyInput, UpdateApiKeyInput
from graph.types.session import ApiKey
from resolvers.ids import key_of
from resolvers.viewers import viewer_of
from services.api_keys import WantedKey

Info = strawberry.Info[Context, None]


async def create_api_key(
    info: Info, input: Annotated[CreateApiKeyInput, strawberry.argument(description="The key.")]
) -> CreateApiKeyPayload:
    wanted = WantedKey(
        name=input.name,
        scopes=input.scopes,
        ip_allowlist=input.ip_allowlist or [],
        expires_ms=None if input.expires_at is None else to_ms(input.expires_at),
    )
    row, secret = await info.context.accounts.api_keys.create(viewer_of(info), wanted, info.context.client)
    return CreateApiKeyPayload(api_key=ApiKey.of(row), secret=secret)


async def update_api_key(
    info: Info, input: Annotated[UpdateApiKeyInput, strawberry.argument(description="The changes.")]
) -> ApiKeyPayload:
    row = await info.context.accounts.api_keys.update(
        viewer_of(info),
        key_of(input.id, "ApiKey"),
        info.context.client,
        name=input.name,
        ip_allowlist=input.ip_allowlist,
    )
    return ApiKeyPayload(api_key=ApiKey.of(row))


async def revoke_api_key(
    info: Info, input: Annotated[RevokeApiKeyInput, strawberry.argument(description="The key.")]
) -> ApiKeyPayload:
    row = await info.context.accounts.api_keys.revoke(viewer_of(info), key_of(input.id, "ApiKey"), info.context.client)
    return ApiKeyPayload(api_key=ApiKey.of(row))
