import pytest

from core.errors import InvalidInput
from core.paging import MAX_CANDLE_PAGE_SIZE, PageRequest


def test_a_page_has_fifty_rows_from_the_start_unless_asked_otherwise() -> None:
    assert (PageRequest().size, PageRequest().backwards) == (50, False)
    assert (PageRequest(first=0).size, PageRequest(first=500).size) == (0, 500)
    assert (PageRequest(last=3).size, PageRequest(last=3).backwards) == (3, True)
    assert PageRequest(first=1000, max_size=MAX_CANDLE_PAGE_SIZE).size == 1000


@pytest.mark.parametrize(
    ("arguments", "field", "limit"),
    [
        ({"first": 1, "last": 1}, "last", None),
        ({"first": -1}, "first", 0),
        ({"last": -5}, "last", 0),
        ({"first": 501}, "first", 500),
        ({"last": 501}, "last", 500),
        ({"first": 1001, "max_size": 1000}, "first", 1000),
    ],
)
def test_a_size_that_cannot_be_is_refused_by_name(arguments: dict[str, int], field: str, limit: int | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        PageRequest(**arguments)  # type: ignore[arg-type]
    assert refusal.value.code == "BAD_USER_INPUT"
    assert refusal.value.details["field"] == [field]
    assert refusal.value.details.get("limit") == limit
    if limit is not None:
        assert refusal.value.details["actual"] == arguments[field]
