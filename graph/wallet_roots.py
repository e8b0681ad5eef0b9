"""The roots of linked wallets: parts of the roots in `graph/schema.py`."""

from collections.abc import AsyncGenerator

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, subscription
from graph.step_up import StepUpDemanded
from graph.types.auth import LogInPayload
from graph.types.wallet import WalletActivity
from graph.types.wallet_payloads import LinkChallengePayload, WalletPayload
from resolvers import wallets as wallet_resolvers


@strawberry.type
class WalletSubscription:
    wallet_activity: AsyncGenerator[WalletActivity, None] = subscription(
        wallet_resolvers.wallet_activity,
        "What moves from and to a wallet of yours, or all of them: what is not final yet, then every new movement, and again whenever its "
        "status or its confirmations change, until it is final. Steps in between may be left out for a slow reader, movements are not. What was sent from here is told at once as PENDING, "
        "and when it was REPLACED, DROPPED, REVERTED or FAILED, as `chainTransactionUpdated` tells it; `hash` joins it to what a block makes of it. EVM chains are read with every block, Bitcoin every 15 seconds, Solana every 30. It ends when the wallet is unlinked; with PROVIDER_UNAVAILABLE when no node of a chain has answered for a minute, with LIMIT_EXCEEDED when it would be too much. Of all wallets, those that cannot be followed at the moment are left out. Costs 50 points.",
        access=Access.SELF,
        scope=ApiScope.READ,
        cost=50,
    )


@strawberry.type
class WalletMutation:
    begin_wallet_log_in: LinkChallengePayload = mutation(
        wallet_resolvers.begin_wallet_log_in,
        "What a wallet is to sign to sign its owner in. The answer is the same whether the wallet is linked or not.",
        access=Access.ANYONE,
        alone=True,
    )
    finish_wallet_log_in: LogInPayload = mutation(
        wallet_resolvers.finish_wallet_log_in,
        "Sign in by what a linked wallet has signed. Gives a session, or the challenge for a second factor.",
        access=Access.ANYONE,
        alone=True,
    )
    create_link_challenge: LinkChallengePayload = mutation(
        wallet_resolvers.create_link_challenge,
        "What a wallet is to sign to be linked to your account.",
        access=Access.VERIFIED,
        alone=True,
    )
    link_wallet: WalletPayload = mutation(
        wallet_resolvers.link_wallet,
        "Link a wallet by what it has signed. Whoever holds it can sign in from then on; withdrawals are held for a while.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(second_factor=True),
        alone=True,
    )
    rename_wallet: WalletPayload = mutation(
        wallet_resolvers.rename_wallet, "Give a wallet another name.", access=Access.SESSION
    )
    unlink_wallet: WalletPayload = mutation(
        wallet_resolvers.unlink_wallet,
        "Forget a wallet. Nobody can sign in by it any more; withdrawals are held for a while.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
    )
