"""Coinbase Advanced Trade, as a client meets it: one sequence per connection over all channels, a snapshot per book on subscribing."""

from typing import Any

from tests.integrations.feeds.venues.sockets import Line, SocketVenue

TIME = "2026-04-07T14:30:00.123456Z"


class CoinbaseVenue(SocketVenue):
    """Answers subscriptions; `say` numbers whatever else is sent."""

    def __init__(self, book: dict[str, Any]) -> None:
        super().__init__()
        self.book = book
        self._numbers: dict[Line, int] = {}

    async def on_message(self, line: Line, message: dict[str, object]) -> None:
        if message.get("type") != "subscribe":
            return
        channel = str(message["channel"])
        await self.say(line, "subscriptions", {"subscriptions": {channel: message.get("product_ids", [])}})
        if channel == "level2":
            await self.say(line, "l2_data", *self.book["events"])

    async def say(self, line: Line, channel: str, *events: object) -> None:
        """Send events on a channel with the next number."""
        number = self.skip(line)
        await line.send(
            {"channel": channel, "client_id": "", "timestamp": TIME, "sequence_num": number, "events": list(events)}
        )

    async def repeat(self, line: Line, recorded: dict[str, Any]) -> None:
        """Send a recorded message, with the number that is its turn here."""
        await line.send({**recorded, "sequence_num": self.skip(line)})

    def skip(self, line: Line) -> int:
        """Use up a number."""
        number = self._numbers.get(line, 0)
        self._numbers[line] = number + 1
        return number
