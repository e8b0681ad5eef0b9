"""Everything about accounts, put together: what each part needs is handed to it here and nowhere else."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from core.bus import Bus
from core.cache import Cache
from core.clock import Clock
from core.message_seal import MessageSeal
from core.rate_limits import RateLimits
from core.secret_box import SecretBox
from integrations.breaches.pwned_passwords import PwnedPasswords
from integrations.oauth.base import IdentityProvider
from models.chain import ChainEntry
from services.access_tokens import AccessTokens
from services.account_reads import AccountReads
from services.account_states import AccountStates
from services.accounts import Accounts
from services.api_key_states import ApiKeyStates
from services.api_keys import ApiKeys
from services.audit import AuditLog
from services.authority import Authority
from services.challenges import Challenges
from services.common_passwords import CommonPasswords
from services.devices import Devices
from services.exchange_gateway import ExchangeGateway
from services.freezes import Freezes
from services.frozen_accounts import FrozenAccounts
from services.holds import Holds
from services.identities import Identities
from services.last_use import LastUse
from services.log_in import LogIn
from services.log_in_guard import LogInGuard
from services.mail import Mailbox
from services.passkeys import Passkeys, PasskeySite
from services.password_changes import PasswordChanges
from services.passwords import PasswordHasher, Passwords
from services.revocations import Revocations
from services.sessions import SessionLife, Sessions
from services.step_up import StepUp
from services.throttles import Throttles
from services.two_factor import TwoFactor
from services.wallet_challenges import WalletChallenges, WalletSite
from services.wallet_control import WalletControl
from services.wallet_log_in import WalletLogIn
from services.wallet_proofs.contract_wallets import ContractCalls
from services.wallets import WalletChains, Wallets


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the configuration decides about accounts."""

    issuer: str
    """Who signs access tokens: the public URL of this API."""
    passkey_site: PasskeySite
    session_life: SessionLife
    withdrawal_hold_hours: int
    quote_assets: Collection[str]
    allows_redirect: Callable[[str], bool]
    wallet_site: WalletSite
    even_seconds: float


@dataclass(frozen=True, slots=True)
class AccountParts:
    """What accounts are built on."""

    clock: Clock
    bus: Bus
    cache: Cache
    cache_seal: MessageSeal
    box: SecretBox
    limits: RateLimits
    hasher: PasswordHasher
    breaches: PwnedPasswords
    providers: Mapping[str, IdentityProvider]
    gateway: ExchangeGateway
    chains: Mapping[str, ChainEntry]
    contracts: ContractCalls


@dataclass(frozen=True, slots=True)
class AccountServices:
    """The parts that resolvers and transports use."""

    reads: AccountReads
    tokens: AccessTokens
    revocations: Revocations
    authority: Authority
    last_use: LastUse
    accounts: Accounts
    log_in: LogIn
    sessions: Sessions
    password_changes: PasswordChanges
    two_factor: TwoFactor
    passkeys: Passkeys
    identities: Identities
    wallets: Wallets
    wallet_control: WalletControl
    wallet_log_in: WalletLogIn
    step_up: StepUp
    api_keys: ApiKeys
    freezes: Freezes
    frozen: FrozenAccounts
    audit: AuditLog

    async def load(self) -> None:
        """Read what must be known before the first request. Raises PyMongoError, SealBroken."""
        await self.tokens.load()
        await self.revocations.load()


def build_account_services(rules: AccountRules, parts: AccountParts) -> AccountServices:
    """Put everything together; nothing is read yet."""
    clock, bus = parts.clock, parts.bus
    audit = AuditLog(parts.box, bus, clock)
    mailbox = Mailbox(bus, clock)
    throttles = Throttles(parts.limits)
    holds = Holds(clock, rules.withdrawal_hold_hours)
    challenges = Challenges(clock)
    devices = Devices(clock)
    guard = LogInGuard(throttles, clock)
    passwords = Passwords(parts.hasher, CommonPasswords.load(), parts.breaches)
    revocations = Revocations(bus, clock)
    states = AccountStates(revocations, bus, parts.cache, clock, parts.cache_seal)
    frozen = FrozenAccounts(parts.gateway, clock)
    tokens = AccessTokens(parts.box, clock, issuer=rules.issuer)
    last_use = LastUse(clock)
    authority = Authority(
        tokens=tokens,
        states=states,
        keys=ApiKeyStates(revocations, clock),
        revocations=revocations,
        last_use=last_use,
        clock=clock,
    )
    sessions = Sessions(
        tokens=tokens,
        revocations=revocations,
        throttles=throttles,
        audit=audit,
        mailbox=mailbox,
        clock=clock,
        life=rules.session_life,
    )
    api_keys = ApiKeys(audit=audit, mailbox=mailbox, bus=bus, clock=clock)
    accounts = Accounts(
        passwords=passwords,
        sessions=sessions,
        api_keys=api_keys,
        states=states,
        frozen=frozen,
        devices=devices,
        throttles=throttles,
        audit=audit,
        mailbox=mailbox,
        holds=holds,
        clock=clock,
        quote_assets=rules.quote_assets,
        even_seconds=rules.even_seconds,
    )
    two_factor = TwoFactor(box=parts.box, throttles=throttles, audit=audit, mailbox=mailbox, holds=holds, clock=clock)
    passkeys = Passkeys(
        rules.passkey_site, challenges=challenges, audit=audit, mailbox=mailbox, holds=holds, clock=clock
    )
    log_in = LogIn(
        hasher=parts.hasher,
        guard=guard,
        sessions=sessions,
        two_factor=two_factor,
        passkeys=passkeys,
        challenges=challenges,
        devices=devices,
        throttles=throttles,
        audit=audit,
        mailbox=mailbox,
        clock=clock,
        even_seconds=rules.even_seconds,
    )
    wallet_challenges = WalletChallenges(rules.wallet_site, clock)
    wallet_chains = WalletChains(parts.chains)
    wallet_control = WalletControl(wallet_chains, parts.contracts)
    return AccountServices(
        reads=AccountReads(clock, states),
        tokens=tokens,
        revocations=revocations,
        authority=authority,
        last_use=last_use,
        accounts=accounts,
        log_in=log_in,
        sessions=sessions,
        password_changes=PasswordChanges(
            accounts=accounts,
            passwords=passwords,
            sessions=sessions,
            guard=guard,
            devices=devices,
            throttles=throttles,
            audit=audit,
            mailbox=mailbox,
            holds=holds,
            clock=clock,
            even_seconds=rules.even_seconds,
        ),
        two_factor=two_factor,
        passkeys=passkeys,
        identities=Identities(
            parts.providers,
            allows_redirect=rules.allows_redirect,
            accounts=accounts,
            log_in=log_in,
            challenges=challenges,
            throttles=throttles,
            audit=audit,
            mailbox=mailbox,
            holds=holds,
            clock=clock,
        ),
        wallets=Wallets(
            chains=wallet_chains,
            contracts=parts.contracts,
            challenges=wallet_challenges,
            accounts=accounts,
            throttles=throttles,
            audit=audit,
            mailbox=mailbox,
            holds=holds,
            clock=clock,
        ),
        wallet_control=wallet_control,
        wallet_log_in=WalletLogIn(
            chains=wallet_chains,
            contracts=parts.contracts,
            control=wallet_control,
            challenges=wallet_challenges,
            log_in=log_in,
            throttles=throttles,
        ),
        step_up=StepUp(
            box=parts.box,
            hasher=parts.hasher,
            two_factor=two_factor,
            passkeys=passkeys,
            challenges=challenges,
            throttles=throttles,
            audit=audit,
            clock=clock,
        ),
        api_keys=api_keys,
        freezes=Freezes(
            accounts=accounts,
            sessions=sessions,
            api_keys=api_keys,
            states=states,
            frozen=frozen,
            throttles=throttles,
            audit=audit,
            mailbox=mailbox,
            clock=clock,
        ),
        frozen=frozen,
        audit=audit,
    )
