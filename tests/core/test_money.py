"""Decimals as the database holds them, and as they are written."""

from decimal import Decimal, Inexact

import pytest
from bson import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from core.money import canonical, to_storage

AS_IT_IS = st.builds(
    lambda sign, coefficient, exponent: Decimal(sign * coefficient).scaleb(exponent),
    st.sampled_from([1, -1]),
    st.integers(0, 10**34 - 1),
    st.one_of(st.integers(-40, 10), st.integers(-6176, 6111)),
)


@given(st.one_of(AS_IT_IS, st.decimals(allow_nan=False, allow_infinity=False, places=18)))
@example(Decimal("-0"))
@example(Decimal("-0.000"))
@example(Decimal("9" * 34 + "E6111"))
@example(Decimal("1E-6176"))
@example(Decimal("1E6144"))
def test_a_stored_number_is_the_one_the_driver_makes(value: Decimal) -> None:
    try:
        expected = Decimal128(value)
    except Inexact:
        with pytest.raises(Inexact):
            to_storage(value)
        return
    assert to_storage(value) == expected


@pytest.mark.parametrize("text", ["1" * 35, "0." + "1" * 35, "1E-6177", "1E6145"])
def test_no_digit_is_lost(text: str) -> None:
    with pytest.raises(ArithmeticError):
        to_storage(Decimal(text))


@given(
    st.builds(
        lambda value, exponent: Decimal(value).scaleb(exponent), st.integers(-(10**20), 10**20), st.integers(-30, 30)
    )
)
def test_the_text_of_a_number_has_its_digits_and_no_others(value: Decimal) -> None:
    text = canonical(value)
    assert Decimal(text) == value
    assert not set(text) - set("-.0123456789")
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0E+5", "0"),
        ("-0.00", "0"),
        ("0E-9", "0"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("100.0", "100"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("-12.3400", "-12.34"),
        ("10", "10"),
    ],
)
def test_the_one_text_of_a_number(number: str, text: str) -> None:
    assert canonical(Decimal(number)) == text
