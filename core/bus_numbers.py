"""What lets a bus between processes notice a loss: every publisher numbers its messages per topic, without holes.

The outbox keeps messages until the server has taken them and may therefore send one twice; the inbox drops what it has seen. A message
given up is replaced by a mark with its number, sent in its place, so that readers learn of a loss even if nothing follows it.

Wire form of a message: `M publisher number request body`, of a mark: `L publisher number - ` (one space between; number in decimal;
request is the id of the request that caused the message, `-` for none).
Neighbours may travel as one: `S publisher number request lengths bodies`, with the number of the first, the lengths separated by commas, and the bodies one
after the other.
"""

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

MOST_TOGETHER = 64
"""Messages that travel as one."""
_MOST_BYTES = 64 * 1024
_SEVERAL = b"S"
_BEGINS_SEVERAL = _SEVERAL + b" "
_NO_REQUEST = "-"
_NO_REQUEST_BYTES = _NO_REQUEST.encode()


class EnvelopeKind(StrEnum):
    """What an envelope says of its number."""

    MESSAGE = "M"
    LOST = "L"


_KINDS = {kind.encode(): kind for kind in EnvelopeKind}


class MalformedEnvelope(ValueError):
    """The bytes were not sent by a bus of ours."""


class Envelope(NamedTuple):
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
            return cls(topic, _KINDS[kind], publisher.decode(), int(number), body, _request_id(request))
        except (KeyError, ValueError) as error:
            raise MalformedEnvelope("expected: kind, publisher, number, request, body") from error


def runs(envelopes: Iterable[Envelope]) -> Iterator[list[Envelope]]:
    """These in their order, neighbours that may travel as one together."""
    run: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        size += len(envelope.body)
        if run and (len(run) == MOST_TOGETHER or size > _MOST_BYTES or not _continues(run[-1], envelope)):
            yield run
            run, size = [], len(envelope.body)
        run.append(envelope)
    if run:
        yield run


def _continues(last: Envelope, envelope: Envelope) -> bool:
    return (
        envelope.topic == last.topic
        and envelope.number == last.number + 1
        and envelope.request_id == last.request_id
        and envelope.is_message
        and last.is_message
    )


def to_wire(run: Sequence[Envelope]) -> bytes:
    """The wire form of what `runs` has put together."""
    first = run[0]
    if len(run) == 1:
        return first.to_bytes()
    request = (first.request_id or _NO_REQUEST).encode()
    lengths = b",".join([b"%d" % len(each.body) for each in run])
    head = b"%b %b %d %b %b " % (_SEVERAL, first.publisher.encode(), first.number, request, lengths)
    return head + b"".join([each.body for each in run])


def from_wire(topic: str, data: bytes) -> Sequence[Envelope]:
    """Everything that travelled as one. Raises MalformedEnvelope."""
    if not data.startswith(_BEGINS_SEVERAL):
        return (Envelope.from_bytes(topic, data),)
    try:
        _, sender, number, request, lengths, bodies = data.split(b" ", 5)
        publisher, first, request_id = sender.decode(), int(number), _request_id(request)
        ends = [0]
        for length in lengths.split(b","):
            ends.append(ends[-1] + int(length))
    except ValueError as error:
        raise MalformedEnvelope("expected: publisher, number, request, lengths, bodies") from error
    if ends[-1] != len(bodies) or ends != sorted(ends):
        raise MalformedEnvelope("the lengths are not those of the bodies")
    parts = [bodies[start:end] for start, end in itertools.pairwise(ends)]
    return [
        Envelope(topic, EnvelopeKind.MESSAGE, publisher, first + place, body, request_id)
        for place, body in enumerate(parts)
    ]


def _request_id(told: bytes) -> str | None:
    return None if told == _NO_REQUEST_BYTES else told.decode()


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
