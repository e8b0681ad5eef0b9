"""How often what is sensitive may be tried: each rule by address, by account, or by the mail address that was named."""

from dataclasses import dataclass

from core.client_address import limit_key
from core.errors import RateLimited
from core.rate_limits import Limit, RateLimits
from services.email_addresses import key_digest
from services.viewer import Client

_MINUTE = 60
_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit for one address, and one for the account or mail address that is tried."""

    by_address: Limit
    by_subject: Limit


def _rule(name: str, *, address: tuple[int, int], subject: tuple[int, int]) -> Rule:
    return Rule(Limit(f"{name} by address", *address), Limit(f"{name} by subject", *subject))


SIGN_UP = _rule("sign-up", address=(20, _HOUR), subject=(5, _HOUR))
LOG_IN = _rule("log-in", address=(60, 5 * _MINUTE), subject=(10, 5 * _MINUTE))
SECOND_FACTOR = _rule("second factor", address=(60, 5 * _MINUTE), subject=(10, _HOUR))
MAIL_REQUEST = _rule("mail request", address=(20, _HOUR), subject=(3, 10 * _MINUTE))
TOKEN = _rule("mailed token", address=(30, 5 * _MINUTE), subject=(30, 5 * _MINUTE))
REFRESH = _rule("refresh", address=(600, 5 * _MINUTE), subject=(60, 5 * _MINUTE))
STEP_UP = _rule("step-up", address=(60, 5 * _MINUTE), subject=(20, 5 * _MINUTE))
PASSKEY = _rule("passkey", address=(60, 5 * _MINUTE), subject=(60, 5 * _MINUTE))
OAUTH = _rule("external identity", address=(60, 5 * _MINUTE), subject=(30, 5 * _MINUTE))
WALLET = _rule("wallet", address=(60, 5 * _MINUTE), subject=(60, 5 * _MINUTE))
SWAP = _rule("swap quotes", address=(120, 5 * _MINUTE), subject=(60, 5 * _MINUTE))
CHAIN = _rule("questions to chains", address=(600, 5 * _MINUTE), subject=(300, 5 * _MINUTE))
CHANGE = _rule("change of the account", address=(120, 5 * _MINUTE), subject=(60, 5 * _MINUTE))


class Throttles:
    """Counts tries. What is refused here was not tried."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits

    async def of_stranger(self, rule: Rule, client: Client, named: str) -> None:
        """Count a try that names a mail address or shows a token. Raises RateLimited."""
        await self._hit(rule.by_address, limit_key(client.address))
        await self._hit(rule.by_subject, key_digest(named))

    async def of_known_device(self, rule: Rule, client: Client, device_hash: str) -> None:
        """Count a try from a browser that the account knows: strangers' tries do not count against it. Raises RateLimited."""
        await self._hit(rule.by_address, limit_key(client.address))
        await self._hit(rule.by_subject, f"device {device_hash}")

    async def of_owner(self, rule: Rule, client: Client, user_id: str) -> None:
        """Count a try of somebody who is signed in, or has shown the right password. Raises RateLimited."""
        await self._hit(rule.by_address, limit_key(client.address))
        await self._hit(rule.by_subject, f"account {user_id}")

    async def of_address(self, rule: Rule, client: Client) -> None:
        """Count a try that names nobody. Raises RateLimited."""
        await self._hit(rule.by_address, limit_key(client.address))

    async def _hit(self, limit: Limit, key: str) -> None:
        seconds = await self._limits.hit(limit, key)
        if seconds is not None:
            raise RateLimited("too many tries; try again in {seconds} s", {"seconds": seconds}, retryAfter=seconds)
