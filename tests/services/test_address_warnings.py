"""Addresses that look like known ones: by the ends that people read, whatever all addresses of a kind begin with."""

import pytest

from core.wallet_vocabulary import TransactionWarningCode as Code
from services.address_warnings import KnownAddresses, address_warnings

KNOWN = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


@pytest.mark.parametrize(
    ("address", "known", "alike"),
    [
        ("bc1qw508zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz8f3t4", KNOWN, True),
        ("BC1QW508ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ8F3T4", KNOWN, True),
        ("bc1qzzzzd6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", KNOWN, False),
        ("bc1pw508zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz8f3t4", KNOWN, True),
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoaAAAAAAAAAAAAAAAAAAAAAAAAAAtpyT", True),
        ("0xAbcd000000000000000000000000000000001234", "0xabcd111111111111111111111111111111111234", True),
        ("0xAbcd000000000000000000000000000000001234", "0xabce111111111111111111111111111111111234", False),
    ],
)
def test_what_looks_alike(address: str, known: str, alike: bool) -> None:
    found = [each.code for each in address_warnings(address, KnownAddresses(frozenset({known}), None))]
    assert found == [Code.FIRST_TIME_ADDRESS, *([Code.LOOKALIKE_ADDRESS] if alike else [])]


def test_what_is_known_is_not_warned_of() -> None:
    assert address_warnings(KNOWN, KnownAddresses(frozenset({KNOWN}), None)) == []
    (own,) = address_warnings(KNOWN, KnownAddresses(frozenset(), KNOWN))
    assert own.code is Code.OWN_DEPOSIT_ADDRESS
