"""Proof that what lay in Redis was put there by a process of this installation, and belongs where it was found.

A seal is the id of a master key (8 bytes) and a keyed BLAKE2b (RFC 7693; 32 bytes) over all parts, each with its length before it, so that no byte can move from one part to the
next. The key follows from ENCRYPTION_KEY by HKDF, one for each use. What was sealed under a former key of the ring holds as well.
"""

from hashlib import blake2b
from hmac import compare_digest

import structlog

from core.secret_box import KEY_ID_LENGTH, SecretBox

log = structlog.get_logger(__name__)

_DIGEST_BYTES = 32
SEAL_BYTES = KEY_ID_LENGTH + _DIGEST_BYTES


class MessageSeal:
    """Seals and checks for one use. `refused` counts what did not hold, for metrics."""

    def __init__(self, box: SecretBox, use: str) -> None:
        self._use = use
        self._begun = {
            name.encode(): blake2b(key=key, digest_size=_DIGEST_BYTES)
            for name, key in box.subkeys(f"message-blake2b:{use}").items()
        }
        """The digest of nothing yet, by the key's id."""
        self._current = next(iter(self._begun))
        self.refused = 0

    def of(self, *parts: bytes) -> bytes:
        """The seal of these parts in this order, under the newest key."""
        return self._current + _digest(self._begun[self._current], parts)

    def holds(self, seal: bytes, *parts: bytes) -> bool:
        """Whether `of` made this seal of these parts, under any key of the ring. What does not hold is counted, and logged without its content, ever more rarely."""
        begun = self._begun.get(seal[:KEY_ID_LENGTH])
        if begun is not None and compare_digest(seal[KEY_ID_LENGTH:], _digest(begun, parts)):
            return True
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:
            log.error("redis.not_ours", use=self._use, so_far=self.refused)
        return False


def _digest(begun: blake2b, parts: tuple[bytes, ...]) -> bytes:
    digest = begun.copy()
    digest.update(b"".join([b"%d:%b" % (len(part), part) for part in parts]))
    return digest.digest()
