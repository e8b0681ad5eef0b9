"""A child's output on disk, bounded: at most two files of `most_bytes`."""

import asyncio
from pathlib import Path

MOST_BYTES = 1_000_000


class BoundedLog:
    """Lines are appended to `path`; a full file becomes `path`.1 and replaces the one before."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._file = path.open("ab")
        self.last_line = ""

    async def copy(self, reader: asyncio.StreamReader) -> None:
        """Write everything the reader gives, until its end."""
        while chunk := await reader.read(65_536):
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._file.tell() + len(chunk) > self._most_bytes:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")
        self._file.write(chunk)
        self._file.flush()
        lines = chunk.decode(errors="replace").split("\n")
        self.last_line = next((line.strip() for line in reversed(lines) if line.strip()), self.last_line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
