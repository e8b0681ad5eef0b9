"""Addresses: the vectors of BIP-173 and BIP-350, Base58Check, other networks, and what people mistype."""

import pytest
from embit import base58
from hypothesis import given
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import (
    NotAnAddress,
    ScriptType,
    address_of,
    known_script,
    parse_address,
    script_of,
    type_of,
)
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from tests.integrations.chains.bitcoin.house import MAIN, NETWORK, TEST

PAYLOADS = {
    ScriptType.P2PKH: 20,
    ScriptType.P2SH: 20,
    ScriptType.P2WPKH: 20,
    ScriptType.P2WSH: 32,
    ScriptType.P2TR: 32,
}
VALID = [
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", MAIN, "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
    (
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        TEST,
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
        TEST,
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        TEST,
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
    ),
    (
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        MAIN,
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", MAIN, "76a91477bff20c60e522dfaa3350c39b030a5d004e839a88ac"),
    ("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", MAIN, "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87"),
]
UNKNOWN_WITNESSES = [
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
]
INVALID = [
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "bc1gmk9yu",
    "",
    " ",
    "1",
    "bc1",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 ",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN",
    "11BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "\u0441" + "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"[1:],
    "bc1q" + "q" * 200,
    "1" * 5000,
    "x" * 40,
    "l" * 34,
]
OTHERS = [
    "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
    "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
    "LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1",
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "So11111111111111111111111111111111111111112",
]


@pytest.mark.parametrize(("text", "network", "script"), VALID)
def test_published_addresses(text: str, network: BitcoinNetwork, script: str) -> None:
    found = parse_address(text, network)
    assert found.script.hex() == script
    assert type_of(found.script) is found.type
    assert address_of(found.script, network) == found.text
    assert found.text == (text.lower() if text[:2].lower() in ("bc", "tb") else text)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NotAnAddress) as refused:
        parse_address(text, MAIN)
    assert refused.value.code is WalletErrorCode.ADDRESS_INVALID
    assert not text.strip() or len(text) < 5 or text not in str(refused.value)


@pytest.mark.parametrize("text", UNKNOWN_WITNESSES)
def test_what_nobody_can_spend_yet_is_not_paid_to(text: str) -> None:
    with pytest.raises(NotAnAddress, match="could be lost"):
        parse_address(text, MAIN)


@pytest.mark.parametrize("text", OTHERS)
def test_addresses_of_other_networks(text: str) -> None:
    with pytest.raises(NotAnAddress, match="another network") as refused:
        parse_address(text, MAIN)
    assert refused.value.code is WalletErrorCode.ADDRESS_WRONG_NETWORK


def test_capitals_beside_small_letters_are_told_as_such() -> None:
    with pytest.raises(NotAnAddress, match="capitals beside small letters"):
        parse_address("bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", MAIN)


@given(st.sampled_from(sorted(PAYLOADS)), st.binary(min_size=32, max_size=32), st.sampled_from([MAIN, TEST, NETWORK]))
def test_scripts_and_addresses_are_each_others(type_: ScriptType, payload: bytes, network: BitcoinNetwork) -> None:
    script = script_of(type_, payload[: PAYLOADS[type_]])
    text = address_of(script, network)
    assert text is not None
    found = parse_address(text, network)
    assert (found.text, found.type, found.script) == (text, type_, script)


@given(st.sampled_from(VALID), st.data())
def test_a_wrong_letter_is_found(case: tuple[str, BitcoinNetwork, str], data: st.DataObject) -> None:
    text, network, _ = case
    text = text.lower() if text.startswith("BC") else text
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(sorted(set(base58.B58_DIGITS + "0lOI") - {text[at]})))
    wrong = text[:at] + letter + text[at + 1 :]
    with pytest.raises(NotAnAddress):
        parse_address(wrong, network)


@given(st.text(max_size=100))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(NotAnAddress):
        parse_address(text, MAIN)


def test_scripts_without_an_address() -> None:
    for script in (b"", b"\x6a\x04test", b"\x51\x02\x4e\x73", b"\x00\x14" + b"x" * 21, b"\x51" * 34):
        assert address_of(script, MAIN) is None
        assert type_of(script) is None
    with pytest.raises(ValueError, match="20 bytes"):
        script_of(ScriptType.P2WPKH, b"x" * 32)


@given(st.sampled_from(list(PAYLOADS)), st.binary(min_size=32, max_size=32), st.sampled_from([MAIN, TEST, NETWORK]))
def test_a_known_address_gives_its_script(type_: ScriptType, payload: bytes, network: BitcoinNetwork) -> None:
    script = script_of(type_, payload[: PAYLOADS[type_]])
    text = address_of(script, network)
    assert text is not None
    assert known_script(text, network) == parse_address(text, network).script == script
