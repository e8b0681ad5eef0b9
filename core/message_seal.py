"""Proof that what lay in Redis was put there by a process of this installation, and belongs where it was found.

A seal is the id of a master key (8 bytes) and an HMAC-SHA256 (32 bytes) over all parts, each with its length before it, so that no byte can move from one part to the next.
The key follows from ENCRYPTION_KEY by HKDF, one for each use. What was sealed under a former key of the ring holds as well.
"""

import hmac

import structlog

from core.secret_box import KEY_ID_LENGTH, SecretBox

log = structlog.get_logger(__name__)

SEAL_BYTES = KEY_ID_LENGTH + 32


class MessageSeal:
    """Seals and checks for one use. `refused` counts what did not hold, for metrics."""

    def __init__(self, box: SecretBox, use: str) -> None:
        self._use = use
        self._keys = {name.encode(): key for name, key in box.subkeys(f"message:{use}").items()}
        self._current = next(iter(self._keys))
        self.refused = 0

    def of(self, *parts: bytes) -> bytes:
        """The seal of these parts in this order, under the newest key."""
        return self._current + _digest(self._keys[self._current], parts)

    def holds(self, seal: bytes, *parts: bytes) -> bool:
        """Whether `of` made this seal of these parts, under any key of the ring. What does not hold is counted, and logged without its content, ever more rarely."""
        key = self._keys.get(seal[:KEY_ID_LENGTH])
        if key is not None and hmac.compare_digest(seal[KEY_ID_LENGTH:], _digest(key, parts)):
            return True
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:
            log.error("redis.not_ours", use=self._use, so_far=self.refused)
        return False


def _digest(key: bytes, parts: tuple[bytes, ...]) -> bytes:
    return hmac.digest(key, b"".join([b"%d:%b" % (len(part), part) for part in parts]), "sha256")
