"""What a wallet is given to sign, in the layout of EIP-4361: for Ethereum as it stands, for Solana as Sign-In With Solana has it, and for
Bitcoin, which has no standard of its own, as CAIP-122 would.

The texts are ASCII. What comes back is compared with what was given as a whole; it is taken apart only to find which challenge it is of, and to
say what differs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from core.clock import to_datetime
from core.vocabulary import ChainFamily

LONGEST = 2_000
NONCE_LENGTH = 24
ACCOUNTS = {ChainFamily.EVM: "Ethereum", ChainFamily.BITCOIN: "Bitcoin", ChainFamily.SOLANA: "Solana"}
_LAYOUT = re.compile(
    r"(?P<domain>[^\n]{1,300}) wants you to sign in with your (?P<account>[A-Za-z]{1,20}) account:\n"
    r"(?P<address>[^\n]{1,200})\n"
    r"\n(?P<statement>[^\n]{1,600})\n"
    r"\nURI: (?P<uri>[^\n]{1,300})\n"
    r"Version: (?P<version>[^\n]{1,20})\n"
    r"(?:Chain ID: (?P<chain_id>[^\n]{1,40})\n)?"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,64})\n"
    r"Issued At: (?P<issued_at>[^\n]{1,40})\n"
    r"Expiration Time: (?P<expires_at>[^\n]{1,40})",
    re.ASCII,
)
_NOT_IN_STATEMENT = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;= ]", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignInMessage:
    """The parts of a message. `chain_id` is EIP-155's as decimal digits, None elsewhere; times are RFC 3339 in UTC with milliseconds."""

    family: ChainFamily
    domain: str
    address: str
    statement: str
    uri: str
    chain_id: str | None
    nonce: str
    issued_at: str
    expires_at: str

    @property
    def text(self) -> str:
        """What is signed."""
        chain = "" if self.chain_id is None else f"Chain ID: {self.chain_id}\n"
        return (
            f"{self.domain} wants you to sign in with your {ACCOUNTS[self.family]} account:\n{self.address}\n"
            f"\n{self.statement}\n"
            f"\nURI: {self.uri}\nVersion: 1\n{chain}Nonce: {self.nonce}\n"
            f"Issued At: {self.issued_at}\nExpiration Time: {self.expires_at}"
        )


@dataclass(frozen=True, slots=True)
class GivenMessage:
    """A message that came back: its parts by their labels, nothing of it believed."""

    nonce: str
    parts: dict[str, str]


def parse_message(text: str) -> GivenMessage | None:
    """The parts of a message that came back; None for what has another layout."""
    found = _LAYOUT.fullmatch(text) if len(text) <= LONGEST and text.isascii() else None
    if found is None:
        return None
    return GivenMessage(found["nonce"], {label: found[name] or "" for label, name in _LABELS.items()})


_LABELS = {
    "domain": "domain",
    "account": "account",
    "address": "address",
    "URI": "uri",
    "Version": "version",
    "Chain ID": "chain_id",
    "Issued At": "issued_at",
    "Expiration Time": "expires_at",
}


def differences(given: GivenMessage, issued: SignInMessage) -> Sequence[str]:
    """Labels of the parts that are not as they were issued; the statement, when nothing else differs."""
    wanted = {
        "domain": issued.domain,
        "account": ACCOUNTS[issued.family],
        "address": issued.address,
        "URI": issued.uri,
        "Version": "1",
        "Chain ID": issued.chain_id or "",
        "Issued At": issued.issued_at,
        "Expiration Time": issued.expires_at,
    }
    return [label for label, part in given.parts.items() if part != wanted[label]] or ["statement"]


def digest_of(text: str) -> str:
    """How a message is remembered: its SHA-256."""
    return sha256(text.encode("ascii", "replace")).hexdigest()


def moment(time_ms: int) -> str:
    """A time as the messages write it."""
    return to_datetime(time_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03}Z"


def statement_of(text: str) -> str:
    """A text as a statement may be (EIP-4361: reserved, unreserved and blanks of RFC 3986); any other character becomes `?`."""
    return _NOT_IN_STATEMENT.sub("?", text)[:600]
