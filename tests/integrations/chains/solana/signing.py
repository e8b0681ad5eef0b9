"""What a wallet does: sign what was prepared."""

from collections.abc import Sequence

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.messages import Blockhash
from integrations.chains.solana.transfers import Prepared, Terms, sol_transfer
from integrations.chains.solana.wire import from_base64


def signed(prepared: Prepared, *signers: Keypair) -> bytes:
    """The bytes to broadcast."""
    return bytes(VersionedTransaction(from_bytes_versioned(from_base64(prepared.message)), list(signers)))


def written(payer: Keypair, blockhash: str | Blockhash, instructions: Sequence[Instruction], *others: Keypair) -> bytes:
    """A signed transaction of any instructions."""
    text = blockhash.hash if isinstance(blockhash, Blockhash) else blockhash
    message = MessageV0.try_compile(payer.pubkey(), instructions, [], Hash.from_string(text))
    return bytes(VersionedTransaction(message, [payer, *others]))


async def payment(client: SolanaClient, sender: Keypair, lamports: int = 10**9) -> tuple[bytes, Blockhash]:
    """A signed payment of SOL to a new address, and the blockhash it lives by."""
    blockhash = await client.latest_blockhash()
    prepared = sol_transfer(Terms(str(sender.pubkey()), blockhash.hash), str(Keypair().pubkey()), lamports)
    return signed(prepared, sender), blockhash


def address(key: Keypair | Pubkey) -> str:
    return str(key.pubkey() if isinstance(key, Keypair) else key)
