"""JSON-RPC 2.0 over HTTP to one node, singly and in batches. (Bitcoin Core speaks 1.0, whose answers have the same parts.)"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.http import NodeHttp, NodeLimits

LIMIT_CODES = frozenset({-32005, -32097, 429})
"""EIP-1474's "limit exceeded", and what providers say instead of HTTP's 429. (Infura also says -32005 where a query "returned more than" it gives.)"""
MOST_IN_BATCH = 50


class Call(NamedTuple):
    """A method and its parameters, as JSON values."""

    method: str
    params: Sequence[object] = ()


class JsonRpc:
    """A node that speaks JSON-RPC. Results are what the node said, unchecked: whoever asks checks their shape (`integrations/chains/shapes.py`)."""

    def __init__(self, url: str, limits: NodeLimits | None = None) -> None:
        self._http = NodeHttp(url, limits)
        self._ids = itertools.count(1)

    async def close(self) -> None:
        await self._http.close()

    async def call(self, method: str, *params: object) -> object:
        """The result of one call. Raises NodeRefused, ProviderFailed."""
        body = self._body(Call(method, params))
        status, answer = await self._http.post_json(body)
        return _result(status, answer, body["id"])

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        """The results in the order of the calls; where a node refused one, its NodeRefused stands. Raises ProviderFailed."""
        results: list[object] = []
        for start in range(0, len(calls), MOST_IN_BATCH):
            bodies = [self._body(call) for call in calls[start : start + MOST_IN_BATCH]]
            status, answer = await self._http.post_json(bodies)
            if not isinstance(answer, list):
                _result(status, answer, None)
                raise ProviderFailed(Failure.MALFORMED, "its answer to a batch is no list")
            by_id = {entry.get("id"): entry for entry in answer if isinstance(entry, dict) and _is_id(entry.get("id"))}
            for body in bodies:
                try:
                    results.append(_result(status, by_id.get(body["id"]), body["id"]))
                except NodeRefused as refused:
                    results.append(refused)
        return results

    def _body(self, call: Call) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": call.method, "params": list(call.params)}


def _is_id(value: object) -> bool:
    return isinstance(value, int)


def _result(status: int, answer: object, asked: object) -> object:
    if not isinstance(answer, dict):
        if status >= 400:
            raise ProviderFailed(Failure.UNREACHABLE, f"HTTP {status}")
        raise ProviderFailed(Failure.MALFORMED, "its answer is no JSON-RPC answer")
    error = answer.get("error")
    if error is not None:
        raise _refusal(error)
    if status >= 400:
        raise ProviderFailed(Failure.UNREACHABLE, f"HTTP {status}")
    if "result" not in answer or answer.get("id") != asked:
        raise ProviderFailed(Failure.MALFORMED, "its answer is no JSON-RPC answer to what was asked")
    result: object = answer["result"]
    return result


def _refusal(error: object) -> Exception:
    if not isinstance(error, dict):
        return ProviderFailed(Failure.MALFORMED, "its error has no code")
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, int) or not isinstance(message, str):
        return ProviderFailed(Failure.MALFORMED, "its error has no code")
    if code in LIMIT_CODES and "returned more than" not in message:
        return ProviderFailed(Failure.RATE_LIMITED, "asked to be left alone", retry_after_seconds=1.0)
    return NodeRefused(code, message[:500], error.get("data"))
