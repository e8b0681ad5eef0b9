"""EIP-4361's published vectors, each against what is done with it here. What is refused on purpose is stricter than the standard, and named row by row.

Messages here are made here: one statement, one expiry, neither resources nor `Not Before` nor `Request ID`, and nothing is taken but the very
text that was given. So most vectors are of another layout; what they are about is asked again without these optional lines.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from siwe import SiweMessage

from core.vocabulary import ChainFamily
from services.wallet_proofs.evm import verify_evm
from services.wallet_proofs.messages import SignInMessage, differences, parse_message
from services.wallet_proofs.refusals import SignatureInvalid
from tests.chains import LOCAL_ETHEREUM
from tests.services.wallet_proofs.test_evm import Scripted

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "siwe.json").read_text())
LAYOUT = "another layout"
EXPIRY = "2023-03-17T12:45:13.610Z"
ISSUED = SignInMessage(
    family=ChainFamily.EVM,
    domain="service.org",
    address="0xe5A12547fe4E872D192E3eCecb76F2Ce1aeA4946",
    statement="I accept the ServiceOrg Terms of Service: https://service.org/tos",
    uri="https://service.org/login",
    chain_id="1",
    nonce="12341234",
    issued_at="2022-03-17T12:45:13.610Z",
    expires_at=EXPIRY,
)
"""What most of the negative vectors were made from."""
POSITIVE = {
    "couple of optional fields": "has resources, no expiry",
    "no optional field": "no expiry",
    "timestamp without microseconds": "no expiry",
    "domain is RFC 3986 authority with IP": "no expiry",
    "domain is RFC 3986 authority with userinfo": "no expiry",
    "domain is RFC 3986 authority with port": "no expiry",
    "domain is RFC 3986 authority with userinfo and port": "no expiry",
    "no statement": "no expiry, no statement",
}
"""Why each is no message here."""
NEGATIVE = {
    "missing mandatory field": LAYOUT,
    "extra line breaks": LAYOUT,
    "non-ISO datetime": LAYOUT,
    "out of order fields": LAYOUT,
    "wrong version": LAYOUT,
    "missing domain": LAYOUT,
    "missing address": LAYOUT,
    "missing uri": LAYOUT,
    "missing version": LAYOUT,
    "missing chainId": LAYOUT,
    "missing nonce": LAYOUT,
    "missing issuedAt": LAYOUT,
    "out of order uri": LAYOUT,
    "out of order version": LAYOUT,
    "out of order chainId": LAYOUT,
    "out of order nonce": LAYOUT,
    "out of order issuedAt": LAYOUT,
    "domain not RFC4501 authority": "domain",
    "address not EIP-55": "address",
    "statement has line break": LAYOUT,
    "uri is non-RFC 3986": "URI",
    "not a valid chainId": "Chain ID",
    "nonce with less then 8 chars": LAYOUT,
    "non-ISO 8601 issuedAt": "Issued At",
    "non-ISO 8601 expirationTime": "Expiration Time",
}
"""What is said of each without its optional lines. That of all the others is wrong in an optional line alone; see the next table."""
OPTIONAL = {
    "out of order expirationTime",
    "out of order notBefore",
    "out of order requestId",
    "out of order resources",
    "version not 1",  # it says `Version: 1`: published like this, and well formed
    "non-ISO 8601 notBefore",
    "resources not separated by line break",
    "first resource is not-RFC3986",
    "second resource not-RFC 3986",
}


def bare(text: str) -> str:
    """Without `Not Before`, `Request ID` and the resources."""
    lines = [line for line in text.split("\n") if not re.match(r"Not Before: |Request ID: |Resources:$|- ", line)]
    return "\n".join(lines)


def verdict(text: str, issued: SignInMessage = ISSUED) -> str | None:
    """What is said of a text that comes back for a message; None: it is that message."""
    given = parse_message(text)
    if given is None:
        return LAYOUT
    if given.nonce != issued.nonce:
        return "Nonce"
    return None if text == issued.text else differences(given, issued)[0]


def test_every_vector_has_a_row() -> None:
    assert set(POSITIVE) == set(VECTORS["parsing_positive"])
    assert set(NEGATIVE) | OPTIONAL == set(VECTORS["parsing_negative"])
    assert set(SIGNED) == set(VECTORS["verification_positive"])
    assert set(MISUSED) == set(VECTORS["verification_negative"])


@pytest.mark.parametrize("name", POSITIVE)
def test_well_formed_messages_are_read_when_they_have_what_every_message_here_has(name: str) -> None:
    text, fields = VECTORS["parsing_positive"][name]["message"], VECTORS["parsing_positive"][name]["fields"]
    assert SiweMessage.from_message(text, abnf=True).nonce == fields["nonce"]
    assert parse_message(text) is None, POSITIVE[name]
    completed = f"{bare(text)}\nExpiration Time: {EXPIRY}".replace("\n\n\nURI", f"\n\n{ISSUED.statement}\n\nURI")
    read = parse_message(completed)
    assert read is not None
    assert read.nonce == fields["nonce"]
    assert read.parts == {
        "domain": fields["domain"],
        "account": "Ethereum",
        "address": fields["address"],
        "URI": fields["uri"],
        "Version": fields["version"],
        "Chain ID": fields["chainId"],
        "Issued At": fields["issuedAt"],
        "Expiration Time": EXPIRY,
    }


@pytest.mark.parametrize(("name", "said"), NEGATIVE.items())
def test_malformed_messages_are_refused_and_what_is_wrong_is_named(name: str, said: str) -> None:
    text = VECTORS["parsing_negative"][name]
    assert verdict(text) == LAYOUT
    assert verdict(bare(text)) == said


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_lines_are_refused_right_or_wrong(name: str) -> None:
    text = VECTORS["parsing_negative"][name]
    assert verdict(text) == LAYOUT
    assert verdict(bare(text)) is None


@dataclass(frozen=True, slots=True)
class Row:
    """What is said here of the message when this was issued, and whether the address's key has signed it."""

    said: str | None
    signed: bool = True


SIGNED = {
    "example message": Row(None),
    "not yet valid": Row(LAYOUT),  # has `Not Before`, no expiry
    "expired message": Row(None),  # the vector's clock stands before the expiry
    "recovery byte starting at 0 tally_example": Row(
        LAYOUT, signed=False
    ),  # v of 0 or 1: no wallet gives it; no expiry
}
MISUSED = {
    "expired message": Row(None),  # how long it lasts is the challenge's, which is over: tests/services/test_wallets.py
    "custom time": Row(None),  # the same
    "domain binding": Row("domain"),
    "custom nonce": Row("Nonce"),
    "malformed signature": Row(None, signed=False),
    "wrong signature": Row(None, signed=False),
    "not yet valid": Row(LAYOUT),
}


@pytest.mark.parametrize(
    ("vector", "row"),
    [
        *((VECTORS["verification_positive"][name], row) for name, row in SIGNED.items()),
        *((VECTORS["verification_negative"][name], row) for name, row in MISUSED.items()),
    ],
    ids=[*(f"positive: {name}" for name in SIGNED), *(f"negative: {name}" for name in MISUSED)],
)
async def test_signatures_and_what_they_are_good_for(vector: dict[str, Any], row: Row) -> None:
    text = text_of(vector)
    issued = replace(
        ISSUED,
        domain=vector.get("domainBinding", vector["domain"]),
        address=vector["address"],
        statement=vector["statement"],
        uri=vector["uri"],
        nonce=vector.get("matchNonce", vector["nonce"]),
        issued_at=vector["issuedAt"],
        expires_at=vector.get("expirationTime", EXPIRY),
    )
    assert verdict(text, issued) == row.said
    check = verify_evm(Scripted(), LOCAL_ETHEREUM, vector["address"], text, vector["signature"])
    if row.signed:
        assert not await check
    else:
        with pytest.raises(SignatureInvalid):
            await check


def text_of(vector: dict[str, Any]) -> str:
    """The message of a vector, which lists its fields, as the standard writes it."""
    wanted = {
        "expiration_time": vector.get("expirationTime"),
        "not_before": vector.get("notBefore"),
        "issued_at": vector["issuedAt"],
        "chain_id": vector["chainId"],
    }
    same = {name: vector[name] for name in ("domain", "address", "statement", "uri", "version", "nonce")}
    return str(
        SiweMessage(**same, **{name: value for name, value in wanted.items() if value is not None}).prepare_message()
    )
