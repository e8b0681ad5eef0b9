"""What is taken for an address, in which form it is kept, and what is told of what is none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from core.refusals import WalletRefused
from models.chain import ChainEntry
from services.wallet_proofs.addresses import normal_address
from services.wallet_proofs.bitcoin_addresses import AddressKind
from tests.chains import LITECOIN, LOCAL_ETHEREUM
from tests.wallet_keys import BITCOIN, SOLANA, BitcoinKey, EthereumKey, SolanaKey

EIP_55 = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
"""Of EIP-55's own examples."""
SOLANA_ADDRESS = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
GOOD: list[tuple[ChainEntry, str, str]] = [
    (LOCAL_ETHEREUM, EIP_55, EIP_55),
    (LOCAL_ETHEREUM, EIP_55.lower(), EIP_55),
    (LOCAL_ETHEREUM, "0x" + "1" * 40, "0x" + "1" * 40),
    (BITCOIN, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    (BITCOIN, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
    (BITCOIN, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    (
        BITCOIN,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    ),
    (SOLANA, SOLANA_ADDRESS, SOLANA_ADDRESS),
]
BAD: list[tuple[ChainEntry, str, str, str]] = [
    (LOCAL_ETHEREUM, "", "ADDRESS_INVALID", "1 to 100 characters"),
    (LOCAL_ETHEREUM, "0x" + "a" * 1000, "ADDRESS_INVALID", "1 to 100 characters"),
    (LOCAL_ETHEREUM, EIP_55[:-1] + "D", "ADDRESS_INVALID", "EIP-55"),
    (LOCAL_ETHEREUM, EIP_55.swapcase().replace("0X", "0x"), "ADDRESS_INVALID", "EIP-55"),
    (LOCAL_ETHEREUM, "0X" + EIP_55[2:], "ADDRESS_INVALID", "40 hexadecimal"),
    (LOCAL_ETHEREUM, EIP_55[2:], "ADDRESS_INVALID", "40 hexadecimal"),
    (LOCAL_ETHEREUM, EIP_55[:-2], "ADDRESS_INVALID", "40 hexadecimal"),
    (LOCAL_ETHEREUM, f" {EIP_55}", "ADDRESS_INVALID", "character 1 is SPACE"),
    (LOCAL_ETHEREUM, f"{EIP_55}\n", "ADDRESS_INVALID", "character 43 is U+000A"),
    (LOCAL_ETHEREUM, EIP_55.replace("a", "\u0430"), "ADDRESS_INVALID", "CYRILLIC SMALL LETTER A"),
    (LOCAL_ETHEREUM, f"0x\u200b{EIP_55[2:]}", "ADDRESS_INVALID", "character 3 is ZERO WIDTH SPACE"),
    (LOCAL_ETHEREUM, "\uff10" + EIP_55[1:], "ADDRESS_INVALID", "FULLWIDTH DIGIT ZERO"),
    (LOCAL_ETHEREUM, SOLANA_ADDRESS, "ADDRESS_INVALID", "40 hexadecimal"),
    (BITCOIN, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "ADDRESS_WRONG_NETWORK", "Bitcoin"),
    (BITCOIN, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "ADDRESS_WRONG_NETWORK", "Bitcoin"),
    (BITCOIN, BitcoinKey(AddressKind.P2TR, LITECOIN, secret=b"\x07" * 32).address, "ADDRESS_WRONG_NETWORK", "Bitcoin"),
    (LITECOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "ADDRESS_WRONG_NETWORK", "Regtest"),
    (BITCOIN, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "ADDRESS_INVALID", "checksum"),
    (BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "ADDRESS_INVALID", "checksum"),
    (BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7KV8F3T4", "ADDRESS_INVALID", "checksum"),
    # Bech32 where BIP-350 wants Bech32m:
    (BITCOIN, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "ADDRESS_INVALID", "checksum"),
    (BITCOIN, "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3", "NOT_ENABLED", "one key"),
    (BITCOIN, "1", "ADDRESS_INVALID", "checksum"),
    (BITCOIN, EIP_55, "ADDRESS_INVALID", "checksum"),
    (SOLANA, SOLANA_ADDRESS[:-1] + "0", "ADDRESS_INVALID", "Base58"),
    (SOLANA, SOLANA_ADDRESS + "1", "ADDRESS_INVALID", "Base58"),
    (SOLANA, "z" * 44, "ADDRESS_INVALID", "Base58"),
    (SOLANA, str(Pubkey.find_program_address([b"vault"], Pubkey.default())[0]), "ADDRESS_INVALID", "program"),
]


@pytest.mark.parametrize(("chain", "text", "normal"), GOOD)
def test_an_address_has_one_form(chain: ChainEntry, text: str, normal: str) -> None:
    assert normal_address(chain, text) == normal
    assert normal_address(chain, normal) == normal


@pytest.mark.parametrize(("chain", "text", "code", "told"), BAD)
def test_what_is_no_address_is_refused_with_the_reason(chain: ChainEntry, text: str, code: str, told: str) -> None:
    with pytest.raises(WalletRefused) as refused:
        normal_address(chain, text)
    assert (refused.value.reason, refused.value.field) == (code, ["address"])
    assert told in refused.value.message_in("en")


@given(st.sampled_from([LOCAL_ETHEREUM, BITCOIN, SOLANA]), st.text(max_size=120))
def test_any_text_is_an_address_or_refused(chain: ChainEntry, text: str) -> None:
    with suppress(WalletRefused):
        found = normal_address(chain, text)
        assert normal_address(chain, found) == found


@given(st.data())
def test_one_changed_character_is_noticed(data: st.DataObject) -> None:
    """A checksum of EIP-55 may miss a change of a digit to another; those of Bitcoin miss none (of four billion, one)."""
    chain, key = data.draw(st.sampled_from([(BITCOIN, BitcoinKey(kind, secret=b"\x07" * 32)) for kind in AddressKind]))
    place = data.draw(st.integers(0, len(key.address) - 1))
    other = data.draw(st.sampled_from("023456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnopqrstuvwxyzl"))
    changed = key.address[:place] + other + key.address[place + 1 :]
    if changed != key.address:
        with pytest.raises(WalletRefused):
            normal_address(chain, changed)


def test_new_keys_have_addresses() -> None:
    assert normal_address(LOCAL_ETHEREUM, EthereumKey().address)
    assert normal_address(SOLANA, SolanaKey().address)
