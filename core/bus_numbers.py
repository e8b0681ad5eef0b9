"""What lets a bus between processes notice a loss: every publisher numbers its messages per topic, without holes.

The outbox keeps messages until the server has taken them and may therefore send one twice; the inbox drops what it has seen. A message
given up is replaced by a mark with its number, sent in its place, so that readers learn of a loss even if nothing follows it.

Wire form of a message: `M publisher number request body`, of a mark: `L publisher number - ` (one space between; number in decimal;
request is the id of the request that caused the message, `-` for none).
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import StrEnum

_NO_REQUEST = "-"


class EnvelopeKind(StrEnum):
    """What an envelope says of its number."""

    MESSAGE = "M"
    LOST = "L"


class MalformedEnvelope(ValueError):
    """The bytes were not sent by a bus of ours."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of one publisher on one topic, or the mark that all up to `number` may be lost (empty body)."""

    topic: str
    kind: EnvelopeKind
    publisher: str
    number: int
    body: bytes = b""
    request_id: str | None = None

    @property
    def is_message(self) -> bool:
        """Whether there is a body to deliver."""
        return self.kind is EnvelopeKind.MESSAGE

    def to_bytes(self) -> bytes:
        """The wire form; the topic travels as the channel's name."""
        request = (self.request_id or _NO_REQUEST).encode()
        return b"%b %b %d %b %b" % (self.kind.encode(), self.publisher.encode(), self.number, request, self.body)

    @classmethod
    def from_bytes(cls, topic: str, data: bytes) -> "Envelope":
        """Read the wire form. Raises MalformedEnvelope."""
        try:
            kind, publisher, number, request, body = data.split(b" ", 4)
            request_id = None if request == _NO_REQUEST.encode() else request.decode()
            return cls(topic, EnvelopeKind(kind.decode()), publisher.decode(), int(number), body, request_id)
        except ValueError as error:
            raise MalformedEnvelope("expected: kind, publisher, number, request, body") from error


class Outbox:
    """Messages waiting to be sent, in order. When `capacity` messages wait, all of them are given up for one mark per topic."""

    def __init__(self, publisher: str, capacity: int) -> None:
        self.lost = 0
        self._publisher = publisher
        self._capacity = capacity
        self._numbers: dict[str, int] = {}
        self._waiting: deque[Envelope] = deque()
        self._messages_waiting = 0
        self._in_flight: list[Envelope] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, topic: str, body: bytes, request_id: str | None = None) -> None:
        """Number a message and let it wait."""
        if self._messages_waiting >= self._capacity:
            self._give_up()
        number = self._numbers.get(topic, 0) + 1
        self._numbers[topic] = number
        self._waiting.append(Envelope(topic, EnvelopeKind.MESSAGE, self._publisher, number, body, request_id))
        self._messages_waiting += 1

    def take(self, most: int) -> list[Envelope]:
        """The next envelopes to send: the same ones again until `confirm` says that the server has them."""
        while self._waiting and len(self._in_flight) < most:
            envelope = self._waiting.popleft()
            self._messages_waiting -= envelope.is_message
            self._in_flight.append(envelope)
        return self._in_flight

    def confirm(self) -> None:
        """The server has everything last taken."""
        self._in_flight = []

    def _give_up(self) -> None:
        self.lost += self._messages_waiting
        last_numbers = {envelope.topic: envelope.number for envelope in self._waiting}
        self._waiting = deque(
            Envelope(topic, EnvelopeKind.LOST, self._publisher, number) for topic, number in last_numbers.items()
        )
        self._messages_waiting = 0


class Verdict(StrEnum):
    """What a reader makes of an envelope."""

    NEXT = "NEXT"
    AFTER_HOLE = "AFTER_HOLE"
    SEEN = "SEEN"


class Inbox:
    """The last number of every publisher, per topic read here. Of more than `most_publishers` the least recent is forgotten."""

    def __init__(self, most_publishers: int = 1000) -> None:
        self._most_publishers = most_publishers
        self._topics: dict[str, OrderedDict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def judge(self, envelope: Envelope) -> Verdict:
        """Whether it follows the last one of its publisher; remembers it. The first of a publisher follows nothing."""
        publishers = self._topics.setdefault(envelope.topic, OrderedDict())
        last = publishers.get(envelope.publisher)
        if last is not None and envelope.number <= last:
            return Verdict.SEEN
        publishers[envelope.publisher] = envelope.number
        publishers.move_to_end(envelope.publisher)
        if len(publishers) > self._most_publishers:
            publishers.popitem(last=False)
        if not envelope.is_message or (last is not None and envelope.number != last + 1):
            return Verdict.AFTER_HOLE
        return Verdict.NEXT

    def forget(self, topic: str) -> None:
        """Nobody here reads the topic any more."""
        self._topics.pop(topic, None)
