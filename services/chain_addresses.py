"""Addresses to pay to, as people type them: checked for a chain and brought into the form they are stored and compared in."""

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from models.chain import ChainEntry
from services.wallet_proofs.addresses import normal_address

_NOBODYS = frozenset({"0x0000000000000000000000000000000000000000", "11111111111111111111111111111111"})
"""The zero address, and Solana's system program."""


def payable_address(chain: ChainEntry, given: str) -> str:
    """The address. Raises WalletRefused with ADDRESS_INVALID, ADDRESS_WRONG_NETWORK or NOT_ENABLED, for the field `address`."""
    normal = normal_address(chain, given)
    if normal in _NOBODYS:
        text = "nobody has the key of this address"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
    return normal
