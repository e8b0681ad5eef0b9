"""Answers that are given as soon as the request has arrived: no task, no ASGI messages, one write.

It takes the straight way only: a POST of a body that was answered before without waiting, by a caller who shows no credential, or an access token that this process knows, and
has points left here. Public data is given as it is kept, and executed again where it has changed; anything else is executed for the caller. Whatever waits all the same, has errors, or needs
another judgement is left to the application, which gives the same answer, but for its id and date.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from core.client_address import ClientAddresses, limit_key
from core.request_id import accepted_or_new
from graph.judged import Judged
from graph.pipeline import Pipeline
from graph.request import cost_alone
from graph.response_cache import Parts
from server.arrived import AUTHORIZATION, REQUEST_ID, Arrived
from server.authentication import Authentication, Handshake
from server.graphql_answers import answer_headers, is_sent_compressed, rate_lines
from server.learnt import Learnt
from server.origins import Origins
from server.transport_metrics import TransportMetrics
from server.whole_answers import lines

SETS = frozenset({b"cache-control"})
"""What its answers say of themselves among the headers that every answer has."""
_LONGEST_BODY = 4_096
_BYTES_HELD = 200_000


class Ready(NamedTuple):
    """An answer with the headers that it has of its own, as lines. `address`: the caller's. `seconds`: what it took."""

    head: bytes
    body: Parts
    address: str
    request_id: str
    seconds: float


class KnownBodies:
    """Bodies of requests that were answered without waiting, and what they were judged to be; those learnt first go first."""

    def __init__(self) -> None:
        self._known: Learnt[dict[bool, Judged]] = Learnt(longest=_LONGEST_BODY, most=_BYTES_HELD)

    def find(self, body: bytes) -> Mapping[bool, Judged] | None:
        """What this body was judged to be, by whether somebody was signed in: one may have to wait where the other has not."""
        return self._known.find(body)

    def forget(self, body: bytes) -> None:
        """This body's answer has errors now, or waits: it is the application's, until it does not again."""
        self._known.forget(body)

    def learn(self, body: bytes, judged: Judged, *, signed_in: bool) -> None:
        """A POST of this body asks for this and for nothing else, whoever sends it."""
        known = self._known.find(body)
        if known is None:
            self._known.learn(body, {signed_in: judged})
        else:
            known[signed_in] = judged


class AtOnce:
    """See the module. One per process."""

    def __init__(
        self,
        known: KnownBodies,
        pipeline: Pipeline,
        authentication: Authentication,
        *,
        addresses: ClientAddresses,
        origins: Origins,
        metrics: TransportMetrics,
    ) -> None:
        self._known = known
        self._pipeline = pipeline
        self._authentication = authentication
        self._addresses = addresses
        self._origins = origins
        self._metrics = metrics
        self._heads: dict[tuple[str, bool], bytes] = {}
        """Of answers to programs, which name no origin."""

    def answer(self, request: Arrived, peer: str | None) -> Ready | None:
        """The answer to a POST; None: the application is to be asked. Nobody was told anything then, and nothing was charged."""
        known = self._known.find(request.body)
        if known is None:
            return None
        started = time.perf_counter()
        wish = request.read()
        if wish is None:
            return None
        values = wish.values
        viewer, authorization = None, values.get(AUTHORIZATION)
        if authorization is not None and (viewer := self._authentication.known(authorization)) is None:
            return None
        judged = known.get(viewer is not None)
        if judged is None:
            return None
        address = self._addresses.of(peer, request.headers)
        key = limit_key(address) if viewer is None else viewer.limit_key
        budget, points = self._pipeline.budget, judged.cost.points
        remaining = budget.take_if_there(key, points)
        if remaining is None:
            return None
        request_id = accepted_or_new(values.get(REQUEST_ID))
        if judged.public is not None:
            found = self._pipeline.answers.find(judged, judged.public.version) or self._pipeline.refreshed(judged)
        else:
            caller = self._authentication.caller(Handshake(request.headers, peer, request_id, values=values), viewer)
            found = self._pipeline.answered_now(judged, caller)
        if found is None:
            budget.give_back(key, points)
            self._known.forget(request.body)
            return None
        zipped = judged.public is not None and is_sent_compressed(found, values.get(b"accept-encoding", ""))
        told = cost_alone(points, remaining=remaining, restore_rate=budget.restore_per_second)
        first, data, last = body = found.gzipped(told) if zipped else found.plain(told)
        head = b"%s%scontent-length: %d\r\n" % (
            self._head(wish.media_type, values.get(b"origin") or None, zipped=zipped),
            rate_lines(budget, remaining),
            len(first) + len(data) + len(last),
        )
        seconds = time.perf_counter() - started
        self._metrics.operation_seconds.labels("http", judged.label).observe(seconds)
        return Ready(head, body, address, request_id, seconds)

    def _head(self, media_type: str, origin: str | None, *, zipped: bool) -> bytes:
        if origin is not None:
            return lines(answer_headers(media_type, self._origins.response_headers(origin), zipped=zipped))
        head = self._heads.get((media_type, zipped))
        if head is None:
            head = self._heads[media_type, zipped] = lines(answer_headers(media_type, (), zipped=zipped))
        return head
