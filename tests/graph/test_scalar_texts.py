"""What scalars write."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from graph.scalars import datetime_text

OFFSETS = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS | st.just(UTC)))  # noqa: DTZ001
def test_a_moment_is_its_text_in_utc_cut_to_milliseconds(moment: datetime) -> None:
    text = datetime_text(moment)
    assert len(text) == len("2026-01-31T12:00:00.000Z")
    assert text.endswith("Z")
    assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_equal_moments_have_one_text() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 999_999, UTC)
    assert datetime_text(moment) == "2026-01-31T12:00:00.999Z"
    assert datetime_text(moment.astimezone(timezone(timedelta(hours=5, minutes=45)))) == "2026-01-31T12:00:00.999Z"
