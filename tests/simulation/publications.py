"""What was published to accounts: only what is durable, and always the same under the same number."""

from collections.abc import Callable

from events.trading import AccountLogged, Logged, ProjectionAdvanced, in_order


class Publications:
    """Everything that anybody could have received."""

    def __init__(self, stored_sequence: Callable[[], int]) -> None:
        self.logged: dict[tuple[str, int], Logged] = {}
        self._stored_sequence = stored_sequence

    def heard(self, event: object) -> None:
        """Called with everything that is published."""
        if isinstance(event, AccountLogged | ProjectionAdvanced):
            assert event.sequence <= self._stored_sequence(), f"published before it was stored: {event}"
        if isinstance(event, AccountLogged):
            assert [item.number for item in in_order(event)] == list(range(event.first, event.last + 1))
            for item in in_order(event):
                known = self.logged.setdefault((event.account, item.number), item)
                assert known == item, f"{event.account} was told two things under {item.number}: {known} and {item}"
