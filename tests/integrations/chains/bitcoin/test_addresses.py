"""Addresses: published vectors, other networks, and texts that are none."""

import pytest
from embit import base58, bech32
from hypothesis import given
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import (
    NotAnAddress,
    ScriptType,
    address_of,
    parse_address,
    script_of,
    type_of,
)
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from tests.integrations.chains.bitcoin.networks import MAIN, REGTEST, TEST

INVALID, ELSEWHERE = WalletErrorCode.ADDRESS_INVALID, WalletErrorCode.ADDRESS_WRONG_NETWORK
P2PKH = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"
GENESIS = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
P2SH = "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"
P2WPKH = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
P2WSH = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3"
P2TR = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"


@pytest.mark.parametrize(
    ("text", "type_", "script"),
    [
        (P2PKH, ScriptType.P2PKH, "76a91477bff20c60e522dfaa3350c39b030a5d004e839a88ac"),
        (P2SH, ScriptType.P2SH, "a914b472a266d0bd89c13706a4132ccfb16f7c3b9fcb87"),
        (P2WPKH, ScriptType.P2WPKH, "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (P2WSH, ScriptType.P2WSH, "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"),
        (P2TR, ScriptType.P2TR, "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
    ],
)
def test_the_five_kinds(text: str, type_: ScriptType, script: str) -> None:
    """BIP-173's and BIP-350's examples, and well-known addresses."""
    found = parse_address(text, MAIN)
    assert (found.text, found.type, found.script.hex()) == (text, type_, script)
    assert address_of(found.script, MAIN) == text
    assert type_of(found.script) is type_


def test_capitals_are_written_small() -> None:
    assert parse_address(P2WPKH.upper(), MAIN).text == P2WPKH


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(
            (text, ELSEWHERE)
            for text in ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn")
        ),
        ("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", ELSEWHERE),
        ("0x00000000219ab540356cBB839Cbe05303d7705Fa", ELSEWHERE),
        ("So11111111111111111111111111111111111111112", ELSEWHERE),
        (P2WPKH[:-1] + "5", INVALID),
        (P2WPKH[:10] + P2WPKH[10:].upper(), INVALID),
        (P2WPKH.capitalize(), INVALID),
        (P2PKH[:-1] + "3", INVALID),
        (P2PKH + "1", INVALID),
        ("1" + P2PKH, INVALID),
        (f" {P2WPKH}", INVALID),
        (P2WPKH.replace("q", "ԛ", 1), INVALID),
        ("", INVALID),
        ("1", INVALID),
        ("bc1", INVALID),
        ("x" * 10_000, INVALID),
    ],
)
def test_other_networks_and_texts_that_are_no_address(text: str, code: WalletErrorCode) -> None:
    with pytest.raises(NotAnAddress) as refused:
        parse_address(text, MAIN)
    assert refused.value.code is code
    assert len(text) < 5 or text not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
    ],
)
def test_bip_350s_invalid_addresses(text: str) -> None:
    with pytest.raises(NotAnAddress) as refused:
        parse_address(text, MAIN)
    assert refused.value.code is INVALID


@pytest.mark.parametrize("text", ["BC1SW50QGDZ25J", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"])
def test_witness_versions_that_nobody_can_spend_yet_are_refused(text: str) -> None:
    """Valid by BIP-350, and still no place to send coins to."""
    with pytest.raises(NotAnAddress, match="could be lost") as refused:
        parse_address(text, MAIN)
    assert refused.value.code is INVALID


@pytest.mark.parametrize("network", [MAIN, TEST, REGTEST])
@given(data=st.data())
def test_every_script_has_its_address_and_back(network: BitcoinNetwork, data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(list(ScriptType)))
    size = 32 if type_ in (ScriptType.P2WSH, ScriptType.P2TR) else 20
    script = script_of(type_, data.draw(st.binary(min_size=size, max_size=size)))
    text = address_of(script, network)
    assert text is not None
    found = parse_address(text, network)
    assert (found.type, found.script, found.text) == (type_, script, text)


@given(st.binary(max_size=40))
def test_scripts_without_an_address(script: bytes) -> None:
    type_ = type_of(script)
    assert (address_of(script, MAIN) is None) == (type_ is None)


def test_what_pays_to_nobody_has_no_address() -> None:
    for script in (b"", b"\x6a\x04test", bytes.fromhex("21") + b"\x02" * 33 + b"\xac", b"\x52\x20" + bytes(32)):
        assert address_of(script, MAIN) is None
    with pytest.raises(ValueError, match="needs 20 bytes"):
        script_of(ScriptType.P2PKH, bytes(19))


@given(st.data())
def test_one_letter_changed_is_never_another_address(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([P2PKH, P2SH, P2WPKH, P2WSH, P2TR]))
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(base58.B58_DIGITS + bech32.CHARSET))
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(NotAnAddress):
        parse_address(changed, MAIN)


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = parse_address(text, MAIN)
    except NotAnAddress:
        return
    assert address_of(found.script, MAIN) == found.text
