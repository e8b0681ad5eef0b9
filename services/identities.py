"""External identities: an account elsewhere that signs its owner in here.

An identity signs in the account it is linked to and no other. A new one makes a new account, if its provider confirms the address and no
account holds it; where one does, its owner signs in first and links the identity there. The answer of a provider does only for the browser
that asked, so nobody can be signed in to a stranger's account.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from core.account_vocabulary import AuditAction, AuthErrorCode, OAuthPurpose, SessionMethod, UserStatus
from core.clock import Clock
from core.ids import random_id, random_token, token_hash
from core.mail_vocabulary import MailKind
from core.refusals import AccountFrozen, AuthRefused, EmailNotVerified, UnknownObject
from integrations.oauth.base import (
    ExternalProfile,
    IdentityProvider,
    ProviderRefused,
    ProviderUnavailable,
)
from models import identity, user
from models.identity import IdentityDocument
from models.user import UserDocument
from services.accounts import Accounts
from services.audit import AuditLog
from services.challenges import Challenge, ChallengeExpired, ChallengeKind, Challenges
from services.email_addresses import EmailInvalid, parse_email
from services.holds import Holds
from services.log_in import LogIn, LogInResult, Wish
from services.log_in_ways import require_another
from services.mail import Mailbox
from services.names import NameInvalid, checked_name
from services.throttles import OAUTH, Throttles
from services.viewer import Client, Viewer

log = structlog.get_logger(__name__)

LIFE_SECONDS = 600
MOST_IDENTITIES = 10
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class UnknownProvider(AuthRefused):
    """No provider of this key is configured."""

    code = AuthErrorCode.PROVIDER_UNAVAILABLE


class ProviderAway(AuthRefused):
    """The provider does not answer."""

    code = AuthErrorCode.PROVIDER_UNAVAILABLE


class SignInNotConfirmed(AuthRefused):
    """The provider, or this server, does not accept what came back."""

    code = AuthErrorCode.PROVIDER_REFUSED


class IdentityInUse(AuthRefused):
    """This identity is linked to an account already."""

    code = AuthErrorCode.IDENTITY_IN_USE


class LinkRequired(AuthRefused):
    """An account has this address: sign in to it, and link the identity there."""

    code = AuthErrorCode.LINK_REQUIRED


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the person; the state that comes back; and the cookie that ties it to the browser, for a page."""

    url: str
    state: str
    browser_token: str | None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What came back from a provider, and the cookie of the browser it came back to."""

    state: str
    code: str
    browser_token: str | None


class Identities:
    """Signs in by identities, links and unlinks them."""

    def __init__(
        self,
        providers: Mapping[str, IdentityProvider],
        *,
        allows_redirect: Callable[[str], bool],
        accounts: Accounts,
        log_in: LogIn,
        challenges: Challenges,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
    ) -> None:
        """`allows_redirect`: whether a provider may send people back to this URL."""
        self.providers = providers
        self._allows_redirect = allows_redirect
        self._accounts = accounts
        self._log_in = log_in
        self._challenges = challenges
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock

    async def begin(
        self,
        provider_key: str,
        purpose: OAuthPurpose,
        redirect_uri: str,
        client: Client,
        viewer: Viewer | None,
        *,
        browser_token: str | None,
    ) -> Begun:
        """Start at a provider. To link, somebody must be signed in. Raises AuthRefused, RateLimited.

        `browser_token`: the cookie that an earlier beginning left in the same browser; both may be finished.
        """
        await self._throttles.of_address(OAUTH, client)
        provider = self._provider(provider_key)
        if not self._allows_redirect(redirect_uri):
            raise SignInNotConfirmed("people may not be sent back to this address", field=["redirectUri"])
        try:
            request = await provider.begin(redirect_uri)
        except ProviderUnavailable as error:
            raise _away(error) from error
        browser_token = _known_or_new(browser_token) if client.is_page else None
        facts = {
            "provider": provider_key,
            "purpose": purpose.value,
            "redirect_uri": redirect_uri,
            "nonce": request.nonce,
            "verifier": request.code_verifier,
            "browser": token_hash(browser_token) if browser_token is not None else "",
        }
        await self._challenges.put(
            ChallengeKind.OAUTH,
            viewer.user_id if purpose is OAuthPurpose.LINK and viewer is not None else "",
            facts,
            life_seconds=LIFE_SECONDS,
            tries=1,
            token=request.state,
        )
        return Begun(request.url, request.state, browser_token)

    async def finish(
        self, answer: ProviderAnswer, wish: Wish, client: Client, viewer: Viewer | None
    ) -> LogInResult | UserDocument:
        """Take the provider's answer: a log-in, or, for a link, the viewer's account. Raises AuthRefused, RateLimited."""
        await self._throttles.of_address(OAUTH, client)
        asked = await self._challenges.take_try(answer.state, ChallengeKind.OAUTH, field="state")
        if not _is_asker(asked, answer, client):
            raise ChallengeExpired("this sign-in was begun in another browser; begin again", field=["state"])
        profile = await self._profile(asked, answer.code)
        await self._challenges.close(asked, field="state")
        if asked.text("purpose") == OAuthPurpose.LINK:
            return await self._link(asked, profile, client, viewer)
        person = await self._signed_in_by(profile, client)
        return await self._log_in.proceed(person, SessionMethod.OAUTH, [], wish, client)

    async def unlink(self, viewer: Viewer, identity_id: str, client: Client) -> UserDocument:
        """Forget one's identity. Raises UnknownObject, LastFactor."""
        person = await self._accounts.of(viewer)
        known = await identity.of_user(person.id)
        found = next((each for each in known if each.id == identity_id), None)
        if found is None:
            raise UnknownObject("you have no such identity", field=["id"])
        await require_another(person)
        await identity.delete(identity_id, person.id)
        detail = {"provider": found.provider}
        await self._audit.record(person.id, AuditAction.IDENTITY_UNLINKED, client=client, detail=detail)
        await self._mailbox.send(
            MailKind.IDENTITY_UNLINKED, user_id=person.id, ip=client.address, provider=self._name(found.provider)
        )
        return person

    async def close(self) -> None:
        """Close every provider's connections."""
        for provider in self.providers.values():
            await provider.close()

    def _provider(self, key: str) -> IdentityProvider:
        provider = self.providers.get(key)
        if provider is None:
            raise UnknownProvider("no such provider; `oauthProviders` lists them", field=["provider"])
        return provider

    def _name(self, key: str) -> str:
        provider = self.providers.get(key)
        return provider.name if provider is not None else key

    async def _profile(self, asked: Challenge, code: str) -> ExternalProfile:
        try:
            return await self._provider(asked.text("provider")).finish(
                code,
                redirect_uri=asked.text("redirect_uri"),
                code_verifier=asked.text("verifier"),
                nonce=asked.text("nonce"),
            )
        except ProviderUnavailable as error:
            raise _away(error) from error
        except ProviderRefused as error:
            log.info("identities.refused", provider=asked.text("provider"), reason=error.reason)
            raise SignInNotConfirmed(error.text, error.values, field=["code"]) from error

    async def _signed_in_by(self, profile: ExternalProfile, client: Client) -> UserDocument:
        """The account an identity signs in, a new one where there is none yet."""
        known = await identity.by_subject(profile.provider, profile.subject)
        if known is None:
            return await self._new_account(profile, client)
        person = await user.by_id(known.user_id)
        if person is None or person.status is UserStatus.DELETED:
            raise SignInNotConfirmed("the account of this identity is deleted")
        return person

    async def _new_account(self, profile: ExternalProfile, client: Client) -> UserDocument:
        if profile.email is None or not profile.email_verified:
            raise SignInNotConfirmed(
                "{provider} does not confirm an e-mail address of yours; sign up with a password, then link it",
                {"provider": self._name(profile.provider)},
            )
        try:
            address = parse_email(profile.email)
        except EmailInvalid as error:
            raise SignInNotConfirmed(
                "{provider} gave an address that cannot be used", {"provider": self._name(profile.provider)}
            ) from error
        holder = await user.by_email_key(address.key)
        if holder is not None and holder.email_verified_ms is not None:
            raise _link_required()
        draft = self._accounts.new_person(address, name=_name(profile), locale=client.locale, password_hash=None)
        person: UserDocument = draft.model_copy(update={"email_verified_ms": draft.created_ms})
        if not await self._accounts.create(person, client):
            raise _link_required()
        await self._store(person, profile, client)
        return person

    async def _link(
        self, asked: Challenge, profile: ExternalProfile, client: Client, viewer: Viewer | None
    ) -> UserDocument:
        if viewer is None or viewer.user_id != asked.subject:
            raise ChallengeExpired("this was begun by somebody else; begin again", field=["state"])
        if profile.email is None or not profile.email_verified:
            raise SignInNotConfirmed(
                "{provider} does not confirm an e-mail address of yours, so it cannot be linked",
                {"provider": self._name(profile.provider)},
            )
        person = await self._accounts.of(viewer)
        if person.status is not UserStatus.ACTIVE:
            raise AccountFrozen("the account is frozen; unfreeze it first")
        if person.email_verified_ms is None:
            raise EmailNotVerified(
                "prove your e-mail address first: the mail has a link, and resendVerification sends it again"
            )
        if len(await identity.of_user(person.id)) >= MOST_IDENTITIES:
            raise IdentityInUse("an account has at most {most} identities", {"most": MOST_IDENTITIES})
        await self._store(person, profile, client)
        await user.hold_withdrawals(person.id, self._holds.until_ms())
        return person

    async def _store(self, person: UserDocument, profile: ExternalProfile, client: Client) -> None:
        row = IdentityDocument(
            id=random_id(),
            user_id=person.id,
            provider=profile.provider,
            subject=profile.subject,
            email=profile.email,
            linked_ms=self._clock.now_ms(),
        )
        if not await identity.insert(row):
            raise IdentityInUse("this identity is linked to an account already")
        detail = {"provider": profile.provider}
        await self._audit.record(person.id, AuditAction.IDENTITY_LINKED, client=client, detail=detail)
        await self._mailbox.send(
            MailKind.IDENTITY_LINKED, user_id=person.id, ip=client.address, provider=self._name(profile.provider)
        )


def redirect_rule(exact: tuple[str, ...], allows_origin: Callable[[str], bool]) -> Callable[[str], bool]:
    """Which URLs people may be sent back to: the listed ones, or, without a list, any page on an allowed web origin."""

    def allows(url: str) -> bool:
        if exact:
            return url in exact
        parts = urlsplit(url)
        return parts.fragment == "" and "@" not in parts.netloc and allows_origin(f"{parts.scheme}://{parts.netloc}")

    return allows


def _known_or_new(browser_token: str | None) -> str:
    return browser_token if browser_token is not None and _TOKEN.fullmatch(browser_token) else random_token()


def _is_asker(asked: Challenge, answer: ProviderAnswer, client: Client) -> bool:
    """Whether the answer came back to the browser that asked, or, what a program asked, to a program."""
    browser = asked.text("browser")
    if not browser:
        return not client.is_page
    return answer.browser_token is not None and hmac.compare_digest(browser, token_hash(answer.browser_token))


def _name(profile: ExternalProfile) -> str | None:
    try:
        return checked_name(profile.display_name or "", field=[])
    except NameInvalid:
        return None


def _away(error: ProviderUnavailable) -> ProviderAway:
    log.warning("identities.provider_away", reason=error.reason)
    return ProviderAway(error.text, error.values)


def _link_required() -> LinkRequired:
    return LinkRequired("an account has this address: sign in to it, then link this identity in its settings")
