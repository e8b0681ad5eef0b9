"""Codes by clock (TOTP, RFC 6238) and recovery codes: the second factor that needs no device of ours.

A code does for its own time step of 30 s and the ones beside it, and once. The secret is sealed at rest; of recovery codes, 80 random bits
each, only hashes are kept.
"""

import hmac
import io
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import pyotp
import segno

from core.account_vocabulary import AuditAction, AuditOutcome, AuthErrorCode, AuthFactor
from core.clock import Clock
from core.ids import token_hash
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused
from core.secret_box import SecretBox
from models import user
from models.user import Totp, UserDocument
from services.audit import AuditLog
from services.holds import Holds
from services.mail import Mailbox
from services.throttles import SECOND_FACTOR, Throttles
from services.viewer import Client

ISSUER = "CryptoVault"
RECOVERY_CODES = 10
STEP_SECONDS = 30
DRIFT_STEPS = 1
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that is taken for another."""
_RECOVERY_PARTS, _RECOVERY_PART = 4, 4
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


class CodeInvalid(AuthRefused):
    """The code is not the one of this moment."""

    code = AuthErrorCode.CODE_INVALID


class CodeReused(AuthRefused):
    """The code was right, and was used before."""

    code = AuthErrorCode.CODE_REUSED


class TotpAlreadyEnabled(AuthRefused):
    """The account has codes by clock already."""

    code = AuthErrorCode.TOTP_ALREADY_ENABLED


class TotpNotEnabled(AuthRefused):
    """The account has no codes by clock."""

    code = AuthErrorCode.TOTP_NOT_ENABLED


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs, in three forms."""

    secret: str
    uri: str
    qr_svg: str


class TwoFactor:
    """Enrols, checks and removes the factor."""

    def __init__(
        self,
        *,
        box: SecretBox,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
    ) -> None:
        self._box = box
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock

    async def enroll(self, person: UserDocument) -> Enrolment:
        """A new secret. It counts for nothing until `confirm`. Raises TotpAlreadyEnabled."""
        secret = pyotp.random_base32()
        if not await user.set_pending_totp(person.id, self._box.seal(secret.encode(), totp_context(person.id))):
            raise TotpAlreadyEnabled("codes by app are in use already; disable them first")
        uri = pyotp.TOTP(secret).provisioning_uri(name=person.email or person.id, issuer_name=ISSUER)
        return Enrolment(secret, uri, qr_svg(uri))

    async def confirm(self, person: UserDocument, code: str, client: Client) -> list[str]:
        """Let the secret count from now on, proven by its first code. Gives the recovery codes, shown this once.

        Raises CodeInvalid, TotpAlreadyEnabled, TotpNotEnabled, RateLimited.
        """
        if person.totp is not None:
            raise TotpAlreadyEnabled("codes by app are in use already; disable them first")
        if person.pending_totp_secret is None:
            raise TotpNotEnabled("enrol first: there is no secret to confirm")
        await self._throttles.of_owner(SECOND_FACTOR, client, person.id)
        try:
            step = self._step_of(person, person.pending_totp_secret, code)
        except CodeInvalid:
            await self._note_refusal(person, AuthFactor.TOTP, client)
            raise
        codes = _new_recovery_codes()
        totp = Totp(secret=person.pending_totp_secret, enabled_ms=self._clock.now_ms(), last_step=step)
        enabled = await user.enable_totp(
            person.id, totp, _recovery_hashes(person.id, codes), held_until_ms=self._holds.until_ms()
        )
        if not enabled:
            raise TotpNotEnabled("the secret was replaced meanwhile; enrol again")
        await self._audit.record(person.id, AuditAction.TOTP_ENABLED, client=client)
        await self._mailbox.send(MailKind.TOTP_ENABLED, user_id=person.id, ip=client.address)
        return codes

    async def use_code(self, person: UserDocument, code: str, client: Client) -> None:
        """Use up a code. Raises CodeInvalid, CodeReused, TotpNotEnabled."""
        if person.totp is None:
            raise TotpNotEnabled("codes by app are not in use")
        try:
            step = self._step_of(person, person.totp.secret, code)
            if not await user.use_totp_step(person.id, step):
                raise CodeReused("this code was used already; wait for the next one")
        except AuthRefused:
            await self._note_refusal(person, AuthFactor.TOTP, client)
            raise

    async def use_recovery_code(self, person: UserDocument, code: str, client: Client) -> None:
        """Use up a recovery code. Raises CodeInvalid."""
        if not await user.use_recovery_hash(person.id, _recovery_hash(person.id, code)):
            await self._note_refusal(person, AuthFactor.RECOVERY_CODE, client)
            raise CodeInvalid("this is none of your unused recovery codes")
        await self._mailbox.send(
            MailKind.RECOVERY_CODE_USED, user_id=person.id, ip=client.address, left=str(len(person.recovery_hashes) - 1)
        )

    async def disable(self, person: UserDocument, client: Client) -> None:
        """Forget secret and recovery codes. Raises TotpNotEnabled."""
        if not await user.disable_totp(person.id, held_until_ms=self._holds.until_ms()):
            raise TotpNotEnabled("codes by app are not in use")
        await self._audit.record(person.id, AuditAction.TOTP_DISABLED, client=client)
        await self._mailbox.send(MailKind.TOTP_DISABLED, user_id=person.id, ip=client.address)

    async def new_recovery_codes(self, person: UserDocument, client: Client) -> list[str]:
        """Ten new codes in the place of all old ones, shown this once. Raises TotpNotEnabled."""
        codes = _new_recovery_codes()
        if not await user.set_recovery_hashes(person.id, _recovery_hashes(person.id, codes)):
            raise TotpNotEnabled("codes by app are not in use")
        await self._audit.record(person.id, AuditAction.RECOVERY_CODES, client=client)
        await self._mailbox.send(MailKind.RECOVERY_CODES_REPLACED, user_id=person.id, ip=client.address)
        return codes

    async def _note_refusal(self, person: UserDocument, factor: AuthFactor, client: Client) -> None:
        await self._audit.record(
            person.id,
            AuditAction.TWO_FACTOR,
            client=client,
            outcome=AuditOutcome.REFUSED,
            detail={"factor": factor.value},
        )

    def _step_of(self, person: UserDocument, sealed_secret: str, code: str) -> int:
        """The time step a code belongs to. Raises CodeInvalid."""
        given = code.strip().replace(" ", "")
        totp = pyotp.TOTP(self._box.open(sealed_secret, totp_context(person.id)).decode())
        now = self._clock.now_ms() // 1000 // STEP_SECONDS
        for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
            if _CODE.fullmatch(given) and hmac.compare_digest(totp.generate_otp(step), given):
                return step
        raise CodeInvalid("expected the six digits that your app shows now")


def qr_svg(text: str) -> str:
    """A QR code as an SVG image, for a page to show as it is."""
    image = io.BytesIO()
    segno.make(text, error="m").save(image, kind="svg", scale=4, border=2, xmldecl=False)
    return image.getvalue().decode()


def totp_context(user_id: str) -> str:
    """What a sealed secret belongs to."""
    return f"totp:{user_id}"


def _recovery_hash(user_id: str, code: str) -> str:
    """How a code is kept, however it is typed."""
    plain = code.lower().replace("-", "").replace(" ", "")
    return token_hash(f"{user_id}:{plain}")


def _recovery_hashes(user_id: str, codes: Sequence[str]) -> list[str]:
    return [_recovery_hash(user_id, code) for code in codes]


def _new_recovery_codes() -> list[str]:
    return ["-".join(_recovery_part() for _ in range(_RECOVERY_PARTS)) for _ in range(RECOVERY_CODES)]


def _recovery_part() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_PART))
