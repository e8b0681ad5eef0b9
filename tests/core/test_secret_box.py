"""Secrets at rest: what is sealed opens where it belongs, under any key of the ring, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secret_box import SealBroken, SecretBox, key_id

OLD, NEW, OTHER = (bytes([first, *range(1, 32)]) for first in (1, 2, 3))
BOX = SecretBox([NEW, OLD])


@given(plain=st.binary(max_size=300), context=st.text(max_size=40))
def test_what_is_sealed_opens_in_its_context(plain: bytes, context: str) -> None:
    sealed = BOX.seal(plain, context)
    assert BOX.open(sealed, context) == plain
    assert sealed.isascii()
    with pytest.raises(SealBroken):
        BOX.open(sealed, context + "x")


def test_the_same_secret_is_never_sealed_alike() -> None:
    assert len({BOX.seal(b"secret", "totp:1") for _ in range(50)}) == 50


@given(place=st.integers(min_value=0, max_value=200), change=st.integers(min_value=1, max_value=127))
def test_a_changed_seal_does_not_open(place: int, change: int) -> None:
    sealed = BOX.seal(b"a secret of some length", "totp:1")
    place %= len(sealed)
    changed = sealed[:place] + chr(ord(sealed[place]) ^ change) + sealed[place + 1 :]
    try:
        opened = BOX.open(changed, "totp:1")
    except SealBroken:
        return
    assert opened == b"a secret of some length"  # base64 has texts that differ and mean the same


@pytest.mark.parametrize("text", ["", ".", "1.", "1.aa.", "2.971b2f74.AAAA", "1.ffffffff.AAAA", "1.971b2f74.", "ü.ü.ü"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(SealBroken):
        BOX.open(text, "c")


def test_an_older_key_still_opens_and_the_newest_one_seals() -> None:
    before = SecretBox([OLD])
    sealed, digest = before.seal(b"secret", "c"), before.digest(b"message", "c")
    assert BOX.open(sealed, "c") == b"secret"
    assert BOX.verifies(digest, b"message", "c")
    assert not BOX.is_current(sealed)
    assert not BOX.is_current(digest)
    assert BOX.is_current(BOX.seal(b"secret", "c"))
    assert BOX.is_current(BOX.digest(b"message", "c"))
    assert BOX.seal(b"", "c").split(".")[1] == key_id(NEW)
    without_the_old_one = SecretBox([NEW])
    with pytest.raises(SealBroken):
        without_the_old_one.open(sealed, "c")
    assert not without_the_old_one.verifies(digest, b"message", "c")


def test_a_digest_is_of_its_message_its_context_and_its_key() -> None:
    digest = BOX.digest(b"message", "c")
    assert digest == BOX.digest(b"message", "c")
    assert BOX.verifies(digest, b"message", "c")
    assert not BOX.verifies(digest, b"another", "c")
    assert not BOX.verifies(digest, b"message", "d")
    assert not SecretBox([OTHER]).verifies(digest, b"message", "c")
    assert not BOX.verifies("", b"message", "c")
    assert not BOX.verifies(digest.upper(), b"message", "c")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"x" * 31]])
def test_a_ring_has_keys_of_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SecretBox(keys)
