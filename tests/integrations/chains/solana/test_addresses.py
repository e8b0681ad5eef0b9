"""Addresses of Solana: what is one, who can sign for it, where tokens lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from integrations.chains.solana.addresses import (
    INCINERATOR,
    SYSTEM_PROGRAM,
    TOKEN_2022_PROGRAM,
    AddressProblem,
    InvalidAddress,
    associated_token_address,
    parse,
    parse_wallet,
)

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
WALLET = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", AddressProblem.NOT_BASE58),
        (f" {WALLET}", AddressProblem.NOT_BASE58),
        (f"{WALLET}\n", AddressProblem.NOT_BASE58),
        (WALLET.replace("W", "0"), AddressProblem.NOT_BASE58),
        (WALLET.replace("x", "х"), AddressProblem.NOT_BASE58),
        (WALLET[:-3], AddressProblem.WRONG_LENGTH),
        (WALLET + "M", AddressProblem.WRONG_LENGTH),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", AddressProblem.WRONG_LENGTH),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", AddressProblem.NOT_BASE58),
        ("0x71C7656EC7ab88b098defB751B7401B5f6d8976F", AddressProblem.NOT_BASE58),
        (associated_token_address(WALLET, USDC), AddressProblem.OFF_CURVE),
        (SYSTEM_PROGRAM, AddressProblem.PROGRAM),
        (INCINERATOR, AddressProblem.PROGRAM),
    ],
)
def test_what_no_key_signs_for_is_refused_in_words(text: str, problem: AddressProblem) -> None:
    with pytest.raises(InvalidAddress) as refused:
        parse_wallet(text)
    assert refused.value.problem is problem
    assert str(refused.value).endswith(".")
    assert not text or text not in str(refused.value)


@given(st.binary(min_size=32, max_size=32))
def test_any_key_pair_has_a_wallet_address_and_its_token_accounts_have_none(seed: bytes) -> None:
    wallet = str(Keypair.from_seed(seed).pubkey())
    assert str(parse_wallet(wallet)) == wallet
    account = associated_token_address(wallet, USDC)
    assert not parse(account).is_on_curve()


@given(st.text(max_size=50))
def test_whatever_text_is_given_is_an_address_or_a_refusal(text: str) -> None:
    try:
        found = parse(text)
    except InvalidAddress:
        return
    assert str(found) == text


def test_tokens_lie_where_the_associated_token_program_puts_them() -> None:
    """Known: Circle's USDC mint and this wallet; of Token-2022 by the program's own derivation."""
    seeds = [bytes(Pubkey.from_string(each)) for each in (WALLET, TOKEN_2022_PROGRAM, USDC)]
    program = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
    assert associated_token_address(WALLET, USDC, TOKEN_2022_PROGRAM) == str(
        Pubkey.find_program_address(seeds, program)[0]
    )
    assert associated_token_address(WALLET, USDC) != associated_token_address(WALLET, USDC, TOKEN_2022_PROGRAM)
    with pytest.raises(InvalidAddress):
        associated_token_address("nobody", USDC)
