"""When a child process is started again, and when no more."""

import pytest

from core.clock import ManualClock
from server.errors import CannotRun
from server.restarts import Restarts, how_it_ended


def test_pauses_grow_and_the_fourth_death_in_a_minute_is_the_last() -> None:
    restarts = Restarts(ManualClock())
    pauses = [restarts.delay_after("it died") for _ in range(3)]
    for pause, longest in zip(pauses, (0.5, 1, 2), strict=True):
        assert longest / 2 <= pause <= longest
    with pytest.raises(CannotRun, match="giving up after 3 restarts in a minute: it died at last"):
        restarts.delay_after("it died at last")


def test_deaths_that_are_far_apart_are_followed_for_ever_and_soon() -> None:
    clock = ManualClock()
    restarts = Restarts(clock)
    for _ in range(10):
        clock.advance(61)
        assert restarts.delay_after("it died") <= 0.5


def test_an_end_is_told_in_words() -> None:
    assert how_it_ended(-9) == "was ended by SIGKILL"
    assert how_it_ended(1) == "ended with status 1"
