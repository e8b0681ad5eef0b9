"""The address that a key has on a chain: where it is funded and what it spends from."""

from core.vocabulary import ChainFamily
from integrations.signers.bitcoin import bitcoin_address
from integrations.signers.evm import evm_address
from integrations.signers.solana import solana_address


def address_of(family: ChainFamily, public_key: bytes, hrp: str | None = None) -> str:
    """The address of a public key as `Signer.public_key` gives it. `hrp`: of chains of Bitcoin's kind, the prefix of their addresses (BIP-173)."""
    match family:
        case ChainFamily.EVM:
            return evm_address(public_key)
        case ChainFamily.SOLANA:
            return solana_address(public_key)
        case ChainFamily.BITCOIN if hrp is not None:
            return bitcoin_address(public_key, hrp)
        case ChainFamily.BITCOIN:
            raise ValueError("an address of Bitcoin's kind needs its chain's prefix")
