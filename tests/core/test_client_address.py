"""Whose address a limit is counted by."""

import pytest

from core.client_address import UNKNOWN, ClientAddresses, limit_key


def xff(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode("latin-1")) for value in values]


@pytest.mark.parametrize(
    ("trusted", "peer", "claims", "address"),
    [
        ([], "127.0.0.1", ["203.0.113.9"], "127.0.0.1"),
        (["10.0.0.0/8"], "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        (["10.0.0.0/8"], "10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        (["10.1.2.3"], "10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["6.6.6.6", "203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["10.5.5.5, 10.9.9.9"], "10.5.5.5"),
        (["10.0.0.0/8"], "10.1.2.3", [], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", ["6.6.6.6, nonsense"], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", ["6.6.6.6, nonsense, 10.9.9.9"], "10.9.9.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["", "\xff"], "10.1.2.3"),
        (["fd00::/8"], "fd00::1", ["2001:db8::7"], "2001:db8::7"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", [",".join(["10.0.0.1"] * 100_000)], "10.0.0.1"),
        ([], None, ["203.0.113.9"], UNKNOWN),
        ([], "/run/socket", [], UNKNOWN),
        ([], "fe80::1%eth0", [], "fe80::1"),
    ],
)
def test_the_nearest_address_no_trusted_proxy_vouches_for(
    trusted: list[str], peer: str | None, claims: list[str], address: str
) -> None:
    assert ClientAddresses(trusted).of(peer, xff(*claims)) == address


def test_a_proxy_that_is_no_network_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'proxy\.example'"):
        ClientAddresses(["10.0.0.0/8", "proxy.example"])


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_an_ipv6_subscriber_is_its_64(address: str, key: str) -> None:
    assert limit_key(address) == key
