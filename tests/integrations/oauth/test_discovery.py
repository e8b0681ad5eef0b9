"""Addresses in a discovery document: https only, unless the issuer itself is not."""

import pytest

from integrations.oauth.discovery import UnusableDocument, discovery_url, is_http_url, read_discovery

ISSUER = "https://id.example.com/realm"
DOCUMENT: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": "https://keys.example.com/jwks",
}


def test_a_path_and_a_final_slash_belong_to_the_issuer() -> None:
    assert discovery_url(ISSUER) == f"{ISSUER}/.well-known/openid-configuration"
    assert discovery_url(f"{ISSUER}/") == f"{ISSUER}/.well-known/openid-configuration"
    assert read_discovery(DOCUMENT, ISSUER).jwks_uri == "https://keys.example.com/jwks"
    with pytest.raises(UnusableDocument):
        read_discovery(DOCUMENT, f"{ISSUER}/")


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_an_https_issuer_has_no_http_address(name: str) -> None:
    with pytest.raises(UnusableDocument, match=name):
        read_discovery({**DOCUMENT, name: "http://169.254.169.254/latest"}, ISSUER)


@pytest.mark.parametrize(
    ("url", "secure", "insecure"),
    [
        ("https://a.example/x", True, True),
        ("http://a.example/x", False, True),
        ("https://a.example@b.example/", False, False),
        ("https:///x", False, False),
        ("https://a.example:0x50/", False, False),
        ("https://[::1", False, False),
        ("https://a.example/\n", False, False),
        ("javascript:alert(1)", False, False),
        ("//a.example/x", False, False),
    ],
)
def test_web_addresses(url: str, secure: bool, insecure: bool) -> None:
    assert is_http_url(url, secure=True) is secure
    assert is_http_url(url, secure=False) is insecure
