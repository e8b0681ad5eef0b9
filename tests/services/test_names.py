"""Names that people give: what is taken, and how it is kept."""

import pytest

from services.names import LONGEST, NameInvalid, checked_name, visible_name

HIDDEN = ["\0", "\u202e", "\u200b", "\ufeff", "\u2066", "\r", "\n", "\t", "\x1b", "\x7f", "\u2028", "\ue000"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Anna", "Anna"),
        ("  Anna  Maria ", "Anna  Maria"),
        ("Ann\u0061\u0308", "Ann\u00e4"),
        ("\u5b89\u5a1c", "\u5b89\u5a1c"),
        ("x" * LONGEST, "x" * LONGEST),
        ("\U0001f980", "\U0001f980"),
    ],
)
def test_a_name_is_kept_in_one_form(given: str, kept: str) -> None:
    assert checked_name(given, field=["name"]) == kept
    assert visible_name(given) == kept


@pytest.mark.parametrize("given", ["", "   ", "x" * (LONGEST + 1), "x" * 100_000, *(f"An{each}na" for each in HIDDEN)])
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        checked_name(given, field=["displayName"])
    assert refused.value.field == ["displayName"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_what_cannot_be_seen_of_a_programs_name_is_left_out(hidden: str) -> None:
    assert visible_name(f"{hidden}a {hidden}laptop{hidden}") == "a laptop"
    assert visible_name(hidden * 3) is None


def test_so_much_of_a_programs_name_is_kept() -> None:
    assert visible_name("x" * 100_000) == "x" * LONGEST
    assert visible_name(" " * 1_000 + "x") is None
