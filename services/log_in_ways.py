"""The ways in which somebody can sign in to an account: the last of them is not taken away."""

from core.account_vocabulary import AuthErrorCode
from core.refusals import AuthRefused
from models import identity, passkey, wallet
from models.user import UserDocument


class LastFactor(AuthRefused):
    """Without it nobody could sign in to the account any more."""

    code = AuthErrorCode.LAST_FACTOR


async def require_another(person: UserDocument) -> None:
    """Let one passkey, identity or wallet of this person go, if something is left. Raises LastFactor that names the field `id`."""
    if person.password_hash is not None:
        return
    ways = [*await passkey.of_user(person.id), *await identity.of_user(person.id), *await wallet.of_user(person.id)]
    if len(ways) <= 1:
        raise LastFactor("without it you could not sign in any more; set a password first", field=["id"])
