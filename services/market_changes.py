"""How often each kind of market data has changed in this process: what answers that are kept are compared with.

A counter rises in the same step that changes the data, so whoever read a counter before the data and finds it unchanged has what the data is now.
"""


class MarketChanges:
    """Counters of one view: of all its markets together. Those of one market stand in its state."""

    __slots__ = ("feed", "tick", "ticker")

    def __init__(self) -> None:
        self.tick = 0
        self.ticker = 0
        self.feed = 0
