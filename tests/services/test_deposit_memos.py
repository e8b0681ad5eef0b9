"""Memos: a slip of the hand names nobody."""

import pytest

from services.deposit_memos import new_memo, read_memo, with_check


def test_a_memo_is_read_however_it_is_spaced() -> None:
    memo = new_memo()
    assert len(memo) == 10
    for text in (memo, f" {memo}\n", f"{memo[:3]} {memo[3:6]} {memo[6:]}"):
        assert read_memo([text]) == memo
    assert read_memo(["thanks", memo, memo]) == memo
    assert read_memo([memo, with_check(int(memo[:8]) ^ 1)]) is None


@pytest.mark.parametrize("text", ["", "ann", "12345678", "12345678901", "１２３４５６７８９０", "0x12345678"])
def test_other_words_are_no_memo(text: str) -> None:
    assert read_memo([text]) is None


def test_one_wrong_digit_or_two_swapped_are_noticed() -> None:
    for number in (0, 7, 12_345_678, 99_999_999):
        memo = with_check(number)
        assert read_memo([memo]) == memo
        for place, digit in enumerate(memo):
            for other in "0123456789":
                wrong = memo[:place] + other + memo[place + 1 :]
                assert (read_memo([wrong]) is None) == (other != digit)
        for place in range(9):
            swapped = memo[:place] + memo[place + 1] + memo[place] + memo[place + 2 :]
            assert swapped == memo or read_memo([swapped]) is None
