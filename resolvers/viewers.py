"""Who is signed in, for the resolvers of fields that only signed-in people reach."""

import strawberry

from graph.access import NotSignedIn
from graph.context import Context
from graph.types.auth import AuthPayload
from graph.types.user import User
from services.viewer import Viewer

Info = strawberry.Info[Context, None]


def viewer_of(info: Info) -> Viewer:
    """The viewer. Raises NotSignedIn."""
    if info.context.viewer is None:
        raise NotSignedIn("sign in first")
    return info.context.viewer


async def present(info: Info) -> User | None:
    """The viewer's account as it is now; None when nobody is signed in."""
    viewer = info.context.viewer
    profile = await info.context.accounts.reads.profile(viewer.user_id) if viewer is not None else None
    return None if viewer is None or profile is None else User.of(profile, viewer.session_id)


async def account_payload(info: Info) -> AuthPayload:
    """The viewer's account after a change."""
    return AuthPayload(viewer=await present(info))
