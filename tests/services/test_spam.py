"""Which tokens' words are bait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.spam import is_spam, printable, skeleton

KNOWN = ("USDT", "USDC", "ETH", "LINK", "1INCH")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("Visit claim-eth.com", "Claim your reward"),
        ("ETH", "Ether"),
        ("usdt", "Tether"),
        ("USDТ", "Tether USD"),
        ("UЅDC", "USD Coin"),
        ("ΕΤΗ", "Ether"),
        ("US\u200bDT", "Tether USD"),
        ("U S D T", "Tether USD"),
        ("USÐT", "usdt.finance"),
        ("E\u0301TH", "Ether"),
        ("ＵＳＤＣ", "USD Coin"),
        ("ZEPE", "ZEPE.io"),
        ("AIRDROP", "Uniswap"),
        ("LP", "! uniswap-lp.org"),
        ("$ 1000", "1000 $ voucher"),
        ("TG", "t.me/freemoney"),
        ("X", "https://x.example"),
        ("GAS", "Free  Mint"),
        ("ABC\u202e", "Alphabet"),
        ("", "Nothing"),
        ("L" * 30, "Long"),
        ("OK", "n" * 70),
        ("llNCH", "1inch"),
    ],
)
def test_bait_is_seen(symbol: str, name: str) -> None:
    assert is_spam(symbol, name, KNOWN)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("WETH", "Wrapped Ether"),
        ("PEPE", "Pepe"),
        ("yvUSDC", "USDC yVault"),
        ("aEthUSDT", "Aave Ethereum USDT"),
        ("UNI-V2", "Uniswap V2"),
        ("ARB", "Arbitrum"),
        ("RPL", "Rocket Pool Protocol"),
        ("стейбл", "Стейбл"),
        ("日本円", "日本円コイン"),
        ("USDe", "Ethena USDe"),
        ("OP", "Optimism"),
        ("St. Moritz", "Token of St. Moritz"),
    ],
)
def test_what_is_honest_is_left_alone(symbol: str, name: str) -> None:
    assert not is_spam(symbol, name, KNOWN)


def test_a_skeleton_is_what_a_hasty_reader_sees() -> None:
    assert skeleton("UЅDТ") == skeleton("USDT") == skeleton("u\u0301s d\u200bt")
    assert skeleton("USDT") != skeleton("USDC")


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_words_are_judged_and_can_be_shown(symbol: str, name: str) -> None:
    assert is_spam(symbol, name, KNOWN) in (True, False)
    shown = printable(name, 64)
    assert len(shown) <= 64
    assert shown.isprintable()
    assert skeleton(skeleton(symbol)) == skeleton(symbol)
