"""What others may rely on about an account, cached: in this process, in the shared cache, and in truth in the database.

A change is announced over the bus and found again by the reconciliation (services/revocations.py), both with the account's version: an
older state, from the shared cache or a slow read, never replaces a newer one.

In the shared cache a state lies under a seal (core/message_seal.py), over its key and the time it was read: nobody gets another role by writing there, nor an old one
back by keeping what lay there once.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import orjson

from core.account_vocabulary import Role, UserStatus
from core.bus import Bus
from core.cache import Cache
from core.clock import Clock
from core.message_seal import SEAL_BYTES, MessageSeal
from events.account import AUTHORITY_TOPIC, AccountChanged
from models import user
from models.user import Profile, UserDocument, profile_of
from services.revocations import Revocations

_HELD = 50_000
_HELD_SECONDS = 30.0
_SHARED_SECONDS = 30.0
"""Together they are the longest that an old state is believed by a process which neither hears nor looks."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account's authority at one version."""

    user_id: str
    version: int
    role: Role
    status: UserStatus
    email_verified: bool
    locale: str
    profile: Profile | None = field(default=None, compare=False, repr=False)
    """The person's, of the same version; None where the state came from the shared cache, which knows nobody's name."""


class AccountStates:
    """Gives the state of an account, from memory where that is recent."""

    def __init__(self, revocations: Revocations, bus: Bus, cache: Cache, clock: Clock, seal: MessageSeal) -> None:
        self._bus = bus
        self._cache = cache
        self._clock = clock
        self._seal = seal
        self._held: OrderedDict[str, tuple[AccountState, float]] = OrderedDict()
        self._least: OrderedDict[str, int] = OrderedDict()
        revocations.also(self._hear, self._look)

    def known(self, user_id: str) -> AccountState | None:
        """As `of`, where nobody has to be asked; None otherwise."""
        held = self._held.get(user_id)
        return held[0] if held is not None and self._clock.monotonic() < held[1] else None

    async def of(self, user_id: str) -> AccountState | None:
        """The account's state; None when there is no such account."""
        known = self.known(user_id)
        if known is not None:
            return known
        state = await self._shared(user_id) or await self._stored(user_id)
        if state is not None:
            self._hold(state)
        return state

    async def profile(self, user_id: str) -> Profile | None:
        """The account's profile, as current as its state; None when there is no such account."""
        state = await self.of(user_id)
        if state is not None and state.profile is None:
            state = await self._stored(user_id)
            if state is not None:
                self._hold(state)
        return None if state is None else state.profile

    async def changed(self, user_id: str) -> None:
        """To be called after a change was stored: makes it known here and everywhere."""
        await self._cache.delete(_key(user_id))
        state = await self._stored(user_id)
        if state is not None:
            self._need(user_id, state.version)
            self._hold(state)
            self._bus.publish(AUTHORITY_TOPIC, AccountChanged(user_id, state.version))

    async def _shared(self, user_id: str) -> AccountState | None:
        data = await self._cache.get(_key(user_id))
        state = None if data is None else self._unsealed(user_id, data)
        return state if state is not None and state.version >= self._least.get(user_id, 0) else None

    async def _stored(self, user_id: str) -> AccountState | None:
        row = await user.by_id(user_id)
        if row is None:
            return None
        state = _state(row)
        body = _encoded(state, self._clock.now_ms())
        sealed = self._seal.of(_key(user_id).encode(), body) + body
        await self._cache.set(_key(user_id), sealed, ttl_seconds=_SHARED_SECONDS)
        return state

    def _unsealed(self, user_id: str, data: bytes) -> AccountState | None:
        seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not self._seal.holds(seal, _key(user_id).encode(), body):
            return None
        return _decoded(user_id, body, self._clock.now_ms())

    def _hear(self, event: object) -> None:
        if isinstance(event, AccountChanged):
            self._need(event.user_id, event.version)

    async def _look(self, since_ms: int) -> None:
        for row in await user.authority_changed_since(since_ms):
            state = _state(row)
            self._need(row.id, state.version)
            if row.id in self._held:
                self._hold(state)

    def _need(self, user_id: str, version: int) -> None:
        """From now on no state older than this version counts."""
        self._least[user_id] = max(version, self._least.get(user_id, 0))
        self._least.move_to_end(user_id)
        if len(self._least) > _HELD:
            self._least.popitem(last=False)
        held = self._held.get(user_id)
        if held is not None and held[0].version < version:
            del self._held[user_id]

    def _hold(self, state: AccountState) -> None:
        if state.version < self._least.get(state.user_id, 0):
            return
        self._held[state.user_id] = (state, self._clock.monotonic() + _HELD_SECONDS)
        self._held.move_to_end(state.user_id)
        if len(self._held) > _HELD:
            self._held.popitem(last=False)


def _state(row: UserDocument) -> AccountState:
    return AccountState(
        user_id=row.id,
        version=row.authority_version,
        role=row.role,
        status=row.status,
        email_verified=row.email_verified_ms is not None,
        locale=row.locale,
        profile=profile_of(row),
    )


def _key(user_id: str) -> str:
    return f"account:{user_id}"


def _encoded(state: AccountState, now_ms: int) -> bytes:
    return orjson.dumps([now_ms, state.version, state.role, state.status, state.email_verified, state.locale])


def _decoded(user_id: str, data: bytes, now_ms: int) -> AccountState | None:
    try:
        read_ms, version, role, status, verified, locale = orjson.loads(data)
        if abs(now_ms - read_ms) > _SHARED_SECONDS * 1000:
            return None
        return AccountState(user_id, int(version), Role(role), UserStatus(status), verified is True, str(locale))
    except (ValueError, TypeError):
        return None
