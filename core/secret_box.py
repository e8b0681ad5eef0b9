"""Secrets at rest: authenticated encryption, and keyed digests, under one ring of master keys.

Layout: a sealed value is `1.<key id>.<base64 of nonce and ciphertext>`, a keyed digest `<key id>.<hex>`. The key id is the first eight
hex digits of the master key's SHA-256. Every use has a subkey of its own (HKDF-SHA256, RFC 5869; AES-256-GCM, NIST SP 800-38D).
Rotation: put a new key in front. The first key seals and signs, all of them open and verify.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORMAT = "1"
_NONCE_BYTES = 12
_KEY_BYTES = 32
KEY_ID_LENGTH = 8


class SealBroken(Exception):
    """A sealed value was changed, belongs elsewhere, or its key is not in the ring."""


class SecretBox:
    """Seals and opens. `context` names what a value belongs to, such as `totp:<user id>`: it does not open under another one."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, the newest first."""
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"expected one or more keys of {_KEY_BYTES} bytes")
        self._keys = {key_id(key): key for key in keys}
        self._current = key_id(keys[0])

    def seal(self, plain: bytes, context: str) -> str:
        """Encrypt under the newest key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._cipher(self._current).encrypt(nonce, plain, context.encode())
        return f"{_FORMAT}.{self._current}.{urlsafe_b64encode(nonce + cipher).decode()}"

    def open(self, sealed: str, context: str) -> bytes:
        """What `seal` was given. Raises SealBroken."""
        form, _, rest = sealed.partition(".")
        name, _, text = rest.partition(".")
        if form != _FORMAT or name not in self._keys:
            raise SealBroken(f"sealed under key {name[:8]!r}, which is not in the ring")
        try:
            data = urlsafe_b64decode(text.encode())
            return self._cipher(name).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
        except (InvalidTag, Base64Error, ValueError) as error:
            raise SealBroken("a sealed value was changed, or belongs elsewhere") from error

    def is_current(self, text: str) -> bool:
        """Whether a sealed value or a digest is under the newest key."""
        return text.removeprefix(f"{_FORMAT}.").partition(".")[0] == self._current

    def digest(self, message: bytes, context: str) -> str:
        """A keyed digest (HMAC-SHA256) under the newest key: only this server can make it."""
        return self._digest(self._current, message, context)

    def verifies(self, digest: str, message: bytes, context: str) -> bool:
        """Whether `digest` made this of the message, under any key of the ring."""
        name = digest.partition(".")[0]
        return name in self._keys and hmac.compare_digest(self._digest(name, message, context), digest)

    def subkeys(self, use: str) -> dict[str, bytes]:
        """A key of 32 bytes for one use from every key of the ring, by the ring's key ids, the newest first."""
        return {name: _subkey(key, use) for name, key in self._keys.items()}

    def _digest(self, name: str, message: bytes, context: str) -> str:
        key = _subkey(self._keys[name], f"digest:{context}")
        return f"{name}.{hmac.new(key, message, sha256).hexdigest()}"

    def _cipher(self, name: str) -> AESGCM:
        return AESGCM(_subkey(self._keys[name], "seal"))


def key_id(key: bytes) -> str:
    """The name of a master key in what was made with it."""
    return sha256(key).hexdigest()[:KEY_ID_LENGTH]


@lru_cache(maxsize=64)
def _subkey(key: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"cryptovault:{info}".encode()).derive(key)
