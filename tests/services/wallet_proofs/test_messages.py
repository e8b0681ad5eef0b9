"""What is given to be signed: other programs read it as the standard says, and whatever is changed in it is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from siwe import SiweMessage

from core.vocabulary import ChainFamily
from services.wallet_proofs.messages import (
    LONGEST,
    SignInMessage,
    differences,
    moment,
    parse_message,
    statement_of,
)

ISSUED = SignInMessage(
    family=ChainFamily.EVM,
    domain="app.vault.example:8443",
    address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    statement="Link this wallet to the CryptoVault account ada+x@example.com.",
    uri="https://app.vault.example:8443",
    chain_id="1",
    nonce="a" * 24,
    issued_at=moment(1_790_000_000_000),
    expires_at=moment(1_790_000_300_007),
)


def test_the_standards_own_reader_reads_it() -> None:
    """By the grammar of EIP-4361, not by the library's regular expression."""
    read = SiweMessage.from_message(ISSUED.text, abnf=True)
    assert (read.domain, read.address, read.uri) == (ISSUED.domain, ISSUED.address, ISSUED.uri)
    assert (read.statement, str(read.version), read.chain_id) == (ISSUED.statement, "1", 1)
    assert (read.nonce, read.issued_at, read.expiration_time) == (ISSUED.nonce, ISSUED.issued_at, ISSUED.expires_at)
    assert (read.not_before, read.request_id, read.resources, read.warnings) == (None, None, None, [])
    assert read.prepare_message() == ISSUED.text


@given(st.text(max_size=300))
def test_any_text_becomes_a_statement_of_the_standard(text: str) -> None:
    message = replace(ISSUED, statement=statement_of(f"For {text}"))
    assert SiweMessage.from_message(message.text, abnf=True).statement == message.statement


def test_times_are_to_the_millisecond() -> None:
    assert ISSUED.issued_at == "2026-09-21T14:13:20.000Z"
    assert ISSUED.expires_at == "2026-09-21T14:18:20.007Z"


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("app.vault.example:8443 wants", "evil.example wants", ["domain"]),
        ("app.vault.example:8443 wants", "https://app.vault.example:8443 wants", ["domain"]),
        ("app.vault.example:8443 wants", "app.vault.example:8443\r wants", ["domain"]),
        ("Ethereum account", "Solana account", ["account"]),
        ("0x5aAeb6", "0x5aaeb6", ["address"]),
        ("ada+x@", "eve+x@", ["statement"]),
        ("URI: https://", "URI: http://", ["URI"]),
        ("Version: 1", "Version: 2", ["Version"]),
        ("Chain ID: 1", "Chain ID: 137", ["Chain ID"]),
        ("Chain ID: 1", "Chain ID: 01", ["Chain ID"]),
        ("Chain ID: 1\n", "", ["Chain ID"]),
        ("14:13:20.000Z", "14:13:20Z", ["Issued At"]),
        ("14:18:20.007Z", "14:28:20.007Z", ["Expiration Time"]),
    ],
)
def test_what_differs_is_named(was: str, becomes: str, named: list[str]) -> None:
    assert was in ISSUED.text
    given_back = parse_message(ISSUED.text.replace(was, becomes, 1))
    assert given_back is not None
    assert differences(given_back, ISSUED) == named


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * (LONGEST + 1),
        ISSUED.text + "\n",
        "\n" + ISSUED.text,
        ISSUED.text.replace("\n", "\r\n"),
        ISSUED.text + "\nResources:\n- https://evil.example",
        ISSUED.text + "\nNot Before: 2026-09-21T14:13:20.000Z",
        ISSUED.text.replace("\n\nURI", "\nURI"),
        ISSUED.text.replace("Nonce: a", "Nonce: \u0430"),
        ISSUED.text.replace("Nonce: a", "nonce: a"),
        ISSUED.text.replace("Nonce: " + "a" * 24, "Nonce: " + "a" * 23 + "-"),
        ISSUED.text.replace("example", "ex\ud800ample", 1),
        "\n".join(reversed(ISSUED.text.split("\n"))),
    ],
)
def test_another_layout_is_no_message(text: str) -> None:
    assert parse_message(text) is None


@given(st.integers(0, len(ISSUED.text) - 1), st.characters(codec="ascii"))
def test_one_changed_character_is_noticed(place: int, character: str) -> None:
    text = ISSUED.text[:place] + character + ISSUED.text[place + 1 :]
    given_back = parse_message(text)
    if text != ISSUED.text and given_back is not None:
        assert given_back.nonce != ISSUED.nonce or differences(given_back, ISSUED)
