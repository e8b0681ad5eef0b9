"""Access tokens: JSON Web Tokens signed with Ed25519 (RFC 7519, 8037, 9068), and the keys that sign them.

Layout: time is cut into periods of KEY_DAYS; the key of a period has the period's number as its `kid`, is stored once for all processes,
and is published a day before its first use. Only keys of the present period and its two neighbours are accepted.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pymongo.errors import PyMongoError

from core.clock import Clock
from core.errors import TranslatableError
from core.secret_box import SecretBox
from models import signing_key
from models.signing_key import SigningKeyDocument

log = structlog.get_logger(__name__)

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"  # noqa: S105
AUDIENCE = "cryptovault"
LIFE_SECONDS = 900
KEY_DAYS = 30
_DAY_MS = 86_400_000
_PERIOD_MS = KEY_DAYS * _DAY_MS
_LONGEST = 2_000
_VERIFIED_HELD = 20_000
_VERIFIED_SECONDS = 60.0
_LOOK_SECONDS = 600.0
_LEEWAY_MS = 5_000
"""How far another process' clock may be ahead."""


class AccessTokenRejected(TranslatableError):
    """Not a token that this server signed and that is valid now."""

    code = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a token says: whose session it belongs to, and until when it may be shown."""

    user_id: str
    session_id: str
    issued_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class _Key:
    private: Ed25519PrivateKey
    public: Ed25519PublicKey


class AccessTokens:
    """Signs and verifies. Call `load` before anything else; `run` keeps the keys current."""

    def __init__(self, box: SecretBox, clock: Clock, *, issuer: str) -> None:
        """`issuer`: the public URL of this API."""
        self._box = box
        self._clock = clock
        self._issuer = issuer
        self._keys: dict[str, _Key] = {}
        self._verified: OrderedDict[bytes, tuple[AccessClaims, float]] = OrderedDict()

    async def load(self) -> None:
        """Have the keys of the present period and its neighbours: read them, and make what is missing and due."""
        now_ms = self._clock.now_ms()
        period = now_ms // _PERIOD_MS
        due = [period, period + 1] if now_ms % _PERIOD_MS >= _PERIOD_MS - _DAY_MS else [period]
        wanted = sorted({str(each) for each in (period - 1, *due)} - self._keys.keys())
        found = await signing_key.by_ids(wanted)
        missing = {str(each) for each in due} & set(wanted) - {row.id for row in found}
        for kid in sorted(missing):
            await signing_key.insert_first(self._new_key(kid))
        if missing:
            found = await signing_key.by_ids(wanted)
        self._keys |= {row.id: self._opened(row) for row in found}
        self._keys = {kid: key for kid, key in self._keys.items() if abs(int(kid) - period) <= 1}

    async def run(self) -> None:
        """Have the keys that are due, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.load()
            except PyMongoError as error:
                log.warning("signing_keys.not_read", reason=type(error).__name__)

    def issue(self, user_id: str, session_id: str, *, not_after_ms: int) -> tuple[str, int]:
        """A token that does not outlive `not_after_ms`, the end of its session; and its own end in epoch milliseconds."""
        now_ms = self._clock.now_ms()
        kid = str(now_ms // _PERIOD_MS)
        expires = min(now_ms // 1000 + LIFE_SECONDS, not_after_ms // 1000)
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": user_id,
            "sid": session_id,
            "iat": now_ms // 1000,
            "exp": expires,
        }
        token = jwt.encode(claims, self._keys[kid].private, ALGORITHM, headers={"kid": kid, "typ": TOKEN_TYPE})
        return token, expires * 1000

    def verify(self, token: str) -> AccessClaims:
        """What a token says. Whether its session still lasts is not asked here. Raises AccessTokenRejected."""
        if not 0 < len(token) <= _LONGEST or not token.isascii():
            raise AccessTokenRejected("this is no access token")
        key = sha256(token.encode()).digest()
        claims = self._held(key)
        if claims is None:
            claims = self._decoded(token)
            self._hold(key, claims)
        if claims.expires_ms <= self._clock.now_ms():
            raise AccessTokenRejected("the access token has expired")
        return claims

    def known(self, token: str) -> AccessClaims | None:
        """As `verify`, for a token that was verified here within a minute; None for every other and for one that has expired."""
        claims = self._held(sha256(token.encode()).digest())
        return None if claims is None or claims.expires_ms <= self._clock.now_ms() else claims

    def jwks(self) -> dict[str, object]:
        """The public keys (RFC 7517), the next period's included once it is made."""
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "use": "sig", "kid": kid, "x": _raw(key.public)}
                for kid, key in sorted(self._keys.items())
            ]
        }

    def _held(self, key: bytes) -> AccessClaims | None:
        held = self._verified.get(key)
        return held[0] if held is not None and self._clock.monotonic() < held[1] else None

    def _hold(self, key: bytes, claims: AccessClaims) -> None:
        self._verified[key] = (claims, self._clock.monotonic() + _VERIFIED_SECONDS)
        self._verified.move_to_end(key)
        while len(self._verified) > _VERIFIED_HELD:
            self._verified.popitem(last=False)

    def _decoded(self, token: str) -> AccessClaims:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header["kid"]) if isinstance(header.get("kid"), str) else None
            if header.get("alg") != ALGORITHM or str(header.get("typ", "")).lower() != TOKEN_TYPE or key is None:
                raise AccessTokenRejected("the access token was not signed here")
            # Times are judged below, by our clock.
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "sid", "iat", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise AccessTokenRejected("the access token was not signed here, or was changed") from error
        return self._claims(claims)

    def _claims(self, claims: dict[str, object]) -> AccessClaims:
        user, session, issued, expires = (claims[name] for name in ("sub", "sid", "iat", "exp"))
        sound = isinstance(user, str) and isinstance(session, str)
        if not sound or type(issued) is not int or type(expires) is not int:
            raise AccessTokenRejected("the access token lacks what it must say")
        if expires - issued > LIFE_SECONDS or issued * 1000 > self._clock.now_ms() + _LEEWAY_MS:
            raise AccessTokenRejected("the access token's times are not possible")
        return AccessClaims(str(user), str(session), issued * 1000, expires * 1000)

    def _new_key(self, kid: str) -> SigningKeyDocument:
        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return SigningKeyDocument(
            id=kid,
            public_key=_raw(private.public_key()),
            sealed_private_key=self._box.seal(raw, f"signing-key:{kid}"),
        )

    def _opened(self, row: SigningKeyDocument) -> _Key:
        """Raises SealBroken when it was sealed under a key that is not in the ring."""
        private = Ed25519PrivateKey.from_private_bytes(self._box.open(row.sealed_private_key, f"signing-key:{row.id}"))
        public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(row.public_key + "="))
        return _Key(private, public)


def _raw(key: Ed25519PublicKey) -> str:
    return urlsafe_b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode().rstrip("=")
