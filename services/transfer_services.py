"""Everything about sending from wallets of people's own, put together."""

from dataclasses import dataclass

from core.clock import Clock
from services.broadcasts import Broadcasts
from services.chain_transactions import ChainTransactions
from services.chains import Chains
from services.contract_reads import ContractReads
from services.prepared_transactions import PreparedTransactions, Worth
from services.tokens import Tokens


@dataclass(frozen=True, slots=True)
class TransferServices:
    """The parts that resolvers use."""

    reads: ContractReads
    prepared: PreparedTransactions
    broadcasts: Broadcasts
    transactions: ChainTransactions


def build_transfer_services(chains: Chains, tokens: Tokens, worth: Worth, clock: Clock) -> TransferServices:
    """Nothing is asked yet."""
    transactions = ChainTransactions(chains)
    return TransferServices(
        reads=ContractReads(chains),
        prepared=PreparedTransactions(chains, tokens, worth, clock),
        broadcasts=Broadcasts(chains, tokens, transactions, clock),
        transactions=transactions,
    )
