"""Proving audit logs: every row is there, unchanged, in its place.

A row that was changed breaks its hash, one that was taken out breaks the chain, a chain made anew lacks the seals, and one that was cut
off at its end is shorter than its head says. Only a log that was put back as a whole to what it once was holds by itself: it is shorter
than an anchor says, which is a list of heads that the operator keeps elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.secret_box import SecretBox
from models import audit_event
from models.audit_event import AuditEventDocument, AuditHeadDocument, event_id
from services.audit import FIRST_PREVIOUS_HASH, SEAL_CONTEXT, hash_of, head_message

Anchor = Mapping[str, tuple[int, str]]
"""How far each account's log reached, and the hash of its row there."""


@dataclass(slots=True)
class AuditReport:
    """What was looked at, and what is wrong, one sentence each."""

    accounts: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    """A new anchor."""


async def check(box: SecretBox, anchor: Anchor, user_id: str | None = None) -> AuditReport:
    """Look at every account's log, or at one."""
    report = AuditReport()
    heads = await audit_event.heads_as_stored()
    wanted = sorted({*heads, *await audit_event.accounts(), *anchor}) if user_id is None else [user_id]
    for account in wanted:
        await _check_account(box, account, heads.get(account), anchor.get(account), report)
    return report


async def _check_account(
    box: SecretBox,
    user_id: str,
    head: AuditHeadDocument | None,
    anchored: tuple[int, str] | None,
    report: AuditReport,
) -> None:
    report.accounts += 1
    sequence, previous, hashes = 0, FIRST_PREVIOUS_HASH, {}
    async for number, row in audit_event.as_stored(user_id):
        problem = _problem(box, row, sequence + 1, previous)
        if problem is not None:
            report.problems.append(f"account {user_id}, row {number}: {problem}")
        report.rows += 1
        sequence, previous = (sequence + 1, "") if row is None else (row.sequence, row.hash)
        if anchored is not None and sequence == anchored[0]:
            hashes[sequence] = previous
    if head is None or not box.verifies(head.seal, head_message(user_id, head.sequence, head.hash), SEAL_CONTEXT):
        report.problems.append(f"account {user_id}: the head is missing, or was not made by this server")
    elif head.sequence > sequence:
        report.problems.append(f"account {user_id}: rows {sequence + 1} to {head.sequence} are missing")
    if anchored is not None and hashes.get(anchored[0]) != anchored[1]:
        report.problems.append(f"account {user_id}: row {anchored[0]} is not the one the anchor says")
    if sequence:
        report.heads[user_id] = (sequence, previous)


def _problem(box: SecretBox, row: AuditEventDocument | None, expected: int, previous: str) -> str | None:
    """`previous`: the hash of the row before it; empty when that one could not be read."""
    if row is None:
        return "it cannot be read any more"
    if row.sequence > expected:
        return f"rows {expected} to {row.sequence - 1} are missing"
    if row.sequence < expected or row.id != event_id(row.user_id, row.sequence):
        return "it does not stand where it belongs"
    if row.previous_hash != previous and previous:
        return "it does not follow the row before it"
    if row.hash != hash_of(row):
        return "it was changed"
    if not box.verifies(row.seal, row.hash.encode(), SEAL_CONTEXT):
        return "it was not written by this server"
    return None
