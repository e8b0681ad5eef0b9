"""API keys: made, changed and ended by their owner. The secret is shown once; a hash of it is all that is kept.

A key reads `cvk_<prefix>_<secret>`: the prefix finds it, and people tell their keys apart by it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from core.account_vocabulary import ApiScope, AuditAction, AuthErrorCode, UserStatus
from core.bus import Bus
from core.clock import Clock
from core.ids import random_id, random_token, token_hash
from core.mail_vocabulary import MailKind
from core.refusals import AccountFrozen, AuthRefused, UnknownObject
from events.account import AUTHORITY_TOPIC, ApiKeyChanged
from models import api_key, user
from models.api_key import ApiKeyDocument
from services.audit import AuditLog, Detail
from services.authority import API_KEY_START
from services.mail import Mailbox
from services.names import checked_name
from services.viewer import Client, Viewer

MOST_KEYS = 30
MOST_NETWORKS = 50
_NARROW_IPV4, _NARROW_IPV6 = 16, 48
_PREFIX_CHARACTERS = "0123456789abcdefghijkmnpqrstuvwxyz"
PREFIX_LENGTH = 12
_IPV4_IN_IPV6 = IPv6Network("::ffff:0:0/96")


class ScopeInvalid(AuthRefused):
    """These scopes do not go together, or not without an address allow-list."""

    code = AuthErrorCode.SCOPE_INVALID


class AddressInvalid(AuthRefused):
    """An entry of the allow-list is no address and no network."""

    code = AuthErrorCode.ADDRESS_INVALID


class ExpiryInvalid(AuthRefused):
    """The end of a key is past."""

    code = AuthErrorCode.UNKNOWN


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A key as its owner wants it."""

    name: str
    scopes: Sequence[ApiScope]
    ip_allowlist: Sequence[str]
    expires_ms: int | None


class ApiKeys:
    """What is done with keys."""

    def __init__(self, *, audit: AuditLog, mailbox: Mailbox, bus: Bus, clock: Clock) -> None:
        self._audit = audit
        self._mailbox = mailbox
        self._bus = bus
        self._clock = clock

    async def create(self, viewer: Viewer, wanted: WantedKey, client: Client) -> tuple[ApiKeyDocument, str]:
        """A new key and the text a program shows. Raises AuthRefused that names what is wrong."""
        now_ms = self._clock.now_ms()
        networks = _checked_networks(wanted.ip_allowlist)
        scopes = _checked_scopes(wanted.scopes, networks)
        if wanted.expires_ms is not None and wanted.expires_ms <= now_ms:
            raise ExpiryInvalid("expected a time in the future", field=["expiresAt"])
        if len(await api_key.of_user(viewer.user_id)) >= MOST_KEYS:
            raise ScopeInvalid("an account has at most {most} API keys; revoke one first", {"most": MOST_KEYS})
        prefix = "".join(secrets.choice(_PREFIX_CHARACTERS) for _ in range(PREFIX_LENGTH))
        secret = random_token()
        key = ApiKeyDocument(
            id=random_id(),
            user_id=viewer.user_id,
            name=checked_name(wanted.name, field=["name"]),
            prefix=prefix,
            secret_hash=token_hash(secret),
            scopes=scopes,
            ip_allowlist=networks,
            created_ms=now_ms,
            changed_ms=now_ms,
            expires_ms=wanted.expires_ms,
        )
        await api_key.insert(key)
        await self._end_if_frozen(key)
        detail: dict[str, Detail] = {"name": key.name, "prefix": prefix, "scopes": [scope.value for scope in scopes]}
        await self._audit.record(viewer.user_id, AuditAction.API_KEY_CREATED, client=client, detail=detail)
        await self._mailbox.send(
            MailKind.API_KEY_CREATED,
            user_id=viewer.user_id,
            ip=client.address,
            name=key.name,
        )
        return key, f"{API_KEY_START}{prefix}_{secret}"

    async def of_user(self, user_id: str) -> list[ApiKeyDocument]:
        """A person's keys that last, newest first."""
        now_ms = self._clock.now_ms()
        return [key for key in await api_key.of_user(user_id) if key.expires_ms is None or key.expires_ms > now_ms]

    async def update(
        self, viewer: Viewer, key_id: str, client: Client, *, name: str | None, ip_allowlist: Sequence[str] | None
    ) -> ApiKeyDocument:
        """Change name or allow-list. Raises AuthRefused."""
        key = await self._own(viewer, key_id)
        changes: dict[str, object] = {}
        if name is not None:
            changes["name"] = checked_name(name, field=["name"])
        if ip_allowlist is not None:
            networks = _checked_networks(ip_allowlist)
            _checked_scopes(key.scopes, networks)
            changes |= {"ip_allowlist": list(networks), "changed_ms": self._clock.now_ms()}
        if changes and not await api_key.change(key_id, viewer.user_id, changes):
            raise UnknownObject("you have no such API key", field=["id"])
        self._tell(key, ended=False)
        changed = await self._own(viewer, key_id)
        detail: dict[str, Detail] = {"name": changed.name, "prefix": key.prefix, "networks": list(changed.ip_allowlist)}
        await self._audit.record(viewer.user_id, AuditAction.API_KEY_CHANGED, client=client, detail=detail)
        return changed

    async def revoke(self, viewer: Viewer, key_id: str, client: Client) -> ApiKeyDocument:
        """End a key. Raises UnknownObject."""
        key = await self._own(viewer, key_id)
        await self._end([key])
        detail = {"name": key.name, "prefix": key.prefix}
        await self._audit.record(viewer.user_id, AuditAction.API_KEY_REVOKED, client=client, detail=detail)
        return key

    async def end_all(self, user_id: str) -> None:
        """End every key of a person."""
        await self._end(await api_key.of_user(user_id))

    async def _end_if_frozen(self, key: ApiKeyDocument) -> None:
        """A freeze ends all keys; one that was being made meanwhile may be missed by that, so it looks for itself."""
        person = await user.by_id(key.user_id)
        if person is None or person.status is not UserStatus.ACTIVE:
            await self._end([key])
            raise AccountFrozen("the account is frozen; unfreeze it first")

    async def _end(self, keys: list[ApiKeyDocument]) -> None:
        if keys:
            await api_key.end([key.id for key in keys], keys[0].user_id, self._clock.now_ms())
        for key in keys:
            self._tell(key, ended=True)

    async def _own(self, viewer: Viewer, key_id: str) -> ApiKeyDocument:
        found = next((key for key in await api_key.of_user(viewer.user_id) if key.id == key_id), None)
        if found is None:
            raise UnknownObject("you have no such API key", field=["id"])
        return found

    def _tell(self, key: ApiKeyDocument, *, ended: bool) -> None:
        self._bus.publish(AUTHORITY_TOPIC, ApiKeyChanged(key.id, key.prefix, ended))


def _checked_networks(entries: Sequence[str]) -> tuple[str, ...]:
    if len(entries) > MOST_NETWORKS:
        raise AddressInvalid("expected at most {most} entries", {"most": MOST_NETWORKS}, field=["ipAllowlist"])
    try:
        return tuple(dict.fromkeys(str(_network(entry.strip())) for entry in entries))
    except ValueError as error:
        raise AddressInvalid(
            "expected addresses or networks such as 203.0.113.7 or 2001:db8::/32", field=["ipAllowlist"]
        ) from error


def _network(text: str) -> IPv4Network | IPv6Network:
    """The network; IPv4 within IPv6 is IPv4, as it is for callers (core/client_address.py). Raises ValueError."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4_IN_IPV6):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _IPV4_IN_IPV6.prefixlen))
    return network


def _is_wide(network: IPv4Network | IPv6Network) -> bool:
    """Whether a network is too wide to say where a program runs."""
    return network.prefixlen < (_NARROW_IPV4 if isinstance(network, IPv4Network) else _NARROW_IPV6)


def _checked_scopes(scopes: Sequence[ApiScope], networks: Sequence[str]) -> tuple[ApiScope, ...]:
    if not scopes:
        raise ScopeInvalid("expected at least one scope", field=["scopes"])
    if ApiScope.WITHDRAW in scopes and not networks:
        raise ScopeInvalid("a key that may withdraw needs an address allow-list", field=["ipAllowlist"])
    if ApiScope.WITHDRAW in scopes and any(_is_wide(ip_network(text)) for text in networks):
        raise ScopeInvalid(
            "a key that may withdraw needs narrower networks: /16 or less, IPv6 /48", field=["ipAllowlist"]
        )
    return tuple(scope for scope in ApiScope if scope in scopes)
