"""Addresses to pay to, as people type them: checked for a chain and brought into the form they are stored and compared in."""

from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import NotAnAddress, parse_address
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from models.chain import ChainEntry
from services.wallet_proofs.addresses import normal_address

_NOBODYS = frozenset({"0x0000000000000000000000000000000000000000", "11111111111111111111111111111111"})
"""The zero address, and Solana's system program."""
_MAIN_DIFFICULTY = 10**12
"""Bitcoin's main chain has been above it since 2017 (it was 10^14 in 2025): a node's blocks that took less work are of another chain."""


def payable_address(chain: ChainEntry, given: str) -> str:
    """The address. Raises WalletRefused with ADDRESS_INVALID, ADDRESS_WRONG_NETWORK or NOT_ENABLED, for the field `address`."""
    if chain.family is ChainFamily.BITCOIN:
        try:
            return parse_address(given, bitcoin_network(chain)).text
        except NotAnAddress as error:
            raise WalletRefused(str(error), reason=error.code, field=["address"]) from None
    normal = normal_address(chain, given)
    if normal in _NOBODYS:
        text = "nobody has the key of this address"
        raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
    return normal


def named_address(chain: ChainEntry, given: str, field: str) -> str:
    """As `payable_address`; the refusal names this field of the input."""
    try:
        return payable_address(chain, given)
    except WalletRefused as refused:
        refused.field = [field]
        raise


def bitcoin_network(chain: ChainEntry) -> BitcoinNetwork:
    """The rules of a chain of Bitcoin's kind. Raises ValueError for any other."""
    if chain.bitcoin is None:
        raise ValueError(f"{chain.key} is no chain of Bitcoin's kind")
    known = chain.bitcoin
    is_main = known.coin_type == 0
    return BitcoinNetwork(
        hrp=known.hrp,
        p2pkh=known.p2pkh,
        p2sh=known.p2sh,
        coin_type=known.coin_type,
        least_difficulty=_MAIN_DIFFICULTY if is_main else 0,
    )
