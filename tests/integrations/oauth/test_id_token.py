"""Which ID tokens are believed: a table of everything that may be wrong with one."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

import pytest
from joserfc import jws
from joserfc.jwk import Key, KeySet

from integrations.oauth.id_token import LEEWAY_SECONDS, InvalidToken, UnknownKey, key_set, verified_claims
from tests.integrations.oauth.issuer import (
    ACCESS_TOKEN,
    CLIENT_ID,
    ec_key,
    forge,
    hash_of,
    okp_key,
    rsa_key,
    sign,
)

ISSUER = "https://id.example.com"
NOW_S = 1_700_000_000
NONCE = "nonce"
CLAIMS: Mapping[str, object] = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "sub": "subject",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": NONCE,
}
ABSENT = ...


def published(*keys: Key) -> KeySet:
    return key_set({"keys": [key.as_dict(private=False) for key in keys]})


def read(token: str, keys: KeySet | None = None, access_token: str | None = ACCESS_TOKEN) -> Mapping[str, object]:
    return verified_claims(
        token,
        keys or published(rsa_key(), ec_key(), okp_key()),
        issuer=ISSUER,
        client_id=CLIENT_ID,
        nonce=NONCE,
        access_token=access_token,
        now_s=NOW_S,
    )


def with_claims(**changed: object) -> dict[str, object]:
    return {name: value for name, value in {**CLAIMS, **changed}.items() if value is not ABSENT}


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(rsa_key(), "RS256"), (rsa_key(), "PS256"), (ec_key(), "ES256"), (okp_key(), "EdDSA")],
    ids=["RS256", "PS256", "ES256", "EdDSA"],
)
def test_allowed_signatures(key: Key, algorithm: str, recwarn: pytest.WarningsRecorder) -> None:
    at_hash = hash_of(name="sha512" if algorithm == "EdDSA" else "sha256")
    token = sign(with_claims(at_hash=at_hash), key, algorithm)
    assert read(token)["sub"] == "subject"
    assert not recwarn.list
    header, body, signature = token.split(".")
    with pytest.raises(InvalidToken):
        read(f"{header}.{body}.{signature[:10]}{'B' if signature[10] == 'A' else 'A'}{signature[11:]}")
    with pytest.raises(InvalidToken):
        read(sign(with_claims(at_hash=hash_of("another token")), key, algorithm))


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT_ID]},
        {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
        {"azp": CLIENT_ID},
        {"exp": NOW_S - LEEWAY_SECONDS + 1},
        {"iat": NOW_S + LEEWAY_SECONDS},
        {"nbf": NOW_S},
        {"exp": NOW_S + 0.5},
        {"unknown": {"claim": [1]}},
    ],
    ids=str,
)
def test_right_claims(changed: dict[str, object]) -> None:
    assert read(sign(with_claims(**changed), rsa_key()))["sub"] == "subject"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://id.example.com/"},
        {"iss": [ISSUER]},
        {"iss": ABSENT},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": {CLIENT_ID: 1}},
        {"aud": ABSENT},
        {"aud": [CLIENT_ID, "another"]},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"azp": "another"},
        {"azp": None},
        {"exp": NOW_S - LEEWAY_SECONDS},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": ABSENT},
        {"iat": NOW_S + LEEWAY_SECONDS + 1},
        {"iat": ABSENT},
        {"nbf": NOW_S + LEEWAY_SECONDS + 1},
        {"nonce": "another"},
        {"nonce": ""},
        {"nonce": ABSENT},
        {"sub": ABSENT},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "two\nlines"},
        {"sub": "ü"},
        {"at_hash": hash_of("another token")},
        {"at_hash": 7},
        {"at_hash": None},
    ],
    ids=str,
)
def test_wrong_claims(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidToken):
        read(sign(with_claims(**changed), rsa_key()))


@pytest.mark.parametrize("name", ["iss", "aud", "azp", "nonce", "at_hash", "exp"])
def test_what_is_wrong_is_named_and_not_repeated(name: str) -> None:
    with pytest.raises(InvalidToken, match=name) as caught:
        read(sign(with_claims(**{name: "<script>"}), rsa_key()))
    assert "<script>" not in str(caught.value)


def test_a_hash_without_an_access_token_proves_nothing() -> None:
    with pytest.raises(InvalidToken):
        read(sign(with_claims(at_hash=hash_of()), rsa_key()), access_token=None)


@pytest.mark.parametrize(
    "token",
    [
        forge(CLAIMS, "none", None),
        forge(CLAIMS, "HS256", rsa_key().as_pem(private=False)),
        forge(CLAIMS, "HS256", rsa_key().as_der(private=False)),
        forge(CLAIMS, "RS256", None),
        sign(CLAIMS, rsa_key(), "RS512"),
        sign(CLAIMS, ec_key("ec", "P-384"), "ES384"),
        sign(CLAIMS, rsa_key("second"), kid="first"),
        sign(CLAIMS, rsa_key(), crit=["exp"], exp=1),
    ],
    ids=["none", "HS256-pem", "HS256-der", "unsigned", "RS512", "ES384", "another-key", "critical"],
)
def test_signatures_that_are_not_allowed(token: str) -> None:
    with pytest.raises(InvalidToken):
        read(token)


def test_the_key_in_a_tokens_own_header_is_not_used() -> None:
    stranger = rsa_key("second")
    with pytest.raises(InvalidToken):
        read(sign(CLAIMS, stranger, kid="first", jwk=stranger.as_dict(private=False)))


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "....",
        "ü.ü.ü",
        f"{encoded([])}.{encoded({})}.AA",
        f"{encoded(['alg'])}.{encoded({})}.AA",
        f"{encoded('alg')}.{encoded({})}.AA",
        f"{encoded({'alg': ['RS256']})}.{encoded({})}.AA",
        f"{encoded({'alg': 'RS256', 'kid': []})}.{encoded({})}.AA",
        f"{encoded({'alg': 'RS256', 'kid': 'first', 'crit': 'b64', 'b64': False})}.{encoded({})}.AA",
        f"{encoded({'kid': 'first'})}.{encoded({})}.AA",
        f"{'x' * 200_000}.{encoded({})}.AA",
        sign(CLAIMS, rsa_key()) + ".AA.AA",
    ],
    ids=range(15),
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(InvalidToken):
        read(token)


@pytest.mark.parametrize("payload", ["[" * 50_000, "[]", "7", "\ud800", "{"], ids=range(5))
def test_signed_nonsense(payload: str) -> None:
    data = payload.encode(errors="surrogatepass")
    with pytest.raises(InvalidToken):
        read(jws.serialize_compact({"alg": "RS256", "kid": "first"}, data, rsa_key()))


def test_an_unknown_key_is_told_apart() -> None:
    with pytest.raises(UnknownKey):
        read(sign(CLAIMS, rsa_key("second")))
    with pytest.raises(UnknownKey):
        read(sign(CLAIMS, rsa_key(), kid=""))


def test_a_token_without_a_key_id_needs_a_set_of_one() -> None:
    token = jws.serialize_compact({"alg": "RS256"}, json.dumps(CLAIMS), rsa_key())
    assert read(token, published(rsa_key()))["sub"] == "subject"
    with pytest.raises(UnknownKey):
        read(token, published(rsa_key(), ec_key()))


def test_what_cannot_be_a_signature_key_is_passed_over() -> None:
    public = rsa_key().as_dict(private=False)
    usable = key_set(
        {
            "keys": [
                {"kty": "oct", "k": "AAAA", "kid": "secret"},
                {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "broken"},
                {"kty": "RSA", "kid": "empty"},
                {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"},
                {"kty": ["RSA"]},
                {"kty": "AKP", "kid": "new", "alg": "ML-DSA-44"},
                {**public, "kid": "for encryption", "use": "enc"},
                "x",
                public,
            ]
        }
    )
    assert [key.kid for key in usable] == ["first"]
    unusable: list[dict[str, object]] = [{}, {"keys": {}}, {"keys": []}, {"keys": [{"kty": "oct", "k": "AAAA"}]}]
    for document in unusable:
        with pytest.raises(ValueError, match="no key"):
            key_set(document)
