"""Mail addresses: which ones are taken, and which ones are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.email_addresses import LONGEST, EmailInvalid, key_digest, parse_email

SAME = [
    ("anna@example.com", "ANNA@EXAMPLE.COM"),
    ("anna@example.com", "  anna@example.com\n"),
    ("anna@bücher.example", "anna@xn--bcher-kva.example"),
    ("anna@BÜCHER.example", "anna@bücher.example"),
    ("\u00e5sa@example.com", "a\u030asa@example.com"),
    ("\uff41\uff4e\uff4e\uff41@example.com", "anna@example.com"),
    ("o\ufb03ce@example.com", "office@example.com"),
    ("straße@example.com", "STRASSE@example.com"),
    ("anna@example.com", "anna@example\u3002com"),
]
"""Pairs that must not be two accounts: case, Unicode's forms, and both spellings of a domain."""
DIFFERENT = [
    ("anna@example.com", "\u0430nna@example.com"),
    ("anna@example.com", "anna@ex\u0430mple.com"),
    ("anna@example.com", "anna+x@example.com"),
    ("anna@example.com", "a.nna@example.com"),
    ("anna@example.com", "anna@example.co"),
    ("anna@example.com", "anna@mail.example.com"),
    ("anna@example.com", "\u0131nna@example.com"),
]
"""Pairs that only look alike: each is a mailbox of its own, so neither may reach the other's account."""
NONE = [
    *(
        "",
        " ",
        "@",
        "anna",
        "anna@",
        "@example.com",
        "anna@example",
        "anna@@example.com",
        "anna@example.com@example.com",
    ),
    *("anna@.example.com", "anna@example..com", ".anna@example.com", "anna.@example.com", "an..na@example.com"),
    *("an na@example.com", '"anna"@example.com', "anna@[127.0.0.1]", "anna@127.0.0.1", "Anna <anna@example.com>"),
    *("anna@example.com,ben@example.com", "anna@example.com;ben@example.com", "mailto:anna@example.com"),
    *("anna\0@example.com", "anna@exam\0ple.com", "anna@example.com\0", "anna@example.com\r\nBcc: ben@example.com"),
    *("\u202eanna@example.com", "anna\u200b@example.com", "anna@exam\u00adple..com", "\ufeffanna@example.com"),
    *("anna@" + "a" * 64 + ".com", "anna@" + "a." * 200 + "com", "x" * 100_000),
    *('{"$ne": ""}', "anna@example.com' or '1'='1", "anna@-example.com", "anna@localhost"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_address_has_one_key(one: str, other: str) -> None:
    assert parse_email(one).key == parse_email(other).key


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_addresses_that_look_alike_have_two_keys(one: str, other: str) -> None:
    assert parse_email(one).key != parse_email(other).key


@pytest.mark.parametrize("text", NONE, ids=lambda text: repr(text[:40]))
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(EmailInvalid) as refused:
        parse_email(text)
    assert refused.value.field == ["email"]
    assert refused.value.message == "expected an e-mail address such as you@example.com"


def test_the_address_is_kept_as_its_owner_writes_it() -> None:
    assert parse_email(" Anna.Smith@Example.COM ").text == "Anna.Smith@example.com"
    assert parse_email("anna@xn--bcher-kva.example").text == "anna@bücher.example"


def test_an_address_has_at_most_254_characters() -> None:
    text = "a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".example"
    longest = text + "x" * (LONGEST - len(text))
    assert len(parse_email(longest).text) == LONGEST
    with pytest.raises(EmailInvalid):
        parse_email(longest + "x")


@given(st.text(max_size=80) | st.emails())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_email(text)
    except EmailInvalid:
        return
    assert parse_email(address.text) == address, "what is kept is read again as the same"
    assert parse_email(address.key).key == address.key
    assert "@" in address.key
    assert not {"\r", "\n", "\0", " "} & set(address.text)


def test_a_digest_does_not_show_the_address() -> None:
    assert len(key_digest("anna@example.com")) == 64
    assert key_digest("anna@example.com") != key_digest("anna@example.co")
