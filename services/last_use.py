"""When sessions and API keys were last used: collected here, written together now and then, never waited for."""

import asyncio

import structlog
from pymongo.errors import PyMongoError

from core.clock import Clock
from models import api_key, session

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 30.0


class LastUse:
    """Collects uses; `run` writes them. A crash loses half a minute of them, no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, int] = {}
        self._keys: dict[str, int] = {}

    def of_session(self, session_id: str) -> None:
        """This session is used now."""
        self._sessions[session_id] = self._clock.now_ms()

    def of_key(self, key_id: str) -> None:
        """This API key is used now."""
        self._keys[key_id] = self._clock.now_ms()

    async def run(self) -> None:
        """Write until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Write what was collected; what cannot be written is dropped."""
        sessions, self._sessions = self._sessions, {}
        keys, self._keys = self._keys, {}
        try:
            await session.touch(sessions)
            await api_key.touch(keys)
        except PyMongoError as error:
            log.warning("last_use.not_written", reason=type(error).__name__)
