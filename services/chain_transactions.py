"""What has become of transactions on chains, as their nodes say at the moment."""

from collections.abc import Mapping

from core.wallet_vocabulary import ChainTxStatus
from events.chain_transaction import ChainTransactionState
from integrations.chains.errors import ChainError
from services.chain_failures import refused
from services.sending_families import SendingFamilies, Sighting, SightKind

_STATUSES: Mapping[SightKind, ChainTxStatus] = {
    SightKind.UNKNOWN: ChainTxStatus.DROPPED,
    SightKind.WAITING: ChainTxStatus.PENDING,
    SightKind.INCLUDED: ChainTxStatus.CONFIRMED,
    SightKind.FAILED: ChainTxStatus.FAILED,
    SightKind.TAKEN: ChainTxStatus.REPLACED,
    SightKind.EXPIRED: ChainTxStatus.DROPPED,
}


class ChainTransactions:
    """One per process."""

    def __init__(self, families: SendingFamilies) -> None:
        self._families = families

    async def read(self, chain: str, hash_: str) -> ChainTransactionState | None:
        """The transaction; None when no node knows it. Raises WalletRefused."""
        family = self._families.of(chain)
        normal = family.transaction_hash(hash_)
        try:
            seen = await family.sight(chain, normal)
        except ChainError as error:
            raise refused(error) from error
        return None if seen.kind is SightKind.UNKNOWN else state_of(chain, normal, seen)


def state_of(chain: str, hash_: str, seen: Sighting) -> ChainTransactionState:
    """What was seen, as it is told."""
    status = _STATUSES[seen.kind]
    if status is ChainTxStatus.CONFIRMED and seen.final:
        status = ChainTxStatus.FINAL
    return ChainTransactionState(
        chain=chain,
        hash=hash_,
        status=status,
        confirmations=seen.confirmations,
        block=seen.block,
        fee=seen.fee,
        error=seen.error,
        error_values=seen.error_values,
    )
