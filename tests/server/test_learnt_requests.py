"""Requests that come again in the same bytes are not parsed again, and mean the same."""

import asyncio

import orjson
import pytest

from server.connections import HttpProtocol
from server.learnt import Learnt
from tests.markets import BTC, Markets, ticker
from tests.server.front import Front, Kept, request_of
from tests.server.serving import eventually
from tests.server.test_at_once import SMALL, markets, server

__all__ = ["markets", "server"]
WHOLE = request_of(orjson.dumps({"query": SMALL}))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was given to the parser, a row for each piece."""
    seen: list[bytes] = []
    read = HttpProtocol._read

    def watched(self: HttpProtocol, data: bytes) -> None:
        seen.append(data)
        read(self, data)

    monkeypatch.setattr(HttpProtocol, "_read", watched)
    return seen


async def sent(kept: Kept, data: bytes) -> bytes:
    """The body of the answer to these bytes."""
    kept.writer.write(data)
    return (await kept.reply()).body


async def test_the_third_is_not_parsed_and_shows_what_is_true_now(
    markets: Markets, server: Front, kept: Kept, parsed: list[bytes]
) -> None:
    for number in range(1, 6):
        markets.apply(ticker(BTC, str(number)))
        assert orjson.loads(await sent(kept, WHOLE))["data"]["market"]["ticker"] == {"last": str(number)}
    assert parsed == [WHOLE, WHOLE]
    assert server.given == [False, *[True] * 4]
    other = await server.connect()
    assert b'"last":"5"' in await sent(other, WHOLE)
    assert len(parsed) == 2
    other.close()


async def test_each_is_paid_for_and_a_refusal_is_the_applications(markets: Markets, server: Front, kept: Kept) -> None:
    markets.pipeline.budget.capacity = 8  # type: ignore[misc]
    replies = []
    for _ in range(6):
        kept.writer.write(WHOLE)
        replies.append((await kept.reply()).status)
    assert replies == [200, 200, 200, 200, 429, 429]
    assert server.given == [False, True, True, True, False, False]


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer nonsense"}, {"x-request-id": "my-request-7"}, {"cookie": "a=b"}]
)
async def test_what_shows_who_asks_is_not_kept(server: Front, kept: Kept, headers: dict[str, str]) -> None:
    whole = request_of(orjson.dumps({"query": SMALL}), headers)
    for data in (WHOLE, WHOLE, whole, whole):
        await sent(kept, data)
    assert server.edge.requests.find(WHOLE) is not None
    assert server.edge.requests.find(whole) is None


async def test_only_bytes_that_were_one_whole_request_are_known(server: Front, kept: Kept, parsed: list[bytes]) -> None:
    await sent(kept, WHOLE)
    await sent(kept, WHOLE + WHOLE)
    await kept.reply()
    assert server.edge.requests.find(WHOLE + WHOLE) is None
    half = len(WHOLE) // 2
    kept.writer.write(WHOLE + WHOLE[:half])
    await kept.reply()
    assert server.edge.requests.find(WHOLE + WHOLE[:half]) is None
    await sent(kept, WHOLE[half:])
    assert server.edge.requests.find(WHOLE[half:]) is None
    bad = WHOLE + b"\0\0\0\0"
    for _ in range(2):
        broken = await server.connect()
        broken.writer.write(bad)
        answered = await asyncio.wait_for(broken.reader.read(), 10)
        assert b"HTTP/1.1 400" in answered
        broken.close()
    assert server.edge.requests.find(bad) is None


async def test_bytes_that_are_known_mean_something_else_within_a_request(
    server: Front, kept: Kept, parsed: list[bytes]
) -> None:
    """A body that is, to the byte, a request somebody sent before."""
    for _ in range(3):
        await sent(kept, WHOLE)
    assert server.edge.requests.find(WHOLE) is not None
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(WHOLE)}\r\n\r\n"
    )
    kept.writer.write(head.encode())
    await eventually(lambda: parsed[-1] == head.encode())
    kept.writer.write(WHOLE)
    assert (await kept.reply()).status == 400


async def test_one_under_way_keeps_the_order(server: Front, kept: Kept) -> None:
    for _ in range(3):
        await sent(kept, WHOLE)
    private = request_of(orjson.dumps({"query": "{ nothing }"}))
    for data in (private, WHOLE, WHOLE):
        kept.writer.write(data)
        await kept.writer.drain()
        await asyncio.sleep(0)
    bodies = [(await kept.reply()).body for _ in range(3)]
    assert [b"GRAPHQL_VALIDATION_FAILED" in body for body in bodies] == [True, False, False]


def test_no_more_is_held_than_was_said() -> None:
    learnt: Learnt[int] = Learnt(longest=4, most=10)
    for number in range(5):
        learnt.learn(str(number).encode() * 3, number)
    learnt.learn(b"99999", 9)
    assert [learnt.find(str(number).encode() * 3) for number in range(5)] == [None, None, 2, 3, 4]
    assert learnt.find(b"99999") is None
    learnt.learn(b"222", 7)
    learnt.learn(b"555", 5)
    assert [learnt.find(each) for each in (b"222", b"333", b"444", b"555")] == [7, None, 4, 5]
