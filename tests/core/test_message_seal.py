"""A seal holds for what was sealed, for its use, under a key of the ring; and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.message_seal import SEAL_BYTES, MessageSeal
from core.secret_box import SecretBox

OLD, NEW = bytes(32), bytes(range(32))
PARTS = (b"question", b"stream", b"answers", b"1", b"body")


def seal(*keys: bytes, use: str = "exchange") -> MessageSeal:
    return MessageSeal(SecretBox(keys or (NEW,)), use)


@given(parts=st.lists(st.binary(), max_size=5))
def test_what_was_sealed_holds_in_another_process(parts: list[bytes]) -> None:
    made = seal().of(*parts)
    assert len(made) == SEAL_BYTES
    assert seal().holds(made, *parts)


@given(parts=st.lists(st.binary(max_size=3), max_size=4), others=st.lists(st.binary(max_size=3), max_size=4))
def test_other_parts_do_not(parts: list[bytes], others: list[bytes]) -> None:
    assert seal().holds(seal().of(*parts), *others) == (parts == others)


@pytest.mark.parametrize(
    "parts",
    [
        (b"answer", *PARTS[1:]),
        (*PARTS[:-1], b"bodY"),
        (*PARTS[:-1], b""),
        (*PARTS[:3], b"1b", b"ody"),
        PARTS[:-1],
        (*PARTS, b""),
        (b"".join(PARTS),),
        (b"question", b"6:stream7:answers", b"", b"1", b"body"),
    ],
)
def test_no_byte_moves_from_one_part_to_another(parts: tuple[bytes, ...]) -> None:
    assert not seal().holds(seal().of(*PARTS), *parts)


@pytest.mark.parametrize("place", range(SEAL_BYTES))
def test_every_byte_of_a_seal_counts(place: int) -> None:
    made = bytearray(seal().of(*PARTS))
    made[place] ^= 1
    assert not seal().holds(bytes(made), *PARTS)


def test_shorter_longer_and_foreign_seals_do_not_hold() -> None:
    made = seal().of(*PARTS)
    for other in (b"", made[:8], made[:-1], made + b"\0", b"\xff" * SEAL_BYTES, seal(OLD).of(*PARTS)):
        assert not seal().holds(other, *PARTS)


def test_another_use_has_another_key() -> None:
    assert not seal().holds(seal(use="bus").of(*PARTS), *PARTS)


def test_a_former_key_holds_until_it_is_taken_away() -> None:
    before, after = seal(OLD).of(*PARTS), seal(NEW, OLD).of(*PARTS)
    assert seal(NEW, OLD).holds(before, *PARTS)
    assert after == seal(NEW).of(*PARTS), "the newest key seals"
    assert not seal(NEW).holds(before, *PARTS)
    assert seal(OLD, NEW).holds(after, *PARTS), "a process which still seals with the old key, and knows the new one"


def test_what_does_not_hold_is_counted_and_told_without_its_content() -> None:
    checked = seal()
    assert checked.holds(checked.of(*PARTS), *PARTS)
    with capture_logs() as logs:
        for _ in range(100):
            checked.holds(b"forged", b"secret")
    assert checked.refused == 100
    assert [line["so_far"] for line in logs] == [1, 2, 4, 8, 16, 32, 64]
    assert "secret" not in str(logs)
    assert "forged" not in str(logs)
