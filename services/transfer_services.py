"""Everything about sending from wallets of people's own, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.rate_limits import RateLimits
from core.vocabulary import ChainFamily
from services.bitcoin_transfers import BitcoinTransfers
from services.broadcasts import Broadcasts
from services.chain_tracking import ChainTracking
from services.chain_transactions import ChainTransactions
from services.chains import Chains
from services.contract_reads import ContractReads
from services.evm_transfers import EvmTransfers
from services.prepared_transactions import PreparedTransactions, Worth
from services.sending_bitcoin import BitcoinSending
from services.sending_evm import EvmSending
from services.sending_families import SendingFamilies, SendingFamily
from services.sending_solana import SolanaSending
from services.solana_transfers import SolanaTransfers
from services.throttles import CHAIN, Throttles
from services.tokens import Tokens
from services.viewer import Client, Viewer


@dataclass(frozen=True, slots=True)
class TransferServices:
    """The parts that resolvers use."""

    reads: ContractReads
    families: SendingFamilies
    prepared: PreparedTransactions
    evm: EvmTransfers
    broadcasts: Broadcasts
    transactions: ChainTransactions
    tracking: ChainTracking
    throttles: Throttles

    async def count(self, viewer: Viewer, client: Client) -> None:
        """Count an operation that asks a chain's nodes. Raises RateLimited."""
        await self.throttles.of_owner(CHAIN, client, viewer.user_id)


def build_transfer_services(
    chains: Chains,
    tokens: Tokens,
    worth: Worth,
    *,
    limits: RateLimits,
    bus: Bus,
    clock: Clock,
    shared: Mapping[str, Sequence[str]] | None = None,
) -> TransferServices:
    """Nothing is asked yet. `shared`: by chain, addresses of the exchange that all deposit to."""
    prepared = PreparedTransactions(chains, tokens, worth, clock)
    evm = EvmTransfers(chains, tokens, prepared)
    by_family: dict[ChainFamily, SendingFamily] = {
        ChainFamily.EVM: EvmSending(chains, tokens, evm),
        ChainFamily.BITCOIN: BitcoinSending(chains, BitcoinTransfers(chains, tokens, prepared)),
        ChainFamily.SOLANA: SolanaSending(chains, SolanaTransfers(chains, tokens, prepared, shared or {})),
    }
    families = SendingFamilies(chains.entries, by_family)
    tracking = ChainTracking(families, chains.entries, bus, clock)
    transactions = ChainTransactions(families, tracking, bus, clock)
    return TransferServices(
        reads=ContractReads(chains),
        families=families,
        prepared=prepared,
        evm=evm,
        broadcasts=Broadcasts(families, tracking, transactions, clock),
        transactions=transactions,
        tracking=tracking,
        throttles=Throttles(limits),
    )
