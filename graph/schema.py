"""The whole surface. It and the `*_roots` it is put together from are the only modules that know the resolvers."""

from collections.abc import AsyncGenerator
from functools import cache
from operator import attrgetter

import strawberry
from strawberry.schema.config import StrawberryConfig

from core.account_vocabulary import ApiScope, OAuthPurpose
from graph.access import Access
from graph.broadcast import BROADCAST
from graph.chain_roots import ChainQuery
from graph.custody_roots import CustodyMutation, CustodyQuery, CustodySubscription
from graph.directives import Cost
from graph.execution import PipelineSchema
from graph.fields import mutation, query, subscription
from graph.inputs import build_straight
from graph.operator_roots import OperatorMutation, OperatorQuery
from graph.public_data import MarketSource, public
from graph.scalars import SCALARS
from graph.step_up import StepUpDemanded
from graph.swap_roots import SwapMutation, SwapQuery, SwapSubscription
from graph.trading_roots import TradingMutation, TradingQuery, TradingSubscription
from graph.transfer_roots import TransferMutation, TransferQuery, TransferSubscription
from graph.trust_roots import TrustQuery
from graph.types.account_event import KINDS, AccountEvent, kind_and_place
from graph.types.asset import Asset
from graph.types.auth import (
    ApiKeyPayload,
    AuthPayload,
    BeginOAuthPayload,
    CreateApiKeyPayload,
    EnrollTotpPayload,
    LogInPayload,
    PasskeyOptionsPayload,
    PasskeyPayload,
    ReauthenticatePayload,
    RecoveryCodesPayload,
    TokenState,
)
from graph.types.balance import Balance, BalancesPayload
from graph.types.candle import Candle
from graph.types.connection import Connection
from graph.types.market import Market
from graph.types.node import Node
from graph.types.order_book import OrderBookUpdate
from graph.types.portfolio import Portfolio
from graph.types.price import PriceTick
from graph.types.security import ExternalIdentity, OAuthProvider, Passkey
from graph.types.server import CostEstimate, ServerStatus
from graph.types.session import ApiKey, Session
from graph.types.ticker import Ticker
from graph.types.trade import Trade
from graph.types.transaction import Transaction
from graph.types.user import User
from graph.types.wallet import Wallet
from graph.wallet_roots import WalletMutation, WalletSubscription
from resolvers import accounts as account_resolvers
from resolvers import api_keys as api_key_resolvers
from resolvers import assets as asset_resolvers
from resolvers import factors as factor_resolvers
from resolvers import funds as fund_resolvers
from resolvers import identities as identity_resolvers
from resolvers import market_live
from resolvers import markets as market_resolvers
from resolvers import nodes as node_resolvers
from resolvers import server as server_resolvers
from resolvers import sessions as session_resolvers


@strawberry.type(description="Everything that can be read.")
class Query(OperatorQuery, TradingQuery, CustodyQuery, ChainQuery, SwapQuery, TransferQuery, TrustQuery):
    node: Node | None = strawberry.field(
        resolver=node_resolvers.node, description="Any object by its id; null when there is none (any more)."
    )
    nodes: list[Node | None] | None = strawberry.field(
        resolver=node_resolvers.nodes, description="Several objects by their ids, in the order asked."
    )
    status: ServerStatus | None = strawberry.field(
        resolver=server_resolvers.status, description="The server's own state."
    )
    assets: Connection[Asset] | None = strawberry.field(
        resolver=asset_resolvers.assets,
        description="Assets by code. At most 500 a page, 50 without a size.",
        metadata=public(MarketSource.CATALOGUE),
    )
    asset: Asset | None = strawberry.field(
        resolver=asset_resolvers.asset,
        description="One asset; null with UNKNOWN_ASSET when there is none.",
        metadata=public(MarketSource.CATALOGUE),
    )
    markets: Connection[Market] | None = strawberry.field(
        resolver=market_resolvers.markets,
        description="Markets. At most 500 a page, 50 without a size.",
        metadata=public(MarketSource.CATALOGUE, MarketSource.TICKER),
    )
    market: Market | None = strawberry.field(
        resolver=market_resolvers.market,
        description="One market; null with UNKNOWN_MARKET when there is none.",
        metadata=public(MarketSource.CATALOGUE),
    )
    estimate_cost: CostEstimate | None = strawberry.field(
        resolver=server_resolvers.estimate_cost,
        description="What an operation would cost, without running it. Costs 5 points.",
        directives=[Cost(points=5)],
    )
    viewer: User | None = query(
        account_resolvers.viewer,
        "The account that is signed in; null when nobody is.",
        scope=ApiScope.READ,
    )
    password_reset_token: TokenState | None = query(
        factor_resolvers.password_reset_token, "Whether a mailed token for a password could be used now."
    )
    oauth_providers: list[OAuthProvider] | None = query(
        identity_resolvers.oauth_providers, "External providers that sign people in here.", name="oauthProviders"
    )


@strawberry.type(description="Everything that can be watched. Each stream gives the current value first, then changes.")
class Subscription(
    TradingSubscription, CustodySubscription, WalletSubscription, TransferSubscription, SwapSubscription
):
    price_ticks: AsyncGenerator[PriceTick, None] = strawberry.subscription(
        resolver=market_resolvers.price_ticks,
        metadata={BROADCAST: market_live.price_ticks},
        description="Prices of markets. A reader that falls behind skips to the newest of each market.",
    )
    tickers: AsyncGenerator[Ticker, None] = strawberry.subscription(
        resolver=market_resolvers.tickers,
        metadata={BROADCAST: market_live.tickers},
        description="Last price, quotes and 24-hour figures. A reader that falls behind skips to the newest.",
    )
    order_book: AsyncGenerator[OrderBookUpdate, None] = strawberry.subscription(
        resolver=market_resolvers.order_book,
        metadata={BROADCAST: market_live.order_book},
        description="One snapshot of the window, then deltas that link without a gap; a new snapshot after any loss. "
        "Costs 5 points, and 1 for each event.",
        directives=[Cost(points=5, per_event=1)],
    )
    trades: AsyncGenerator[Trade, None] = strawberry.subscription(
        resolver=market_resolvers.trades,
        metadata={BROADCAST: market_live.trades},
        description="Every trade; never skips. A reader too far behind is ended with READER_TOO_SLOW, and one whose "
        "trades were lost inside the server with TRADES_MISSED: read them by query and subscribe again.",
    )
    candles: AsyncGenerator[Candle, None] = strawberry.subscription(
        resolver=market_resolvers.candles,
        metadata={BROADCAST: market_live.candles},
        description="The open candle as it changes, its closing, and later corrections by late trades.",
    )
    market_status_changed: AsyncGenerator[Market, None] = strawberry.subscription(
        resolver=market_resolvers.market_status_changed,
        metadata={BROADCAST: market_live.market_status_changed},
        description="Markets whose status changes.",
    )
    account_events: AsyncGenerator[AccountEvent, None] = subscription(
        account_resolvers.account_events,
        "Everything that happens to your account, without a gap: from now on, or after a cursor.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=kind_and_place,
    )
    balance_updated: AsyncGenerator[Balance, None] = subscription(
        fund_resolvers.balance_updated,
        "Your balances as they are, then every change. A reader that falls far behind is given them anew.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=attrgetter("state"),
    )
    portfolio_updated: AsyncGenerator[Portfolio, None] = subscription(
        fund_resolvers.portfolio_updated,
        "Your portfolio, and again when balances or prices changed a figure of it, at most once in a period.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )


@strawberry.type(description="Everything that can be changed.")
class Mutation(OperatorMutation, TradingMutation, CustodyMutation, WalletMutation, TransferMutation, SwapMutation):
    sign_up: AuthPayload = mutation(
        account_resolvers.sign_up,
        "Make an account. The answer is the same whether the address has one or not; the mail tells.",
        access=Access.ANYONE,
        alone=True,
    )
    verify_email: AuthPayload = mutation(
        account_resolvers.verify_email, "Prove an address by a mailed token.", access=Access.ANYONE, alone=True
    )
    resend_verification: AuthPayload = mutation(
        account_resolvers.resend_verification,
        "Mail the link again. The answer is the same for every address.",
        access=Access.ANYONE,
        alone=True,
    )
    log_in: LogInPayload = mutation(
        session_resolvers.log_in,
        "Sign in. Gives a session, or the challenge for a second factor.",
        access=Access.ANYONE,
        alone=True,
    )
    complete_two_factor: LogInPayload = mutation(
        session_resolvers.complete_two_factor, "Show the second factor.", access=Access.ANYONE, alone=True
    )
    refresh_session: LogInPayload = mutation(
        session_resolvers.refresh_session,
        "New tokens for a refresh token, which does once; shown again, it ends its session. "
        "Send no access token with it.",
        access=Access.ANYONE,
        alone=True,
    )
    log_out: AuthPayload = mutation(
        session_resolvers.log_out, "End this session, or all of them.", access=Access.ANYONE
    )
    revoke_session: AuthPayload = mutation(
        session_resolvers.revoke_session, "End one of your sessions.", access=Access.SESSION
    )
    request_password_reset: AuthPayload = mutation(
        factor_resolvers.request_password_reset,
        "Mail a link to set another password. The answer is the same for every address.",
        access=Access.ANYONE,
        alone=True,
    )
    reset_password: AuthPayload = mutation(
        factor_resolvers.reset_password,
        "Set another password by a mailed token. Ends all sessions; sign in anew.",
        access=Access.ANYONE,
        alone=True,
    )
    change_password: AuthPayload = mutation(
        factor_resolvers.change_password,
        "Set another password. Ends your other sessions.",
        access=Access.SESSION,
        step_up=StepUpDemanded(instead_of="current"),
        alone=True,
    )
    change_email: AuthPayload = mutation(
        account_resolvers.change_email,
        "Mail a link to a new address, which replaces the present one once it is opened.",
        access=Access.ACTIVE,
        step_up=StepUpDemanded(),
        alone=True,
    )
    update_profile: AuthPayload = mutation(
        account_resolvers.update_profile, "Change what you say of yourself.", access=Access.SESSION
    )
    reauthenticate: ReauthenticatePayload = mutation(
        factor_resolvers.reauthenticate,
        "Prove that it is you, for one mutation with these very parameters.",
        access=Access.SESSION,
        alone=True,
    )
    enroll_totp: EnrollTotpPayload = mutation(
        factor_resolvers.enroll_totp,
        "A secret for an authenticator app; it counts once `confirmTotp` has seen a code.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(),
        alone=True,
    )
    confirm_totp: RecoveryCodesPayload = mutation(
        factor_resolvers.confirm_totp,
        "Let the app's codes count from now on. Gives ten recovery codes, shown this once.",
        access=Access.VERIFIED,
        alone=True,
    )
    disable_totp: AuthPayload = mutation(
        factor_resolvers.disable_totp,
        "No codes by app any more, and no recovery codes.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
    )
    regenerate_recovery_codes: RecoveryCodesPayload = mutation(
        factor_resolvers.regenerate_recovery_codes,
        "Ten new recovery codes in the place of all old ones.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
    )
    begin_passkey_registration: PasskeyOptionsPayload = mutation(
        factor_resolvers.begin_passkey_registration,
        "Options for a new passkey.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(),
        alone=True,
    )
    finish_passkey_registration: PasskeyPayload = mutation(
        factor_resolvers.finish_passkey_registration,
        "Register what the authenticator made.",
        access=Access.VERIFIED,
        alone=True,
    )
    rename_passkey: PasskeyPayload = mutation(
        factor_resolvers.rename_passkey, "Give a passkey another name.", access=Access.SESSION
    )
    delete_passkey: PasskeyPayload = mutation(
        factor_resolvers.delete_passkey,
        "Forget a passkey.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
    )
    begin_passkey_log_in: PasskeyOptionsPayload = mutation(
        factor_resolvers.begin_passkey_log_in, "Options to sign in by a passkey.", access=Access.ANYONE, alone=True
    )
    finish_passkey_log_in: LogInPayload = mutation(
        factor_resolvers.finish_passkey_log_in,
        "Sign in by what a passkey has signed. A passkey is two factors.",
        access=Access.ANYONE,
        alone=True,
    )
    begin_oauth: BeginOAuthPayload = mutation(
        identity_resolvers.begin_oauth,
        "Start at an external provider. Linking needs a signed-in person with a proven address, and a step-up proof.",
        access=Access.ANYONE,
        step_up=StepUpDemanded(when=("purpose", OAuthPurpose.LINK), access=Access.VERIFIED),
        alone=True,
        name="beginOAuth",
    )
    finish_oauth: LogInPayload = mutation(
        identity_resolvers.finish_oauth,
        "Take the provider's answer: sign in, sign up, or link.",
        access=Access.ANYONE,
        alone=True,
        name="finishOAuth",
    )
    unlink_oauth: AuthPayload = mutation(
        identity_resolvers.unlink_oauth,
        "Forget an external identity.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
        name="unlinkOAuth",
    )
    create_api_key: CreateApiKeyPayload = mutation(
        api_key_resolvers.create_api_key,
        "Make an API key; its secret is shown this once.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(),
        alone=True,
    )
    update_api_key: ApiKeyPayload = mutation(
        api_key_resolvers.update_api_key,
        "Change name or address allow-list of an API key.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(),
        alone=True,
    )
    revoke_api_key: ApiKeyPayload = mutation(
        api_key_resolvers.revoke_api_key, "End an API key at once.", access=Access.SESSION
    )
    freeze_account: AuthPayload = mutation(
        account_resolvers.freeze_account,
        "The emergency lock: ends all sessions and API keys, and nothing moves until `unfreezeAccount`. "
        "Be signed in, or give the token of a security mail.",
        access=Access.ANYONE,
        alone=True,
    )
    unfreeze_account: AuthPayload = mutation(
        account_resolvers.unfreeze_account,
        "Lift your own freeze.",
        access=Access.SESSION,
        step_up=StepUpDemanded(),
        alone=True,
    )
    delete_account: AuthPayload = mutation(
        account_resolvers.delete_account,
        "Delete the account for good. docs/security.md says what is kept.",
        access=Access.ACTIVE,
        step_up=StepUpDemanded(),
        alone=True,
    )
    claim_test_funds: BalancesPayload = mutation(
        fund_resolvers.claim_test_funds,
        "Test funds, in a sandbox: of each asset as much a day (UTC) as is worth 100,000 USD, unless the server is set otherwise. "
        "What is beyond it is refused with QUANTITY_TOO_LARGE, and `limit` says what is left.",
        access=Access.SELF,
        scope=ApiScope.TRADE,
        idempotent="clientClaimId",
    )


@cache
def build_schema() -> PipelineSchema:
    """The schema as it is served, one for the process."""
    schema = PipelineSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ApiKey, Asset, ExternalIdentity, Market, Passkey, Session, Trade, Transaction, Wallet, *KINDS],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    build_straight(schema._schema)
    return schema
