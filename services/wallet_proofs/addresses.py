"""What an address of a chain is, and the one form in which it is kept and shown."""

import re
import unicodedata

from eth_utils.address import to_checksum_address
from solders.pubkey import Pubkey

from core.vocabulary import ChainFamily
from models.chain import ChainEntry
from services.wallet_proofs.bitcoin_addresses import parse_bitcoin_address
from services.wallet_proofs.refusals import AddressInvalid

LONGEST = 100
_EVM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_SOLANA = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}", re.ASCII)


def normal_address(chain: ChainEntry, text: str) -> str:
    """The address in its normal form: with EIP-55's checksum, in lower case for Bech32, else as it stands.

    Raises AddressInvalid that names the field `address`: ADDRESS_INVALID, ADDRESS_WRONG_NETWORK, NOT_ENABLED.
    """
    _check_characters(text)
    match chain.family:
        case ChainFamily.EVM:
            return _evm(text)
        case ChainFamily.SOLANA:
            return _solana(text)
        case _:
            return parse_bitcoin_address(text, chain).text


def is_evm_address(text: str) -> bool:
    """Whether this is an address of EVM chains, its checksum (EIP-55) right where it has one."""
    return _EVM.fullmatch(text) is not None and text in (text.lower(), to_checksum_address(text))


def _check_characters(text: str) -> None:
    """Refuse what only looks like an address: letters of other alphabets, blanks, what cannot be seen."""
    if not 0 < len(text) <= LONGEST:
        raise AddressInvalid("expected an address of 1 to {most} characters", {"most": LONGEST})
    for place, character in enumerate(text, start=1):
        if not ("!" <= character <= "~"):
            name = unicodedata.name(character, f"U+{ord(character):04X}")
            raise AddressInvalid(
                "an address has no blanks and no letters of other alphabets; character {place} is {name}",
                {"place": place, "name": name},
            )


def _evm(text: str) -> str:
    """EIP-55. Without capitals there is no checksum to check."""
    if _EVM.fullmatch(text) is None:
        raise AddressInvalid("expected 0x and 40 hexadecimal digits")
    proper: str = to_checksum_address(text)
    if text not in (proper, proper.lower()):
        raise AddressInvalid(
            "the capitals of the address are not those of its checksum (EIP-55); look for a typing error"
        )
    return proper


def _solana(text: str) -> str:
    if _SOLANA.fullmatch(text) is None:
        raise AddressInvalid("expected 32 bytes in Base58, which are 32 to 44 characters")
    try:
        key = Pubkey.from_string(text)
    except ValueError as error:
        raise AddressInvalid("expected 32 bytes in Base58, which are 32 to 44 characters") from error
    if not key.is_on_curve():
        raise AddressInvalid("this is the address of a program's account, for which nobody can sign")
    return str(key)
