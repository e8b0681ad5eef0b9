"""Hashers for tests: cheap, and held up until the test gives leave."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

TINY_KIB = 8


class Workbench:
    """Argon2 that waits for leave; counts what started and how much ran at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leave = threading.Event()
        self.started = asyncio.Event()
        self.threads: list[int] = []
        self.niceness: set[int] = set()
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._verify = Argon2Hasher.verify
        monkeypatch.setattr(Argon2Hasher, "verify", self._checker())

    def _checker(self) -> Callable[[Argon2Hasher, str, str], bool]:
        def verify(argon2: Argon2Hasher, text: str, stored: str) -> bool:
            return self._work(argon2, text, stored)

        return verify

    def _work(self, argon2: Argon2Hasher, text: str, stored: str) -> bool:
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            self.threads.append(threading.get_ident())
            if sys.platform == "linux":
                self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        self._loop.call_soon_threadsafe(self.started.set)
        self.leave.wait(30)
        try:
            return self._verify(argon2, text, stored)
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def workbench_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """Every check waits from now on, until leave is given or the block ends."""
    workbench = Workbench(monkeypatch)
    try:
        yield workbench
    finally:
        workbench.leave.set()
