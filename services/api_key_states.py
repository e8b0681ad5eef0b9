"""API keys as this process knows them: read once, kept while nobody says that they changed."""

from collections import OrderedDict

from core.clock import Clock
from events.account import ApiKeyChanged
from models import api_key
from models.api_key import ApiKeyDocument
from services.revocations import Revocations

_HELD = 20_000
_HELD_SECONDS = 60.0
_PREFIX_LENGTH = 12


class ApiKeyStates:
    """Gives the key of a prefix. What is not a prefix of ours is not looked up."""

    def __init__(self, revocations: Revocations, clock: Clock) -> None:
        self._revocations = revocations
        self._clock = clock
        self._held: OrderedDict[str, tuple[ApiKeyDocument | None, float]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._changed: OrderedDict[str, int] = OrderedDict()
        revocations.also(self._hear, self._look)

    async def of(self, prefix: str) -> ApiKeyDocument | None:
        """The key of this prefix, ended or not."""
        if len(prefix) != _PREFIX_LENGTH:
            return None
        held = self._held.get(prefix)
        if held is not None and self._clock.monotonic() < held[1]:
            return held[0]
        key = await api_key.by_prefix(prefix)
        self._held[prefix] = (key, self._clock.monotonic() + _HELD_SECONDS)
        self._held.move_to_end(prefix)
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return key

    def is_ended(self, key_id: str) -> bool:
        """Whether this key has ended lately; one that ended long ago is not in use on any socket."""
        return key_id in self._ended

    def _hear(self, event: object) -> None:
        if isinstance(event, ApiKeyChanged):
            self._held.pop(event.prefix, None)
            if event.ended:
                self._end(event.key_id)

    async def _look(self, since_ms: int) -> None:
        for key in await api_key.changed_since(since_ms):
            self._held.pop(key.prefix, None)
            if key.ended_ms is not None:
                self._end(key.id)
            elif key.changed_ms > self._changed.get(key.id, key.created_ms):
                self._change(key)

    def _end(self, key_id: str) -> None:
        if key_id not in self._ended:
            self._ended[key_id] = None
            self._revocations.tell(key_id, "the API key has ended")
        if len(self._ended) > _HELD:
            self._ended.popitem(last=False)

    def _change(self, key: ApiKeyDocument) -> None:
        """What runs on the key was admitted under another allow-list."""
        self._changed[key.id] = key.changed_ms
        self._changed.move_to_end(key.id)
        if len(self._changed) > _HELD:
            self._changed.popitem(last=False)
        self._revocations.tell(key.id, "the API key has changed; connect again")
