"""The audit log of an account."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from core.account_vocabulary import AuditAction, AuditActor, AuditOutcome
from core.clock import to_datetime
from core.ids import encode_id
from graph.scalars import Long
from graph.types.node import Node
from models.audit_event import AuditEventDocument, hashed_text

Actions = Annotated[
    list[AuditAction] | None, strawberry.argument(description="Only these actions; without it, all of them.")
]


@strawberry.type(
    description="A security event. Rows are only ever added; each is chained to the one before it by its hash."
)
class AuditEvent(Node):
    action: AuditAction = strawberry.field(description="What happened.")
    outcome: AuditOutcome = strawberry.field(description="What became of it.")
    actor: AuditActor = strawberry.field(description="Who did it.")
    ip: str | None = strawberry.field(description="Address it came from.")
    user_agent: str | None = strawberry.field(description="What the program said of itself.")
    request_id: str | None = strawberry.field(description="The request, as in our log.")
    detail: JSON | None = strawberry.field(description="Plain facts, such as the name of a key.")
    sequence: Long = strawberry.field(description="Number of the row in the account's log, from 1 on.")
    previous_hash: str = strawberry.field(description="`hash` of the row before it; 64 zeros for the first.")
    hash: str = strawberry.field(description="SHA-256, in hex, of `hashedText`.")
    hashed_text: str = strawberry.field(
        description="JSON of the whole row with the hash of the one before it, so that anybody can check the chain."
    )
    time: datetime = strawberry.field(description="When.")

    @staticmethod
    def of(row: AuditEventDocument) -> "AuditEvent":
        """The row as its owner sees it."""
        return AuditEvent(
            id=strawberry.ID(encode_id("AuditEvent", row.user_id, row.sequence)),
            action=row.action,
            outcome=row.outcome,
            actor=row.actor,
            ip=row.ip,
            user_agent=row.user_agent,
            request_id=row.request_id,
            detail=JSON(row.detail) if row.detail else None,
            sequence=Long(row.sequence),
            previous_hash=row.previous_hash,
            hash=row.hash,
            hashed_text=hashed_text(row).decode(),
            time=to_datetime(row.time_ms),
        )
