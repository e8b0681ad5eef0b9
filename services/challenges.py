"""Questions put to a client and answered by a later request: what is remembered meanwhile opens only for whoever has the token."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import orjson

from core.account_vocabulary import AuthErrorCode
from core.clock import Clock, to_datetime
from core.ids import random_token, token_hash
from core.refusals import AuthRefused
from core.secret_box import SecretBox
from models import challenge
from models.challenge import ChallengeDocument

_LONGEST_TOKEN = 100
_PURGE_AFTER_MS = 3_600_000


class ChallengeKind(StrEnum):
    """What is asked."""

    SECOND_FACTOR = "SECOND_FACTOR"
    PASSKEY_REGISTRATION = "PASSKEY_REGISTRATION"
    PASSKEY_LOG_IN = "PASSKEY_LOG_IN"
    STEP_UP_PASSKEY = "STEP_UP_PASSKEY"
    STEP_UP_PROOF = "STEP_UP_PROOF"
    OAUTH = "OAUTH"


class ChallengeExpired(AuthRefused):
    """The question is over, was answered, or was never put."""

    code = AuthErrorCode.CHALLENGE_EXPIRED


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question that was found again: whom it was put to, and what was to be remembered."""

    token: str
    subject: str
    facts: Mapping[str, object]
    tries_left: int

    def text(self, name: str) -> str:
        """A fact that is a text; empty when there is none."""
        value = self.facts.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Challenges:
    """Stores questions; of several who answer at once, one succeeds."""

    clock: Clock

    async def put(
        self,
        kind: ChallengeKind,
        subject: str,
        facts: Mapping[str, object],
        *,
        life_seconds: int,
        tries: int,
        token: str | None = None,
    ) -> tuple[str, int]:
        """Remember a question; gives its token, a new one unless one was made at random already, and its end in epoch milliseconds."""
        token = token or random_token()
        expires_ms = self.clock.now_ms() + life_seconds * 1000
        row = ChallengeDocument(
            id=token_hash(token),
            kind=kind,
            subject=subject,
            facts=_box(token).seal(orjson.dumps(facts), kind),
            tries_left=tries,
            expires_ms=expires_ms,
            purge_at=to_datetime(expires_ms + _PURGE_AFTER_MS),
        )
        await challenge.insert(row)
        return token, expires_ms

    async def take_try(self, token: str, kind: ChallengeKind, *, field: str) -> Challenge:
        """Use up one try. Raises ChallengeExpired that names `field`."""
        row = None
        if 0 < len(token) <= _LONGEST_TOKEN:
            row = await challenge.take_try(token_hash(token), kind, self.clock.now_ms())
        if row is None:
            raise ChallengeExpired("this took too long, or was tried too often; begin again", field=[field])
        return Challenge(token, row.subject, orjson.loads(_box(token).open(row.facts, kind)), row.tries_left)

    async def close(self, asked: Challenge, *, field: str) -> None:
        """Answer it for good. Raises ChallengeExpired when somebody else was first."""
        if not await challenge.answer(token_hash(asked.token)):
            raise ChallengeExpired("this was answered already; begin again", field=[field])


def _box(token: str) -> SecretBox:
    return SecretBox([sha256(token.encode()).digest()])
