"""Decimals as the database holds them."""

from decimal import Decimal, Inexact

import pytest
from bson import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from core.money import to_storage

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
