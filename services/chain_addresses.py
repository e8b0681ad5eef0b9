"""Addresses as people type them, checked for a chain and brought into the form they are stored and compared in."""

import re
from collections.abc import Callable, Mapping

from eth_utils.address import to_checksum_address

from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from models.chain import ChainEntry

_EVM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_ZERO = "0x0000000000000000000000000000000000000000"


def normal_address(chain: ChainEntry, given: str) -> str:
    """The address. Raises WalletRefused with ADDRESS_INVALID or ADDRESS_WRONG_NETWORK, for the field `address`."""
    return _NORMAL[chain.family](chain, given)


def _evm(chain: ChainEntry, given: str) -> str:  # noqa: ARG001
    """EIP-55: letters of both cases must be the checksum's; of one case, there is none."""
    if _EVM.fullmatch(given) is None:
        text = "expected an address of 0x and 40 hexadecimal digits"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
    digits = given[2:]
    normal: str = to_checksum_address(given)
    if digits not in (digits.lower(), digits.upper()) and normal != given:
        text = "the address' checksum is wrong: a letter or digit was changed (EIP-55)"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
    if normal == _ZERO:
        text = "nobody has the key of this address"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
    return normal


def _unknown(chain: ChainEntry, given: str) -> str:  # noqa: ARG001
    text = "addresses of this chain are not known here yet"
    raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=["chain"])


_NORMAL: Mapping[ChainFamily, Callable[[ChainEntry, str], str]] = {
    ChainFamily.EVM: _evm,
    ChainFamily.BITCOIN: _unknown,
    ChainFamily.SOLANA: _unknown,
}
