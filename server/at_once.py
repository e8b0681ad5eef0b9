"""Answers that are there already, given as soon as the request has arrived: no task, no ASGI messages, one write.

It takes the straight way only: a POST of a body that was answered before with public data, by a caller who shows no credential and has points left in this process.
Where the data has changed since, the operation is executed, which public ones do without waiting. Everything else is left to the application, which gives the same answer to it, but for its id and date.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.budget import Budget
from core.client_address import ClientAddresses, limit_key
from graph.judged import Judged
from graph.request import EncodedAnswer
from graph.response_cache import Encoded, ResponseCache
from server.graphql_answers import answer_headers, is_sent_compressed, rate_headers
from server.media_types import answer_type, is_json_in_utf8, streaming_type
from server.origins import Header, Origins
from server.transport_metrics import TransportMetrics
from server.whole_answers import lines

LEFT_TO_THE_APPLICATION = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"cookie",
        b"expect",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
        b"x-exchange-sequence",
    }
)
"""Headers that say what is not judged here."""
SETS = frozenset({b"cache-control"})
"""What its answers say of themselves among the headers that every answer has."""
_LONGEST_BODY = 4_096
_BYTES_HELD = 200_000


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer with the headers that it has of its own, as lines. `address`: the caller's. `seconds`: what it took."""

    head: bytes
    body: bytes
    address: str
    seconds: float


class KnownBodies:
    """Bodies of requests that were answered with public data, and what they were judged to be; those learnt first go first."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Judged] = OrderedDict()
        self._bytes = 0

    def find(self, body: bytes) -> Judged | None:
        """What this body was judged to be."""
        return self._known.get(body)

    def forget(self, body: bytes) -> None:
        """This body's answer has errors now: the application tells them, until it answers without one again."""
        if self._known.pop(body, None) is not None:
            self._bytes -= len(body)

    def learn(self, body: bytes, judged: Judged) -> None:
        """A POST of this body asks for this and for nothing else, whoever sends it."""
        if len(body) > _LONGEST_BODY or body in self._known:
            return
        self._known[body] = judged
        self._bytes += len(body)
        while self._bytes > _BYTES_HELD:
            dropped, _ = self._known.popitem(last=False)
            self._bytes -= len(dropped)


class AtOnce:
    """See the module. One per process."""

    def __init__(
        self,
        known: KnownBodies,
        answers: ResponseCache,
        refreshed: Callable[[Judged], Encoded | None],
        *,
        budget: Budget,
        addresses: ClientAddresses,
        origins: Origins,
        metrics: TransportMetrics,
    ) -> None:
        """`refreshed`: executes a public operation again whose data has changed; None where the application must."""
        self._refreshed = refreshed
        self._known = known
        self._answers = answers
        self._budget = budget
        self._addresses = addresses
        self._origins = origins
        self._metrics = metrics
        self._heads: dict[tuple[str, bool], bytes] = {}
        """Of answers to programs, which name no origin."""

    def answer(self, headers: Sequence[Header], body: bytes, peer: str | None) -> Ready | None:
        """The answer to a POST; None: the application is to be asked. Nothing was done then."""
        judged = self._known.find(body)
        if judged is None or judged.public is None:
            return None
        started = time.perf_counter()
        values: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in LEFT_TO_THE_APPLICATION or name in values:
                return None
            values[name] = value
        accept = _text(values, b"accept")
        media_type = answer_type(accept)
        if (
            media_type is None
            or streaming_type(accept) is not None
            or not is_json_in_utf8(_text(values, b"content-type"))
        ):
            return None
        address = self._addresses.of(peer, headers)
        if not self._budget.has(limit_key(address), judged.cost.points):
            return None
        found = self._answers.find(judged, judged.public.version) or self._refreshed(judged)
        if found is None:
            self._known.forget(body)
            return None
        remaining = self._budget.take_if_there(limit_key(address), judged.cost.points)
        if remaining is None:
            return None
        told = EncodedAnswer.of(found, judged, remaining=remaining, restore_rate=self._budget.restore_per_second)
        zipped = is_sent_compressed(told, _text(values, b"accept-encoding"))
        whole = told.gzipped() if zipped else told.plain()
        head = b"%s%scontent-length: %d\r\n" % (
            self._head(media_type, _text(values, b"origin") or None, zipped=zipped),
            lines(rate_headers(self._budget, remaining)),
            len(whole),
        )
        seconds = time.perf_counter() - started
        self._metrics.operation_seconds.labels("http", judged.label).observe(seconds)
        return Ready(head, whole, address, seconds)

    def _head(self, media_type: str, origin: str | None, *, zipped: bool) -> bytes:
        if origin is not None:
            return lines(answer_headers(media_type, self._origins.response_headers(origin), zipped=zipped))
        head = self._heads.get((media_type, zipped))
        if head is None:
            head = self._heads[media_type, zipped] = lines(answer_headers(media_type, (), zipped=zipped))
        return head


def _text(values: dict[bytes, bytes], name: bytes) -> str:
    return values.get(name, b"").decode("latin-1")
