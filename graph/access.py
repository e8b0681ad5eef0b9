"""Who may use a field: one word for each field of the roots, judged in one place before its resolver runs."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension

from core.account_vocabulary import ApiScope, AuthFactor, Role, UserStatus
from core.errors import TranslatableError
from core.refusals import AccountFrozen, EmailNotVerified
from graph.context import Context
from services.viewer import Viewer

Info = strawberry.Info[Context, None]
Next = Callable[..., Awaitable[Any]]


class Access(Enum):
    """Who may; the value is how a field's description says it, empty for everybody."""

    ANYONE = ""
    SELF = "Needs a signed-in person or an API key."
    SESSION = "Needs a signed-in person."
    ACTIVE = "Needs a signed-in person whose account is not frozen."
    VERIFIED = "Needs a signed-in person with a proven address whose account is not frozen."
    SUPPORT = "Needs a person of support, signed in with a second factor."
    ADMIN = "Needs an administrator, signed in with a second factor."


class NotSignedIn(TranslatableError):
    """The field needs somebody who is signed in."""

    code = "UNAUTHENTICATED"


class NotAllowed(TranslatableError):
    """Whoever asks may not use this field."""

    code = "FORBIDDEN"


_ALSO_FROZEN = (Access.SELF, Access.SESSION)
_ROLES = {Access.SUPPORT: (Role.SUPPORT, Role.ADMIN), Access.ADMIN: (Role.ADMIN,)}
_STRONG = frozenset({AuthFactor.TOTP, AuthFactor.PASSKEY, AuthFactor.RECOVERY_CODE})


async def require(context: Context, access: Access, scope: ApiScope | None) -> None:
    """Let the viewer pass. Raises NotSignedIn, NotAllowed, AccountFrozen, EmailNotVerified."""
    viewer = context.viewer
    if viewer is not None and viewer.session_id is None:
        _check_key(viewer, scope)
    if access is Access.ANYONE:
        return
    if viewer is None:
        raise NotSignedIn("sign in first")
    if access not in _ALSO_FROZEN and viewer.status is not UserStatus.ACTIVE:
        raise AccountFrozen("the account is frozen; unfreeze it first")
    if access is Access.VERIFIED and not viewer.email_verified:
        raise EmailNotVerified(
            "prove your e-mail address first: the mail has a link, and resendVerification sends it again"
        )
    if access in _ROLES:
        await _check_operator(context, viewer, _ROLES[access])


def _check_key(viewer: Viewer, scope: ApiScope | None) -> None:
    if scope is None:
        raise NotAllowed("API keys may not do this; it needs a signed-in person")
    if scope not in viewer.scopes:
        raise NotAllowed("this needs an API key with the scope {scope}", {"scope": scope.value})


async def _check_operator(context: Context, viewer: Viewer, roles: tuple[Role, ...]) -> None:
    if viewer.role not in roles:
        raise NotAllowed("your account may not do this")
    person = await context.accounts.reads.person(viewer.user_id)
    if person is None or person.role not in roles:  # the truth, not what a cache says of it
        raise NotAllowed("your account may not do this")
    session = await context.accounts.sessions.of_viewer(viewer)
    if session is None or _STRONG.isdisjoint(session.factors):
        raise NotAllowed("operators sign in with a second factor: enable one, then sign in again")


class Guard(FieldExtension):
    """Judges before the resolver runs."""

    def __init__(self, access: Access, scope: ApiScope | None) -> None:
        self.access = access
        self.scope = scope

    async def resolve_async(self, next_: Next, source: Any, info: Info, **kwargs: Any) -> Any:
        await require(info.context, self.access, self.scope)
        return await next_(source, info, **kwargs)
