"""Who is calling: the address limits are counted by.

`X-Forwarded-For` is a claim of whoever sent it. It is read only when the connection itself comes from a proxy that the operator
configured, from right to left, and only past further trusted proxies (RFC 7239, section 7.4 states the same for `Forwarded`).
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Header = tuple[bytes, bytes]
UNKNOWN = "unknown"
"""The address of a connection that has none, such as one over a Unix socket."""
_HOPS_AT_MOST = 20
_IPV6_SUBSCRIBER_PREFIX = 64
_LONGEST_ADDRESS = 100
"""With the name of a zone."""
_ADDRESSES_HELD = 4_096
"""Whose reading is remembered."""


class ClientAddresses:
    """Finds a caller's address; built once with the proxies that may speak for others."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        """`trusted_proxies`: addresses or networks in CIDR notation. Raises ValueError naming one that is neither."""
        self._trusted = tuple(_network(text) for text in trusted_proxies)
        self._look = lru_cache(maxsize=_ADDRESSES_HELD)(self._seen)

    def of(self, peer: str | None, headers: Iterable[Header]) -> str:
        """The caller's address as text.

        Args:
            peer: address of the connection itself.
            headers: ASGI headers, names in lower case.
        """
        if not peer or len(peer) > _LONGEST_ADDRESS:
            return UNKNOWN
        address, is_trusted = self._look(peer)
        if address is None:
            return UNKNOWN
        if is_trusted:
            for claimed in _claims(headers):
                nearer, is_trusted = self._look(claimed) if len(claimed) <= _LONGEST_ADDRESS else (None, False)
                if nearer is None:
                    break
                address = nearer
                if not is_trusted:
                    break
        return address

    def _seen(self, text: str) -> tuple[str | None, bool]:
        """An address as it is told, and whether it is a trusted proxy's; None: it is no address."""
        address = _parse(text)
        if address is None:
            return None, False
        return str(address), any(address in network for network in self._trusted)


@lru_cache(maxsize=_ADDRESSES_HELD)
def limit_key(address: str) -> str:
    """What a limit is counted by: an IPv4 address, or the /64 an IPv6 subscriber holds."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_SUBSCRIBER_PREFIX), strict=False))
    return address


def _claims(headers: Iterable[Header]) -> list[str]:
    """Forwarded addresses, nearest hop first."""
    joined = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    if not joined:
        return []
    return [part.strip() for part in reversed(joined.decode("latin-1").split(",")[-_HOPS_AT_MOST:])]


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address and no network such as 10.0.0.0/8") from error
