"""After a rotation nothing needs the older key any more, and nothing was lost."""

import pytest

from core.account_vocabulary import AuditAction
from core.bus import MemoryBus
from core.clock import ManualClock
from core.database import Database
from core.secret_box import SealBroken, SecretBox
from models import audit_event, signing_key, user
from models.audit_event import AuditHeadDocument
from models.user import Totp, UserDocument
from services import audit_check
from services.access_tokens import AccessTokens
from services.audit import AuditLog
from services.operators import FIRST_MS
from services.reseal import reseal_all
from services.two_factor import totp_context

OLD, NEW = bytes([1, *range(31)]), bytes([2, *range(31)])
BEFORE, RING, AFTER = SecretBox([OLD]), SecretBox([NEW, OLD]), SecretBox([NEW])
CLOCK = ManualClock(FIRST_MS + 3 * 86_400_000)


async def fill(box: SecretBox) -> None:
    totp = Totp(secret=box.seal(b"ABC", totp_context("anna")), enabled_ms=1, last_step=1)
    person = UserDocument(
        id="anna", locale="en", quote_asset="USD", created_ms=CLOCK.now_ms(), authority_ms=0, totp=totp
    )
    assert await user.insert(person)
    await AccessTokens(box, CLOCK, issuer="x").load()
    log = AuditLog(box, MemoryBus(), CLOCK)
    for _ in range(3):
        await log.record("anna", AuditAction.LOG_IN, client=None)


async def test_everything_opens_with_the_newest_key_alone(database: Database) -> None:
    await fill(BEFORE)
    tokens = AccessTokens(BEFORE, CLOCK, issuer="x")
    await tokens.load()
    issued, _ = tokens.issue("anna", "s1", not_after_ms=CLOCK.now_ms() + 60_000)
    assert (await audit_check.check(AFTER, {})).problems
    done = await reseal_all(RING, CLOCK)
    assert (done.factors, done.signing_keys, done.audit_rows) == (1, 1, 3)
    anna = await user.by_id("anna")
    assert anna is not None
    assert anna.totp is not None
    assert AFTER.open(anna.totp.secret, totp_context("anna")) == b"ABC"
    rotated = AccessTokens(AFTER, CLOCK, issuer="x")
    await rotated.load()
    assert rotated.verify(issued).session_id == "s1"
    assert (await audit_check.check(AFTER, {})).problems == []
    again = await reseal_all(RING, CLOCK)
    assert (again.factors, again.signing_keys, again.audit_rows) == (0, 0, 0)


async def test_rows_of_a_log_that_has_lost_its_head_are_resealed_too(database: Database) -> None:
    await fill(BEFORE)
    await AuditHeadDocument.find_one({"_id": "anna"}).delete()
    assert (await reseal_all(RING, CLOCK)).audit_rows == 3
    (problem,) = (await audit_check.check(AFTER, {})).problems
    assert "the head is missing" in problem


async def test_a_row_that_was_changed_keeps_its_broken_seal(database: Database) -> None:
    await fill(BEFORE)
    row = await audit_event.by_number("anna", 2)
    assert row is not None
    forged = row.model_copy(update={"seal": BEFORE.digest(b"something else", "audit")})
    await audit_event.reseal([forged], [])
    assert (await reseal_all(RING, CLOCK)).audit_rows == 2
    assert [problem for problem in (await audit_check.check(AFTER, {})).problems if "row 2" in problem]


async def test_a_secret_whose_key_is_lost_is_told_of_and_left_alone(database: Database) -> None:
    await fill(SecretBox([bytes([9, *range(31)])]))
    (before,) = await signing_key.every()
    with pytest.raises(SealBroken):
        await reseal_all(RING, CLOCK)
    assert await signing_key.every() == [before]
