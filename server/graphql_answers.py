"""The headers of answers to GraphQL requests, and whether an answer is sent compressed."""

from collections.abc import Sequence
from functools import lru_cache

from core.budget import Budget
from graph.response_cache import Encoded
from server.media_types import JSON, RESPONSE_JSON, accepts_gzip
from server.origins import Header

COMPRESSED_FROM = 1_400
"""Bytes of data; a smaller answer fits into one packet as it is."""
_CONTENT_TYPES = {each: (b"content-type", f"{each}; charset=utf-8".encode("ascii")) for each in (JSON, RESPONSE_JSON)}
_NO_STORE = (b"cache-control", b"no-store")
_VARY = (b"vary", b"Accept, Accept-Encoding, Authorization, Cookie, Origin")
_GZIP = (b"content-encoding", b"gzip")


def answer_headers(media_type: str, cross_origin: Sequence[Header], *, zipped: bool = False) -> list[Header]:
    """Headers of every answer. `cross_origin`: those for the page that asks."""
    headers = [_CONTENT_TYPES[media_type], _NO_STORE, _VARY, *cross_origin]
    if zipped:
        headers.append(_GZIP)
    return headers


def rate_headers(budget: Budget, remaining: int) -> list[Header]:
    """What is left and when all of it is back (draft-ietf-httpapi-ratelimit-headers)."""
    policy, left = _rates(budget, remaining)
    return [(b"ratelimit-policy", policy), (b"ratelimit", left)]


def rate_lines(budget: Budget, remaining: int) -> bytes:
    """The same, as lines of a head."""
    return b"ratelimit-policy: %s\r\nratelimit: %s\r\n" % _rates(budget, remaining)


def _rates(budget: Budget, remaining: int) -> tuple[bytes, bytes]:
    capacity, rate = budget.capacity, budget.restore_per_second
    full_in = -(-(capacity - remaining) // rate)
    return _policy(capacity, rate), b'"points";r=%d;t=%d' % (remaining, full_in)


@lru_cache(maxsize=8)
def _policy(capacity: int, rate: int) -> bytes:
    return b'"points";q=%d;w=%d' % (capacity, capacity // rate)


def is_sent_compressed(answer: Encoded, accept_encoding: str) -> bool:
    """Whether the client gets it compressed. Only public data ever is: a secret beside something that an attacker chooses would show by its length."""
    return len(answer.data) >= COMPRESSED_FROM and accepts_gzip(accept_encoding)
