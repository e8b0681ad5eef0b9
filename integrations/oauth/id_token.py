"""ID tokens: whether a provider signed one, for this client and this very sign-in (OpenID Connect Core, 3.1.3.7)."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from integrations.oauth.base import text_of

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Signatures with a key that only the provider has: never `none`, never a shared secret."""
LEEWAY_SECONDS = 60
"""How far the provider's clock may differ from ours."""
_KEY_TYPES = ("RSA", "EC", "OKP")
_MOST_KEYS = 100
_LONGEST_SUBJECT = 255


class UnknownKey(Exception):
    """The token names a key that is not in the set: the provider may have a new one."""


class InvalidToken(Exception):
    """The token proves nothing. The message says why and repeats nothing of it."""


class _Signatures(JWSRegistry):
    """ALGORITHMS and nothing else, and no warning that EdDSA is called otherwise since RFC 9864: not by providers."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def key_set(document: Mapping[str, object]) -> KeySet:
    """The signature keys of a JWK set; what cannot be one is passed over (RFC 7517, 5). Raises ValueError for none."""
    entries = document.get("keys")
    keys = [key for entry in entries[:_MOST_KEYS] if (key := _key(entry))] if isinstance(entries, list) else []
    if not keys:
        raise ValueError("there is no key in it that can be used")
    return KeySet(keys)


def verified_claims(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, access_token: str | None, now_s: int
) -> Mapping[str, object]:
    """The claims of a token that is all it should be. Raises UnknownKey, InvalidToken."""
    try:
        signed = jwt.decode(token, keys, registry=_Signatures(strict_check_header=False))
    except InvalidKeyIdError:
        raise UnknownKey from None
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidToken(f"the ID token is not signed as it must be ({type(error).__name__})") from None
    claims: Mapping[str, object] = signed.claims
    registry = jwt.JWTClaimsRegistry(
        now=now_s,
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        registry.validate(signed.claims)
    except JoseError as error:
        raise InvalidToken(f"the ID token's claims are wrong ({error.error}: {error.description})") from None
    _check_party(claims, client_id)
    _check_access_token(claims, access_token, str(signed.header["alg"]))
    subject = text_of(claims["sub"])
    if subject is None or not subject.isascii() or not subject.isprintable() or len(subject) > _LONGEST_SUBJECT:
        raise InvalidToken("the ID token's subject cannot be used")
    return claims


def _key(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("kty") not in _KEY_TYPES or entry.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _check_party(claims: Mapping[str, object], client_id: str) -> None:
    """A token for several audiences says whom it was issued to; whoever says so must name us."""
    audience = claims["aud"]
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise InvalidToken("the ID token was issued to another client (azp)")


def _check_access_token(claims: Mapping[str, object], access_token: str | None, algorithm: str) -> None:
    """`at_hash` is the left half of the access token's hash, with the hash function of the signature."""
    if "at_hash" not in claims:
        return
    digest = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)((access_token or "").encode()).digest()
    expected = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if access_token is None or claims["at_hash"] != expected:
        raise InvalidToken("the ID token belongs to another access token (at_hash)")
