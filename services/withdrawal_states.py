"""How far withdrawals are: which status follows which, and what each looks like to its owner."""

from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from core.wallet_vocabulary import WithdrawalStatus
from events.transfer import WithdrawalState, WithdrawalStep
from models import withdrawal
from models.withdrawal import StepEntry, WithdrawalDocument
from services.transfer_log import Change, TransferLog

S = WithdrawalStatus
FOLLOWS: Mapping[WithdrawalStatus, frozenset[WithdrawalStatus]] = {
    S.AWAITING_CONFIRMATION: frozenset({S.APPROVED, S.IN_REVIEW, S.CANCELED}),
    S.IN_REVIEW: frozenset({S.APPROVED, S.REJECTED, S.CANCELED}),
    S.APPROVED: frozenset({S.SIGNING, S.HELD, S.CANCELED}),
    S.HELD: frozenset({S.HELD, S.APPROVED, S.SIGNING, S.BROADCAST, S.CONFIRMED, S.FAILED, S.CANCELED}),
    S.SIGNING: frozenset({S.BROADCAST, S.HELD, S.FAILED}),
    S.BROADCAST: frozenset({S.CONFIRMED, S.FAILED, S.HELD}),
    S.CONFIRMED: frozenset(),
    S.CANCELED: frozenset(),
    S.REJECTED: frozenset(),
    S.FAILED: frozenset(),
}
"""What may come after each. From SIGNING on something may be on its way: only the chain's word ends it."""
RETURNED = frozenset({S.CANCELED, S.REJECTED, S.FAILED})
"""The funds are available again."""


def cancelable(row: WithdrawalDocument) -> bool:
    """Whether its owner may still take it back: nothing was signed for it, and nothing is about to be."""
    return S.CANCELED in FOLLOWS[row.status] and row.spends is None


def to_state(row: WithdrawalDocument) -> WithdrawalState:
    """The withdrawal as its owner sees it."""
    return WithdrawalState(
        id=row.id,
        account=row.user_id,
        version=row.version,
        client_id=row.client_id,
        asset=row.asset,
        chain=row.chain,
        address=row.address,
        amount=row.amount,
        fee=row.fee,
        status=row.status,
        hash=row.hash,
        reason=row.reason,
        cancelable=cancelable(row),
        timeline=tuple(WithdrawalStep(step.status, step.time_ms, step.detail) for step in row.timeline),
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
    )


class WithdrawalChanges:
    """Changes rows, from the version that was read, together with their owner's log."""

    def __init__(self, log: TransferLog) -> None:
        self._log = log

    async def move(
        self,
        row: WithdrawalDocument,
        status: WithdrawalStatus,
        now_ms: int,
        *,
        detail: str | None = None,
        due_ms: int | None = None,
        also: Change | None = None,
        **changes: Any,
    ) -> WithdrawalDocument | None:
        """Let a row come to a status, which its owner is told of, and change what `also` does, or neither; None when somebody else was
        faster. `detail` is also its reason."""
        if row.asked and status not in FOLLOWS[row.status]:
            raise ValueError(f"{status} cannot follow {row.status}")
        new = withdrawal.changed(
            row,
            {
                "asked": True,
                "status": status,
                "reason": detail,
                "timeline": (*row.timeline, StepEntry(status=status, time_ms=now_ms, detail=detail)),
                "updated_ms": now_ms,
                "due_ms": due_ms,
                **changes,
            },
        )

        async def change(session: AsyncClientSession) -> bool:
            return (also is None or await also(session)) and await withdrawal.replace(new, session)

        return new if await self._log.commit(change, to_state(new), now_ms) else None

    async def note(self, row: WithdrawalDocument, now_ms: int, **changes: Any) -> WithdrawalDocument | None:
        """Change what its owner sees of a row (its hash, its confirmations) without another status."""
        new = withdrawal.changed(row, {"updated_ms": now_ms, **changes})
        done = await self._log.commit(lambda session: withdrawal.replace(new, session), to_state(new), now_ms)
        return new if done else None

    async def keep(self, row: WithdrawalDocument, **changes: Any) -> WithdrawalDocument | None:
        """Change what only workers see."""
        new = withdrawal.changed(row, changes)
        return new if await withdrawal.replace(new) else None
