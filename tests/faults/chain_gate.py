"""Between our processes and a node: what they send may be held up, before the node has it or before its answer is heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import httpx

from tests.components import START_SECONDS
from tests.flows.servers import NO_TLS

_SENDS = b"eth_sendRawTransaction"


class Hold(StrEnum):
    """Where a transaction is held up."""

    BEFORE = "BEFORE"
    AFTER = "AFTER"


class ChainGate:
    """Passes everything on, but for what is sent while `hold` is set: whoever sent it hears nothing as long as they live."""

    def __init__(self, node: httpx.AsyncClient) -> None:
        self.hold: Hold | None = None
        self.url = ""
        self._node = node
        self._held = asyncio.Event()

    async def held(self) -> None:
        """Return once something is held up, and hold up nothing from then on."""
        async with asyncio.timeout(START_SECONDS):
            await self._held.wait()
        self.hold = None
        self._held.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                await self._pass_on(await _read(reader), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, httpx.HTTPError):
            pass  # whoever asks hears as much of a node that is gone
        finally:
            writer.close()

    async def _pass_on(self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hold = self.hold if _SENDS in body else None
        if hold is not Hold.BEFORE:
            answer = await self._node.post("/", content=body, headers={"content-type": "application/json"})
        if hold is not None:
            self._held.set()
            await reader.read()
            raise ConnectionError
        head = f"HTTP/1.1 {answer.status_code} x\r\nContent-Type: application/json\r\nContent-Length: {len(answer.content)}\r\n\r\n"
        writer.write(head.encode() + answer.content)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    (length,) = [int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    return await reader.readexactly(length)


@asynccontextmanager
async def chain_gate(node_url: str) -> AsyncIterator[ChainGate]:
    """Open, in front of this node."""
    async with httpx.AsyncClient(base_url=node_url, verify=NO_TLS, timeout=30) as node:
        gate = ChainGate(node)
        server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
        gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield gate
        finally:
            server.close()
