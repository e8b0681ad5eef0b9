"""Putting stored secrets under the newest encryption key, so that an older one can be taken out of the ring."""

from dataclasses import dataclass

from core.clock import Clock
from core.secret_box import SecretBox
from models import audit_event, signing_key, user
from models.audit_event import AuditEventDocument
from models.user import UserDocument
from services.audit import SEAL_CONTEXT, head_message
from services.operators import FIRST_MS
from services.two_factor import totp_context

_DAY_MS = 86_400_000
_AT_ONCE = 500


@dataclass(slots=True)
class Resealed:
    """What was put under the newest key."""

    factors: int = 0
    signing_keys: int = 0
    audit_rows: int = 0


async def reseal_all(box: SecretBox, clock: Clock) -> Resealed:
    """Go through everything that is under an older key. What holds no longer is left alone, for the audit to find. Raises SealBroken."""
    done = Resealed()
    for key in await signing_key.every():
        if not box.is_current(key.sealed_private_key):
            context = f"signing-key:{key.id}"
            plain = box.open(key.sealed_private_key, context)
            await signing_key.reseal(key.id, old=key.sealed_private_key, new=box.seal(plain, context))
            done.signing_keys += 1
    day = FIRST_MS
    while day <= clock.now_ms():
        for person in await user.created_between(day, day + _DAY_MS):
            done.factors += await _reseal_factor(box, person)
        day += _DAY_MS
    for user_id in await audit_event.accounts():
        done.audit_rows += await _reseal_log(box, user_id)
    for head in await audit_event.heads():
        message = head_message(head.id, head.sequence, head.hash)
        if not box.is_current(head.seal) and box.verifies(head.seal, message, SEAL_CONTEXT):
            fresh = head.model_copy(update={"seal": box.digest(message, SEAL_CONTEXT)})
            await audit_event.reseal([], [fresh])
    return done


async def _reseal_factor(box: SecretBox, person: UserDocument) -> int:
    if person.totp is None or box.is_current(person.totp.secret):
        return 0
    context = totp_context(person.id)
    new = box.seal(box.open(person.totp.secret, context), context)
    return int(await user.set_totp_secret(person.id, old=person.totp.secret, new=new))


async def _reseal_log(box: SecretBox, user_id: str) -> int:
    done, low = 0, 1
    while rows := await audit_event.between(user_id, low, low + _AT_ONCE):
        stale = [row for row in rows if not box.is_current(row.seal) and _holds(box, row)]
        fresh = [row.model_copy(update={"seal": box.digest(row.hash.encode(), SEAL_CONTEXT)}) for row in stale]
        await audit_event.reseal(fresh, [])
        done += len(fresh)
        low += _AT_ONCE
    return done


def _holds(box: SecretBox, row: AuditEventDocument) -> bool:
    return box.verifies(row.seal, row.hash.encode(), SEAL_CONTEXT)
