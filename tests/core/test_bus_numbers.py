import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bus_numbers import (
    MOST_TOGETHER,
    Envelope,
    EnvelopeKind,
    Inbox,
    MalformedEnvelope,
    Outbox,
    Verdict,
    from_wire,
    runs,
    to_wire,
)


def message(number: int, *, topic: str = "a", publisher: str = "p", body: bytes = b"x") -> Envelope:
    return Envelope(topic, EnvelopeKind.MESSAGE, publisher, number, body)


def mark(number: int, *, topic: str = "a", publisher: str = "p") -> Envelope:
    return Envelope(topic, EnvelopeKind.LOST, publisher, number)


@given(body=st.binary(), number=st.integers(1, 2**63))
def test_an_envelope_survives_the_wire(body: bytes, number: int) -> None:
    caused = Envelope("a", EnvelopeKind.MESSAGE, "p", number, body, "request-1")
    for envelope in (message(number, body=body), mark(number), caused):
        assert Envelope.from_bytes("a", envelope.to_bytes()) == envelope


LETTERS = st.tuples(st.sampled_from("ab"), st.sampled_from([None, "request-1"]), st.binary(max_size=20))


@given(letters=st.lists(LETTERS, max_size=200), capacity=st.sampled_from([50, 1000]))
def test_what_travels_together_arrives_as_it_was_put(
    letters: list[tuple[str, str | None, bytes]], capacity: int
) -> None:
    outbox = Outbox("p", capacity)
    for topic, request_id, body in letters:
        outbox.put(topic, body, request_id)
    sent = list(outbox.take(1000))
    together = list(runs(sent))
    assert [each for run in together for each in from_wire(run[0].topic, to_wire(run))] == sent
    assert all(len(run) <= MOST_TOGETHER for run in together)


def test_only_neighbours_of_one_topic_and_one_request_travel_together() -> None:
    caused = Envelope("a", EnvelopeKind.MESSAGE, "p", 3, b"x", "request-1")
    given_ = [message(1), message(2), caused, message(4), mark(9), message(10), message(1, topic="b"), message(11)]
    given_ += [message(12, body=b"x" * 65_536), message(13), message(14)]
    lengths = [len(run) for run in runs(given_)]
    assert lengths == [2, 1, 1, 1, 1, 1, 1, 1, 2]
    assert [len(run) for run in runs(message(number) for number in range(1, 2 * MOST_TOGETHER + 2))] == [64, 64, 1]


def test_one_alone_travels_as_ever() -> None:
    assert to_wire([message(7)]) == message(7).to_bytes() == b"M p 7 - x"
    assert to_wire([message(7), message(8, body=b"yz")]) == b"S p 7 - 1,2 xyz"


@pytest.mark.parametrize(
    "data",
    [
        b"S ",
        b"S p 1 - 1 ",
        b"S p 1 - 1 xy",
        b"S p 1 - 1,a xy",
        b"S p 1 - 3,-1 xy",
        b"S p 1 - -1,3 xy",
        b"S p one - 1 x",
        b"S p 1 - x",
        b"S \xff 1 - 1 x",
        b"S p 1 -  x",
        b"SS p 1 - 1 x",
        b"",
        b"M",
        b"M p 1",
        b"X p 1 - x",
        b"M p one - x",
        b"M p  - x",
        b"\xff p 1 - x",
        b"M \xff 1 - x",
        b'{"t":"TickAccepted"}',
    ],
)
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedEnvelope):
        from_wire("a", data)


def test_the_outbox_numbers_each_topic_and_keeps_what_is_not_confirmed() -> None:
    outbox = Outbox("p", capacity=10)
    for topic in ("a", "b", "a"):
        outbox.put(topic, b"x")
    first = [message(1), message(1, topic="b")]
    assert list(outbox.take(2)) == first
    assert list(outbox.take(2)) == first
    outbox.confirm()
    assert list(outbox.take(2)) == [message(2)]
    outbox.confirm()
    assert list(outbox.take(2)) == []
    assert len(outbox) == outbox.lost == 0


def test_an_overflowing_outbox_leaves_one_mark_per_topic_before_the_newest() -> None:
    outbox = Outbox("p", capacity=3)
    for topic in ("a", "a", "b", "b"):
        outbox.put(topic, b"x")
    assert list(outbox.take(10)) == [mark(2), mark(1, topic="b"), message(2, topic="b")]
    assert outbox.lost == 3


def test_what_is_in_flight_is_not_given_up() -> None:
    outbox = Outbox("p", capacity=2)
    outbox.put("a", b"x")
    assert list(outbox.take(1)) == [message(1)]
    for _ in range(3):
        outbox.put("a", b"x")
    assert list(outbox.take(10)) == [message(1), mark(3), message(4)]


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 5))
def test_the_outbox_stays_bounded_and_hides_no_number(topics: list[str], capacity: int) -> None:
    outbox = Outbox("p", capacity)
    for topic in topics:
        outbox.put(topic, b"x")
        assert len(outbox) <= capacity + len(set(topics))
    told: dict[str, int] = {}
    for envelope in outbox.take(1000):
        last = told.get(envelope.topic, 0)
        assert envelope.number == last + 1 if envelope.is_message else envelope.number > last
        told[envelope.topic] = envelope.number
    assert told == {topic: topics.count(topic) for topic in set(topics)}


@pytest.mark.parametrize(
    ("arriving", "verdicts"),
    [
        pytest.param([message(1), message(2)], "NEXT NEXT", id="in order"),
        pytest.param([message(7), message(8)], "NEXT NEXT", id="the first of a publisher follows nothing"),
        pytest.param([message(1), message(3)], "NEXT AFTER_HOLE", id="a hole"),
        pytest.param(
            [message(1), message(2), message(1), message(2), message(3)], "NEXT NEXT SEEN SEEN NEXT", id="again"
        ),
        pytest.param([message(1), mark(5), message(6)], "NEXT AFTER_HOLE NEXT", id="a mark"),
        pytest.param([mark(5), mark(5)], "AFTER_HOLE SEEN", id="a mark of an unknown publisher, sent twice"),
        pytest.param([message(4), message(1, publisher="q"), message(5)], "NEXT NEXT NEXT", id="two publishers"),
        pytest.param([message(4), message(9, topic="b"), message(5)], "NEXT NEXT NEXT", id="two topics"),
    ],
)
def test_what_the_inbox_makes_of_numbers(arriving: list[Envelope], verdicts: str) -> None:
    inbox = Inbox()
    assert [inbox.judge(envelope) for envelope in arriving] == [Verdict(word) for word in verdicts.split()]


def test_the_inbox_forgets_topics_and_the_least_recent_publisher() -> None:
    inbox = Inbox(most_publishers=2)
    for publisher, number in (("p", 1), ("q", 1), ("p", 2), ("r", 1)):
        inbox.judge(message(number, publisher=publisher))
    assert inbox.judge(message(2, publisher="p")) is Verdict.SEEN
    assert inbox.judge(message(1, publisher="q")) is Verdict.NEXT
    inbox.forget("a")
    inbox.forget("never read")
    assert len(inbox) == 0
