"""The audit log of an account: rows are added, never changed, each chained to the one before it by its hash.

The hash is SHA-256 over the row's canonical JSON with the hash of the row before it; the seal is a keyed digest of the hash, so that
whoever can write to the database alone cannot make a chain that holds. `services/audit_check.py` proves it.
"""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from weakref import WeakValueDictionary

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome
from core.bus import Bus
from core.clock import Clock
from core.secret_box import SecretBox
from events.account import AuditAppended, account_topic
from models import audit_event
from models.audit_event import AuditEventDocument, AuditHeadDocument, event_id, hashed_text
from services.viewer import Client

FIRST_PREVIOUS_HASH = "0" * 64
SEAL_CONTEXT = "audit"
_LONGEST_AGENT = 256

Detail = str | int | bool | list[str]


class AuditLog:
    """Adds rows. One at a time for each account in this process; of several processes the number of the row decides."""

    def __init__(self, box: SecretBox, bus: Bus, clock: Clock) -> None:
        self._box = box
        self._bus = bus
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def record(
        self,
        user_id: str,
        action: AuditAction,
        *,
        client: Client | None,
        outcome: AuditOutcome = AuditOutcome.ALLOWED,
        actor: AuditActor = AuditActor.OWNER,
        detail: Mapping[str, Detail] | None = None,
    ) -> None:
        """Add a row; it is stored when this returns. `detail`: plain facts, never a secret."""
        agent = client.user_agent if client is not None else None
        draft = AuditEventDocument(
            id="",
            user_id=user_id,
            sequence=0,
            action=action,
            outcome=outcome,
            actor=actor,
            ip=client.address if client is not None else None,
            user_agent=agent[:_LONGEST_AGENT] if agent else None,
            request_id=client.request_id if client is not None else None,
            detail=dict(detail or {}),
            time_ms=self._clock.now_ms(),
            previous_hash="",
            hash="",
            seal="",
        )
        lock = self._locks.setdefault(user_id, asyncio.Lock())
        async with lock:
            event = await self._append(draft)
        self._bus.publish(account_topic(user_id), AuditAppended(user_id, event.sequence))

    async def _append(self, draft: AuditEventDocument) -> AuditEventDocument:
        head = await audit_event.head(draft.user_id)
        sequence, previous = (0, FIRST_PREVIOUS_HASH) if head is None else (head.sequence, head.hash)
        while True:
            event = self._chained(draft, sequence + 1, previous)
            if await audit_event.append(event):
                await audit_event.advance_head(self.head_of(event))
                return event
            sequence, previous = await _walk(draft.user_id, sequence, previous)

    def _chained(self, draft: AuditEventDocument, sequence: int, previous: str) -> AuditEventDocument:
        event: AuditEventDocument = draft.model_copy(
            update={"id": event_id(draft.user_id, sequence), "sequence": sequence, "previous_hash": previous}
        )
        digest = hash_of(event)
        chained: AuditEventDocument = event.model_copy(
            update={"hash": digest, "seal": self._box.digest(digest.encode(), SEAL_CONTEXT)}
        )
        return chained

    def head_of(self, event: AuditEventDocument) -> AuditHeadDocument:
        """The head of a log that ends with this row."""
        seal = self._box.digest(head_message(event.user_id, event.sequence, event.hash), SEAL_CONTEXT)
        return AuditHeadDocument(id=event.user_id, sequence=event.sequence, hash=event.hash, seal=seal)


def hash_of(event: AuditEventDocument) -> str:
    """What the row's hash must be: SHA-256, in hex, of its hashed text."""
    return sha256(hashed_text(event)).hexdigest()


def head_message(user_id: str, sequence: int, digest: str) -> bytes:
    """What the seal of a head is made of."""
    return f"{user_id}:{sequence}:{digest}".encode()


async def _walk(user_id: str, sequence: int, previous: str) -> tuple[int, str]:
    """The newest row after this one: the head was behind, or somebody else was faster."""
    while (event := await audit_event.by_number(user_id, sequence + 1)) is not None:
        sequence, previous = event.sequence, event.hash
    return sequence, previous
