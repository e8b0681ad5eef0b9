"""Accounts for tests: everything real but the clock, the mail's last mile, and the price of a password."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from core.budget import MemoryBudget
from core.bus import Bus, MemoryBus
from core.cache import Cache, MemoryCache
from core.clock import Clock, ManualClock
from core.message_seal import MessageSeal
from core.rate_limits import Limit, RateLimits
from core.secret_box import SecretBox
from core.settings import Settings
from core.vocabulary import MarketDataOrigin
from core.wallet_vocabulary import ChainNetwork, SwapProvider
from graph.context import Services
from graph.request import ALL_OPERATIONS, Caller, GraphQLRequest, Outgoing, ShownCookies
from integrations.breaches.pwned_passwords import PwnedPasswords
from integrations.mail.base import Mail
from integrations.oauth.base import IdentityProvider
from integrations.swaps.base import SwapFollower, SwapSource
from models.chain import ChainEntry
from server.graphql_app import build_pipeline
from services import catalogue
from services.account_services import AccountParts, AccountRules, AccountServices, build_account_services
from services.catalogue import Catalogue
from services.chains import Chains
from services.exchange_gateway import ExchangeGateway, NoExchange
from services.funds_services import FundsParts, FundsRules, build_funds_services
from services.identities import redirect_rule
from services.liabilities import Liabilities
from services.liability_key import LiabilityKey
from services.mail_content import MailContent
from services.mail_delivery import MailDelivery
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads
from services.passkeys import PasskeySite
from services.passwords import PasswordHasher
from services.server_status import ServerState
from services.sessions import SessionLife
from services.trading_services import build_trading_services
from services.transfer_services import build_transfer_services
from services.valuation import usd_worth
from services.viewer import Client, Viewer
from services.wallet_challenges import WalletSite
from services.wallet_proofs.contract_wallets import ContractCalls, NoContractCalls
from services.wallet_views import build_wallet_views
from tests.custody import SOLANA_HOUSE, build_custody
from tests.swaps import build_swaps
from tests.trading import SmallExchange
from tests.trading_rows import FakeExchange, NoMarks

ISSUER = "https://api.vault.example"
PAGE = "https://app.vault.example"
PASSWORD = "a fine day for sailing"
BOX = SecretBox([bytes(range(32))])
CLIENT = Client(address="192.0.2.1", request_id="request-1", locale="en", user_agent="tests")
RULES = AccountRules(
    issuer=ISSUER,
    passkey_site=PasskeySite("vault.example", [PAGE]),
    session_life=SessionLife(7, 30),
    withdrawal_hold_hours=24,
    quote_assets=("BTC", "USD", "USDT"),
    allows_redirect=redirect_rule((), lambda origin: origin == PAGE),
    wallet_site=WalletSite(ISSUER, lambda origin: origin == PAGE),
    even_seconds=0,
)

_SETTINGS = Settings(_env_file=None)
_CONTENT = MailContent()


class NoLimits:
    """Lets everything pass, for tests about something else."""

    async def hit(self, _limit: Limit, _key: str) -> int | None:
        return None

    async def check(self, _limit: Limit, _key: str) -> int | None:
        return None


def build_accounts(
    *,
    clock: ManualClock | None = None,
    bus: Bus | None = None,
    cache: Cache | None = None,
    box: SecretBox = BOX,
    limits: RateLimits | None = None,
    providers: Mapping[str, IdentityProvider] | None = None,
    rules: AccountRules = RULES,
    gateway: ExchangeGateway | None = None,
    chains: Mapping[str, ChainEntry] | None = None,
    contracts: ContractCalls | None = None,
) -> AccountServices:
    """Account services with cheap hashes. Nothing is read before `load`."""
    time = clock or ManualClock()
    parts = AccountParts(
        clock=time,
        bus=bus or MemoryBus(),
        cache=cache or MemoryCache(time),
        cache_seal=MessageSeal(box, "cache"),
        box=box,
        limits=limits or NoLimits(),
        hasher=PasswordHasher(memory_kib=8, workers=2),
        breaches=PwnedPasswords(None, clock=time),
        providers=providers or {},
        gateway=gateway or NoExchange(),
        chains=catalogue.read_files().chains if chains is None else chains,
        contracts=contracts or NoContractCalls(),
    )
    return build_account_services(rules, parts)


class Letterbox:
    """A mail provider that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in: what they would show over HTTP."""

    user_id: str
    viewer: Viewer
    access: str
    refresh: str


class World:
    """One process on the test's database: services, the real schema in front of them, and a letterbox."""

    def __init__(
        self,
        *,
        limits: RateLimits | None = None,
        providers: Mapping[str, IdentityProvider] | None = None,
        gateway: ExchangeGateway | None = None,
        bus: MemoryBus | None = None,
        chains: Mapping[str, ChainEntry] | None = None,
        contracts: ContractCalls | None = None,
        known: Catalogue | None = None,
        reached: Callable[[Catalogue, Clock], Chains] | None = None,
        network: ChainNetwork = ChainNetwork.MAINNET,
        cold: Mapping[str, frozenset[str]] | None = None,
        aggregators: Sequence[SwapSource] = (),
        followers: dict[SwapProvider, SwapFollower] | None = None,
    ) -> None:
        self.clock = ManualClock(1_790_000_000_000)
        self.bus = bus or MemoryBus()
        self.letters = Letterbox()
        self.gateway = gateway or SmallExchange(self.bus)
        self.accounts = build_accounts(
            clock=self.clock,
            bus=self.bus,
            limits=limits or NoLimits(),
            providers=providers,
            gateway=self.gateway,
            chains=chains,
            contracts=contracts,
        )
        known = known or catalogue.read_files(network)
        known.chains = {**known.chains, **(chains or {})}
        self.trading = build_trading_services(
            gateway=self.gateway,
            bus=self.bus,
            cache=MemoryCache(self.clock),
            clock=self.clock,
            catalogue=known,
            audit=self.accounts.audit,
        )
        view, exchange_view = (
            MarketView(self.bus, known, process="this process", observer=_NoLosses(), origin=origin)
            for origin in (MarketDataOrigin.REFERENCE, MarketDataOrigin.EXCHANGE)
        )
        self.exchange = FakeExchange()
        self.marks = NoMarks()
        self.view = view
        self.funds = build_funds_services(
            FundsRules(test_funds_allowed=True, test_funds_daily=Decimal(100_000)),
            FundsParts(self.exchange, self.marks, self.bus, self.clock, known, view),
        )
        self.chains = Chains(known.chains, {}, self.clock) if reached is None else reached(known, self.clock)
        self.custody = build_custody(
            gateway=self.gateway,
            accounts=self.funds.accounts,
            marks=self.marks,
            catalogue=known,
            bus=self.bus,
            clock=self.clock,
            audit=self.accounts.audit,
            in_control=self.accounts.wallet_control.recheck_address,
            chains=self.chains,
            cold=cold,
        )
        self.catalogue = known
        wallet_views = build_wallet_views(known, self.chains, self.bus, self.clock)
        self.transfers = build_transfer_services(
            self.chains,
            wallet_views.tokens,
            usd_worth(self.funds.valuation),
            limits=limits or NoLimits(),
            bus=self.bus,
            clock=self.clock,
            shared={"solana": (SOLANA_HOUSE,)},
        )
        self.swaps = build_swaps(
            catalogue=known,
            chains=self.chains,
            clock=self.clock,
            limits=limits or NoLimits(),
            sources=aggregators,
            followers=followers,
            sending=self.transfers,
            bus=self.bus,
        )
        self.pipeline = build_pipeline(
            settings=_SETTINGS,
            clock=self.clock,
            cache=MemoryCache(self.clock),
            services=Services(
                catalogue=known,
                view=view,
                exchange_view=exchange_view,
                markets=MarketReads(known, view),
                market_data=MarketDataReads(view, exchange_view),
                accounts=self.accounts,
                trading=self.trading,
                funds=self.funds,
                liabilities=Liabilities(LiabilityKey(BOX)),
                custody=self.custody,
                chains=self.chains,
                swaps=self.swaps,
                wallet_views=wallet_views,
                transfers=self.transfers,
                server_status=_no_status,
            ),
            budget=MemoryBudget(self.clock, per_minute=60_000_000),
        )
        self._delivery = MailDelivery(
            provider=self.letters,
            box=BOX,
            clock=self.clock,
            content=_CONTENT,
            sender="CryptoVault <no-reply@vault.example>",
            pages_url=f"{PAGE}/account",
        )

    async def ask(self, query: str, person: Person | None = None, **variables: Any) -> dict[str, Any]:
        """The whole answer to an operation of this person, or of a stranger."""
        return await self.ask_as(self.caller(person), query, **variables)

    async def ask_as(self, caller: Caller, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to an operation of this caller."""
        answer = await self.pipeline.execute(GraphQLRequest(query, variables=variables), caller, allowed=ALL_OPERATIONS)
        return answer.body

    async def data(self, query: str, person: Person | None = None, **variables: Any) -> dict[str, Any]:
        """The data of an answer without top-level errors."""
        body = await self.ask(query, person, **variables)
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def caller(self, person: Person | None = None, *, client: Client = CLIENT) -> Caller:
        """A caller as the HTTP transport makes it."""
        viewer = None if person is None else person.viewer
        return Caller(client, "http", viewer, ShownCookies(), Outgoing())

    async def current(self, person: Person) -> Person:
        """The person with their authority as it is now."""
        return replace(person, viewer=await self.accounts.authority.viewer_of(person.access, CLIENT))

    async def mail(self, subject_part: str = "") -> Mail:
        """Send what is due; the newest mail whose subject holds this."""
        await self.deliver()
        found = [mail for mail in self.letters.mails if subject_part in mail.subject]
        assert found, [mail.subject for mail in self.letters.mails]
        return found[-1]

    async def deliver(self) -> None:
        """Send what is due."""
        for mail_id in await self._delivery.due(100):
            await self._delivery.deliver(mail_id)

    async def token(self, path: str) -> str:
        """Send what is due; the token of the newest link to this page: `verify-email`, `reset-password` or `freeze`."""
        await self.deliver()
        links = [
            word
            for mail in self.letters.mails
            for word in mail.text.split()
            if word.startswith(f"{PAGE}/account/{path}#token=")
        ]
        assert links, [mail.subject for mail in self.letters.mails]
        return links[-1].partition("#token=")[2]

    async def signed_up(self, email: str, *, verified: bool = True, password: str = PASSWORD) -> Person:
        """Somebody new, signed in."""
        await self.data(SIGN_UP, email=email, password=password)
        if verified:
            token = await self.token("verify-email")
            await self.data(
                "mutation($token: String!) { verifyEmail(input: {token: $token}) { errors { code } } }", token=token
            )
        return await self.logged_in(email, password=password)

    async def logged_in(self, email: str, *, password: str = PASSWORD, client: Client = CLIENT) -> Person:
        """Somebody with an account, signed in once more."""
        body = await self.ask_as(self.caller(client=client), LOG_IN, email=email, password=password)
        payload = body["data"]["logIn"]
        assert payload["errors"] == [], payload
        return await self.person(payload["tokens"])

    async def person(self, tokens: Mapping[str, str]) -> Person:
        """Whoever holds these tokens."""
        viewer = await self.accounts.authority.viewer_of(tokens["accessToken"], CLIENT)
        return Person(viewer.user_id, viewer, tokens["accessToken"], tokens["refreshToken"])

    async def proof(self, person: Person, operation: str, parameters: dict[str, Any], **factor: Any) -> str:
        """A step-up proof, by password unless another factor is given."""
        data = await self.data(
            REAUTHENTICATE,
            person,
            operation=operation,
            parameters=parameters,
            proof=factor or {"password": PASSWORD},
        )
        payload = data["reauthenticate"]
        assert payload["errors"] == [], payload
        return str(payload["stepUpProof"])


SIGN_UP = """mutation($email: String!, $password: String!) {
  signUp(input: {email: $email, password: $password}) { viewer { id } errors { code field message } }
}"""
LOG_IN = """mutation($email: String!, $password: String!) {
  logIn(input: {email: $email, password: $password, delivery: VALUES}) {
    viewer { id email emailVerified }
    session { id current method }
    tokens { accessToken refreshToken expiresAt refreshExpiresAt }
    challenge { token factors passkeyOptions expiresAt }
    errors { code field message retryAfter }
  }
}"""
REAUTHENTICATE = """mutation($operation: String!, $parameters: JSON!, $proof: StepUpFactorInput!) {
  reauthenticate(input: {operation: $operation, parameters: $parameters, proof: $proof}) {
    stepUpProof expiresAt errors { code field message }
  }
}"""


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    """A world that is loaded and hears its bus."""
    made = World(**options)
    await made.accounts.load()
    yield made


class _NoLosses:
    def conflated(self, stream: str, messages: int = 1) -> None:
        """Nothing is slow here."""

    def dropped(self, stream: str, messages: int = 1) -> None:
        """Nothing is slow here."""

    def bus_gap(self) -> None:
        """Nothing is lost here."""


async def _no_status() -> ServerState:
    raise LookupError("no test asks for the server's state here")
