"""Messages that wallets are given to sign: each for one purpose, one account or none, one address, once, and for five minutes.

A message speaks in the name of the page that asks, where its origin is on the allow-list, because wallets compare the two and warn their owners of
any other; else, for programs and other pages, in the name of this API's own address (`APP_URL`). So a page that is not on the list gets a message
that the wallet will not show as its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from core.clock import Clock, to_datetime
from core.ids import random_nonce, token_hash
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from models import wallet_challenge
from models.chain import ChainEntry
from models.wallet_challenge import WalletChallengeDocument
from services.viewer import Client
from services.wallet_proofs.messages import (
    SignInMessage,
    differences,
    digest_of,
    moment,
    parse_message,
    statement_of,
)

LIFE_SECONDS = 300
_PURGE_AFTER_MS = 3_600_000


class WalletPurpose(StrEnum):
    """What a message is signed for."""

    LINK = "LINK"
    LOG_IN = "LOG_IN"


@dataclass(frozen=True, slots=True)
class WalletSite:
    """In whose name messages speak: an origin such as `https://api.example.com`, and which others may be named instead."""

    own_origin: str
    allows: Callable[[str], bool]

    def origin_for(self, client: Client) -> str:
        """The origin a message for this client names."""
        asked = client.origin
        return asked.lower() if asked is not None and self.allows(asked) else self.own_origin


@dataclass(frozen=True, slots=True)
class AskedSignature:
    """A message to be signed, its nonce, and its end in epoch milliseconds."""

    message: str
    nonce: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class WalletChallenges:
    """Gives messages and takes them back; of several who bring one back at once, one succeeds."""

    site: WalletSite
    clock: Clock

    async def put(
        self,
        purpose: WalletPurpose,
        subject: str,
        chain: ChainEntry,
        *,
        address: str,
        statement: str,
        client: Client,
    ) -> AskedSignature:
        """Give a message. `subject`: the account it is for; empty for nobody's. `address` is in its normal form."""
        now_ms, nonce = self.clock.now_ms(), random_nonce()
        origin = self.site.origin_for(client)
        row = WalletChallengeDocument(
            id=token_hash(nonce),
            purpose=purpose,
            subject=subject,
            family=chain.family,
            chain=chain.key,
            address=address,
            domain=urlsplit(origin).netloc,
            uri=origin,
            chain_id=str(chain.chain_id) if chain.family is ChainFamily.EVM else None,
            digest="",
            issued_ms=now_ms,
            expires_ms=now_ms + LIFE_SECONDS * 1000,
            purge_at=to_datetime(now_ms + LIFE_SECONDS * 1000 + _PURGE_AFTER_MS),
        )
        text = _issued(row, nonce, statement_of(statement)).text
        await wallet_challenge.insert(row.model_copy(update={"digest": digest_of(text)}))
        return AskedSignature(text, nonce, row.expires_ms)

    async def given_back(
        self, purpose: WalletPurpose, subject: str, family: ChainFamily, message: str
    ) -> WalletChallengeDocument:
        """The challenge of a message that came back as it was given.

        Raises WalletRefused that names the field `message`: MESSAGE_MISMATCH, CHALLENGE_EXPIRED, CHALLENGE_USED.
        """
        given = parse_message(message)
        if given is None:
            text = "expected the very message that was given to be signed"
            raise _refused(WalletErrorCode.MESSAGE_MISMATCH, text)
        row = await wallet_challenge.by_id(token_hash(given.nonce))
        if row is None or (row.purpose, row.subject) != (purpose, subject):
            text = "no such message was given; ask for another"
            raise _refused(WalletErrorCode.CHALLENGE_EXPIRED, text)
        if row.used_ms is not None:
            raise _used()
        if row.expires_ms <= self.clock.now_ms():
            text = "this message is over; ask for another"
            raise _refused(WalletErrorCode.CHALLENGE_EXPIRED, text)
        if row.digest != digest_of(message) or row.family is not family:
            changed = differences(given, _issued(row, given.nonce, "")) if row.family is family else ["account"]
            text = "the message is not as it was given; what differs: {parts}"
            raise WalletRefused(
                text, {"parts": ", ".join(changed)}, reason=WalletErrorCode.MESSAGE_MISMATCH, field=["message"]
            )
        return row

    async def use(self, row: WalletChallengeDocument) -> None:
        """Use it up. Raises WalletRefused with CHALLENGE_USED when somebody else was first."""
        if not await wallet_challenge.use(row.id, self.clock.now_ms()):
            raise _used()


def _issued(row: WalletChallengeDocument, nonce: str, statement: str) -> SignInMessage:
    return SignInMessage(
        family=row.family,
        domain=row.domain,
        address=row.address,
        statement=statement,
        uri=row.uri,
        chain_id=row.chain_id,
        nonce=nonce,
        issued_at=moment(row.issued_ms),
        expires_at=moment(row.expires_ms),
    )


def _refused(reason: WalletErrorCode, text: str) -> WalletRefused:
    return WalletRefused(text, reason=reason, field=["message"])


def _used() -> WalletRefused:
    text = "this message was used already; ask for another"
    return _refused(WalletErrorCode.CHALLENGE_USED, text)
