"""A small HTTP/1.1 client for load: one request at a time on a kept connection, nothing but what a figure needs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson


@dataclass(slots=True)
class Connection:
    """A connection to the server under test."""

    port: int
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False)

    async def post(
        self, query: str, *, headers: Mapping[str, str] | None = None, **variables: object
    ) -> dict[str, object]:
        """The body of the answer to an operation."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        body = orjson.dumps({"query": query, "variables": variables})
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}"
        self._writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        decoded: dict[str, object] = orjson.loads(await self._reader.readexactly(int(length.partition(b":")[2])))
        return decoded

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
