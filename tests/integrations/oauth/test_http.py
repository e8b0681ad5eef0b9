"""Requests to providers: one more try where it does no harm, and an end to everything."""

import gzip

import pytest

from integrations.oauth.base import ProviderUnavailable
from integrations.oauth.http import MAX_BODY_BYTES, Answer, OAuthHttp
from tests.components import free_port
from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request


class Script:
    """Answers in turn; the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def __call__(self, request: Request) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


async def fails(http: OAuthHttp, url: str) -> str:
    with pytest.raises(ProviderUnavailable) as caught:
        await http.get(url, {"Authorization": "Bearer not-to-be-shown"})
    assert caught.value.__cause__ is None
    return caught.value.reason


async def test_a_get_is_tried_twice_when_the_provider_fails_at_once() -> None:
    async with HttpVenue(Script(Reply(status=500), Reply({"ok": 1}))).listening() as venue:
        http = OAuthHttp("Web")
        assert await http.get(venue.url) == Answer(200, {"ok": 1})
        venue.answer = Script(Reply(status=500))
        assert await fails(http, venue.url) == "it answered with status 500"
        assert len(venue.requests) == 4
        assert venue.requests[0].headers["accept-encoding"] == "identity"
        await http.close()
        await http.close()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(silent=True), "it did not answer in time"),
        (Reply(status=429), "it answered with status 429"),
        (Reply(status=307, headers={"Location": "http://169.254.169.254/"}), "it answered with status 307"),
        (Reply(b"{"), "its answer with status 200 is not JSON"),
        (Reply(b'{"a": NaN}'), "its answer with status 200 is not JSON"),
        (Reply(b"[" * 100_000), "its answer with status 200 is not JSON"),
        (Reply(b"\xff", status=400), "its answer with status 400 is not JSON"),
        (Reply(b" " * (MAX_BODY_BYTES + 1)), "its answer is too long"),
        (
            Reply(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}),
            "its answer is compressed, which was not asked for",
        ),
    ],
    ids=range(9),
)
async def test_what_will_not_be_better_is_not_asked_again(reply: Reply, reason: str) -> None:
    async with HttpVenue(Script(reply)).listening() as venue:
        http = OAuthHttp("Web", timeout_seconds=0.2 if reply.silent else 30)
        assert await fails(http, venue.url) == reason
        assert len(venue.requests) == 1
        await http.close()


async def test_nobody_there() -> None:
    http = OAuthHttp("Web")
    assert await fails(http, f"http://127.0.0.1:{free_port()}/") == "it cannot be reached"
    await http.close()
