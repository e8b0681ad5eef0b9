"""Linking wallets, and signing in by them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.ids import key_in
from graph.context import Context
from graph.types.auth import LogInPayload
from graph.types.wallet import (
    BeginWalletLogInInput,
    CreateLinkChallengeInput,
    FinishWalletLogInInput,
    LinkChallenge,
    LinkWalletInput,
    RenameWalletInput,
    UnlinkWalletInput,
    Wallet,
    WalletActivity,
)
from graph.types.wallet_payloads import LinkChallengePayload, WalletPayload
from resolvers.sessions import log_in_payload, wish_of
from resolvers.viewers import present, viewer_of
from services.wallet_challenges import AskedSignature

Info = strawberry.Info[Context, None]


async def create_link_challenge(
    info: Info, input: Annotated[CreateLinkChallengeInput, strawberry.argument(description="Which wallet.")]
) -> LinkChallengePayload:
    asked = await info.context.accounts.wallets.begin_link(
        viewer_of(info), input.family, input.address, input.chain_id, info.context.client
    )
    return _challenge_payload(asked)


async def link_wallet(
    info: Info, input: Annotated[LinkWalletInput, strawberry.argument(description="What was signed.")]
) -> WalletPayload:
    row = await info.context.accounts.wallets.link(
        viewer_of(info),
        input.family,
        input.address,
        message=input.message,
        signature=input.signature,
        name=input.name,
        client=info.context.client,
    )
    return WalletPayload(wallet=Wallet.of(row), viewer=await present(info))


async def rename_wallet(
    info: Info, input: Annotated[RenameWalletInput, strawberry.argument(description="The name.")]
) -> WalletPayload:
    row = await info.context.accounts.wallets.rename(
        viewer_of(info), key_in(input.id, "Wallet"), input.name, info.context.client
    )
    return WalletPayload(wallet=Wallet.of(row), viewer=await present(info))


async def unlink_wallet(
    info: Info, input: Annotated[UnlinkWalletInput, strawberry.argument(description="The wallet.")]
) -> WalletPayload:
    row = await info.context.accounts.wallets.unlink(viewer_of(info), key_in(input.id, "Wallet"), info.context.client)
    return WalletPayload(wallet=Wallet.of(row), viewer=await present(info))


async def begin_wallet_log_in(
    info: Info, input: Annotated[BeginWalletLogInInput, strawberry.argument(description="Which wallet.")]
) -> LinkChallengePayload:
    asked = await info.context.accounts.wallet_log_in.begin(
        input.family, input.address, input.chain_id, info.context.client
    )
    return _challenge_payload(asked)


async def finish_wallet_log_in(
    info: Info, input: Annotated[FinishWalletLogInInput, strawberry.argument(description="What was signed.")]
) -> LogInPayload:
    wish = wish_of(info, input.delivery, input.device_name)
    result = await info.context.accounts.wallet_log_in.finish(
        input.family,
        input.address,
        message=input.message,
        signature=input.signature,
        wish=wish,
        client=info.context.client,
    )
    return log_in_payload(info, result)


async def wallet_activity(
    info: Info,
    wallet_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="One of your wallets; without it, all that you have at any time."),
    ] = None,
) -> AsyncGenerator[WalletActivity, None]:
    wanted = None if wallet_id is None else key_in(wallet_id, "Wallet") or ""
    viewer = viewer_of(info)
    await info.context.transfers.count(viewer, info.context.client)
    streams = info.context.wallet_views.streams
    async with aclosing(streams.watch(viewer.user_id, wanted)) as movements:
        async for moved in movements:
            yield WalletActivity.of(Wallet.of(moved.wallet), moved.movement)


def _challenge_payload(asked: AskedSignature) -> LinkChallengePayload:
    challenge = LinkChallenge(message=asked.message, nonce=asked.nonce, expires_at=to_datetime(asked.expires_ms))
    return LinkChallengePayload(challenge=challenge)
