"""Takes a signature to the rules of its family."""

from core.vocabulary import ChainFamily
from models.chain import ChainEntry
from services.wallet_proofs.bitcoin import verify_bitcoin
from services.wallet_proofs.bitcoin_addresses import parse_bitcoin_address
from services.wallet_proofs.contract_wallets import ContractCalls
from services.wallet_proofs.evm import verify_evm
from services.wallet_proofs.solana import verify_solana


async def prove(calls: ContractCalls, chain: ChainEntry, address: str, message: str, signature: str) -> bool:
    """Check that whoever controls the address has signed the message. Gives whether a contract says so, whose word holds for now alone.

    `address` is in its normal form. Raises WalletRefused: SIGNATURE_INVALID, CONTRACT_WALLET_REFUSED, PROVIDER_UNAVAILABLE, PROVIDER_LYING.
    """
    if chain.family is ChainFamily.EVM:
        return await verify_evm(calls, chain, address, message, signature)
    if chain.bitcoin is not None:
        verify_bitcoin(chain.bitcoin, parse_bitcoin_address(address, chain), message, signature)
    else:
        verify_solana(address, message, signature)
    return False
