"""Step-up: a sensitive operation asks its owner to prove again that they are there.

`prove` takes a factor and gives a proof for one operation with these very parameters; `require` uses it up. The parameters are known
here only as a keyed digest, which the caller makes of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.account_vocabulary import AuditAction, AuditOutcome, AuthErrorCode, AuthFactor
from core.clock import Clock
from core.refusals import AuthRefused, StepUpDemand
from core.secret_box import SecretBox
from models import passkey, session, user
from models.passkey import PasskeyDocument
from models.user import UserDocument
from services.audit import AuditLog
from services.challenges import Challenge, ChallengeExpired, ChallengeKind, Challenges
from services.passkeys import LIFE_SECONDS as PASSKEY_SECONDS
from services.passkeys import Passkeys, signed_challenge
from services.passwords import PasswordHasher
from services.throttles import STEP_UP, Throttles
from services.two_factor import TwoFactor
from services.viewer import Client, Viewer

PROOF_SECONDS = 300
FRESH_MS = 600_000
"""An account without any factor may enrol its first one for so long after it was signed in."""
_CONTEXT = "step-up"


class StepUpRequired(AuthRefused):
    """Prove that you are there: `step_up` says which factors would do."""

    code = AuthErrorCode.STEP_UP_REQUIRED


class StepUpInvalid(AuthRefused):
    """The factor was wrong, or the proof is over, used, or of something else."""

    code = AuthErrorCode.STEP_UP_INVALID


@dataclass(frozen=True, slots=True)
class Deed:
    """What is to be proven for: an operation, and its parameters in canonical form."""

    operation: str
    parameters: bytes


@dataclass(frozen=True, slots=True)
class StepUpFactor:
    """One factor, as it was shown."""

    kind: AuthFactor
    text: str = ""
    credential: object = None
    """Of a passkey: what the authenticator signed."""


class StepUp:
    """Demands, takes and uses up proofs."""

    def __init__(
        self,
        *,
        box: SecretBox,
        hasher: PasswordHasher,
        two_factor: TwoFactor,
        passkeys: Passkeys,
        challenges: Challenges,
        throttles: Throttles,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._box = box
        self._hasher = hasher
        self._two_factor = two_factor
        self._passkeys = passkeys
        self._challenges = challenges
        self._throttles = throttles
        self._audit = audit
        self._clock = clock

    async def require(self, viewer: Viewer, deed: Deed, proof: str | None) -> None:
        """Use up the proof for a deed. Raises StepUpRequired without one, StepUpInvalid for a wrong one."""
        if proof is None:
            await self._demand(viewer, deed)
            return
        try:
            asked = await self._challenges.take_try(proof, ChallengeKind.STEP_UP_PROOF, field="stepUpProof")
            self._check_deed(asked, viewer, deed, field=["stepUpProof"])
            await self._challenges.close(asked, field="stepUpProof")
        except ChallengeExpired as error:
            text = "the proof is over, or was used already; reauthenticate again"
            raise StepUpInvalid(text, field=["stepUpProof"]) from error

    async def has_second_factor(self, viewer: Viewer) -> bool:
        """Whether the account has codes by app, or passkeys."""
        person = await _person(viewer)
        return person.totp is not None or bool(await passkey.of_user(person.id))

    async def announced(self, viewer: Viewer, operation: str) -> StepUpDemand:
        """What an operation will demand, before its parameters are known: the factors alone."""
        person = await _person(viewer)
        factors = factors_of(person, await passkey.of_user(person.id))
        return StepUpDemand(operation, factors, None, self._clock.now_ms() + PROOF_SECONDS * 1000)

    async def by_password(self, viewer: Viewer, deed: Deed, password: str, client: Client) -> None:
        """The password beside the deed itself, where it would do as a factor. Raises StepUpRequired, StepUpInvalid, RateLimited."""
        await self._throttles.of_owner(STEP_UP, client, viewer.user_id)
        person = await _person(viewer)
        if AuthFactor.PASSWORD not in factors_of(person, []):
            await self._demand(viewer, deed)
        elif not (await self._hasher.verify(password, person.password_hash)).matches:
            detail = {"operation": deed.operation, "factor": AuthFactor.PASSWORD.value}
            await self._audit.record(
                person.id, AuditAction.STEP_UP, client=client, outcome=AuditOutcome.REFUSED, detail=detail
            )
            raise StepUpInvalid("the password is not right", field=["current"])

    async def prove(self, viewer: Viewer, deed: Deed, factor: StepUpFactor, client: Client) -> tuple[str, int]:
        """A proof for one deed, and its end in epoch milliseconds. Raises AuthRefused, RateLimited."""
        await self._throttles.of_owner(STEP_UP, client, viewer.user_id)
        person = await _person(viewer)
        detail = {"operation": deed.operation, "factor": factor.kind.value}
        try:
            if factor.kind not in factors_of(person, await passkey.of_user(person.id)):
                text = "this factor does not do for this account; the demand names those that would"
                raise StepUpInvalid(text, field=["proof"])
            await self._check_factor(viewer, deed, person, factor, client)
        except AuthRefused:
            await self._audit.record(
                person.id, AuditAction.STEP_UP, client=client, outcome=AuditOutcome.REFUSED, detail=detail
            )
            raise
        await self._audit.record(person.id, AuditAction.STEP_UP, client=client, detail=detail)
        if viewer.session_id is not None:
            await session.set_authenticated(viewer.session_id, [factor.kind], self._clock.now_ms())
        return await self._challenges.put(
            ChallengeKind.STEP_UP_PROOF, _subject(viewer), self._facts(deed), life_seconds=PROOF_SECONDS, tries=1
        )

    async def _demand(self, viewer: Viewer, deed: Deed) -> None:
        """Raise StepUpRequired, unless the account has no factor at all and was signed in just now."""
        demand = await self.demanded(viewer, deed)
        if demand.factors:
            text = "prove that it is you: call reauthenticate for this operation and these parameters"
            raise StepUpRequired(text, step_up=demand)
        if not await self._is_fresh(viewer):
            raise StepUpRequired("sign in again first, or set a password by mail", step_up=None)

    async def demanded(self, viewer: Viewer, deed: Deed) -> StepUpDemand:
        """What a deed demands, with what a passkey is to sign for it; no factors, where the account has none."""
        person = await _person(viewer)
        known = await passkey.of_user(person.id)
        factors = factors_of(person, known)
        options, expires_ms = None, self._clock.now_ms() + PASSKEY_SECONDS * 1000
        if AuthFactor.PASSKEY in factors:
            token, expires_ms = await self._challenges.put(
                ChallengeKind.STEP_UP_PASSKEY,
                _subject(viewer),
                self._facts(deed),
                life_seconds=PASSKEY_SECONDS,
                tries=1,
            )
            options = self._passkeys.options(token, known)
        return StepUpDemand(deed.operation, factors, options, expires_ms)

    async def _check_factor(
        self, viewer: Viewer, deed: Deed, person: UserDocument, factor: StepUpFactor, client: Client
    ) -> None:
        match factor.kind:
            case AuthFactor.PASSWORD:
                if not (await self._hasher.verify(factor.text, person.password_hash)).matches:
                    raise StepUpInvalid("the password is not right", field=["proof", "password"])
            case AuthFactor.TOTP:
                await self._two_factor.use_code(person, factor.text, client)
            case AuthFactor.RECOVERY_CODE:
                await self._two_factor.use_recovery_code(person, factor.text, client)
            case AuthFactor.PASSKEY:
                token = signed_challenge(factor.credential)
                asked = await self._challenges.take_try(token, ChallengeKind.STEP_UP_PASSKEY, field="proof")
                self._check_deed(asked, viewer, deed, field=["proof", "passkey"])
                await self._passkeys.verify(factor.credential, token, user_id=person.id)
                await self._challenges.close(asked, field="proof")

    def _check_deed(self, asked: Challenge, viewer: Viewer, deed: Deed, *, field: list[str]) -> None:
        same = asked.subject == _subject(viewer) and asked.text("operation") == deed.operation
        if not same or not self._box.verifies(asked.text("digest"), deed.parameters, _CONTEXT):
            raise StepUpInvalid(
                "this was proven for another operation, or for other parameters; reauthenticate for these", field=field
            )

    async def _is_fresh(self, viewer: Viewer) -> bool:
        row = await session.by_id(viewer.session_id) if viewer.session_id is not None else None
        return row is not None and self._clock.now_ms() - row.authenticated_ms <= FRESH_MS

    def _facts(self, deed: Deed) -> dict[str, object]:
        return {"operation": deed.operation, "digest": self._box.digest(deed.parameters, _CONTEXT)}


def factors_of(person: UserDocument, passkeys: Sequence[PasskeyDocument]) -> list[AuthFactor]:
    """What proves that the owner is there. With codes by app, a password alone does not."""
    factors = []
    if person.totp is not None:
        factors.append(AuthFactor.TOTP)
        if person.recovery_hashes:
            factors.append(AuthFactor.RECOVERY_CODE)
    elif person.password_hash is not None:
        factors.append(AuthFactor.PASSWORD)
    if passkeys:
        factors.append(AuthFactor.PASSKEY)
    return factors


def _subject(viewer: Viewer) -> str:
    """A proof is of one person in one session."""
    return f"{viewer.user_id}:{viewer.session_id}"


async def _person(viewer: Viewer) -> UserDocument:
    person = await user.by_id(viewer.user_id)
    if person is None:
        raise StepUpInvalid("the account is deleted")
    return person
