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

    def of(self, peer: str | None, headers: Iterable[Header]) -> str:
        """The caller's address as text.

        Args:
            peer: address of the connection itself.
            headers: ASGI headers, names in lower case.
        """
        address = _parse(peer)
        if address is None:
            return UNKNOWN
        if self._trusted and self._is_trusted(address):
            for claimed in _claims(headers):
                nearer = _parse(claimed)
                if nearer is None:
                    break
                address = nearer
                if not self._is_trusted(address):
                    break
        return _text(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


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


@lru_cache(maxsize=_ADDRESSES_HELD)
def _text(address: IPv4Address | IPv6Address) -> str:
    return str(address)


def _parse(text: str | None) -> IPv4Address | IPv6Address | None:
    return _read(text) if text and len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=_ADDRESSES_HELD)
def _read(text: str) -> IPv4Address | IPv6Address | None:
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
