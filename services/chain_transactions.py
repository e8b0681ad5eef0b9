"""What has become of transactions on EVM chains, as their nodes say at the moment."""

import re
from collections.abc import Mapping
from decimal import Decimal

from core.refusals import WalletRefused
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.chain_transaction import ChainTransactionState
from integrations.chains.errors import ChainError, NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.errors import meaning
from integrations.chains.evm.messages import EvmReceipt
from services.chain_failures import refused
from services.chains import Chains

COIN_DIGITS = 18
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_FAILED_TEXTS: Mapping[str, str] = {
    "said": "the contract refused the call: {said}",
    "silent": "the contract refused the call, or the gas did not suffice",
}


class ChainTransactions:
    """One per process."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains

    async def read(self, chain: str, hash_: str) -> ChainTransactionState | None:
        """The transaction; None when no node knows it. Raises WalletRefused."""
        client = self._chains.evm(chain)
        if _HASH.fullmatch(hash_) is None:
            text = "expected the hash of a transaction: 0x and 64 hexadecimal digits"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["hash"])
        try:
            return await self._read(client, chain, hash_.lower())
        except ChainError as error:
            raise refused(error) from error

    async def _read(self, client: EvmClient, chain: str, hash_: str) -> ChainTransactionState | None:
        receipt = await client.receipt(hash_)
        if receipt is None:
            known = await client.transaction(hash_)
            return None if known is None else ChainTransactionState(chain, hash_, ChainTxStatus.PENDING)
        head = await client.block()
        confirmations = 1 if head is None else max(1, head.number - receipt.block + 1)
        is_final = confirmations >= self._chains.entries[chain].final_after
        status = ChainTxStatus.FINAL if is_final else ChainTxStatus.CONFIRMED
        error, values = (None, {}) if receipt.success else await self._reason(client, receipt)
        return ChainTransactionState(
            chain=chain,
            hash=hash_,
            status=status if receipt.success else ChainTxStatus.FAILED,
            confirmations=confirmations,
            block=receipt.block,
            fee=Decimal(receipt.fee).scaleb(-COIN_DIGITS),
            error=error,
            error_values=values,
        )

    async def _reason(self, client: EvmClient, receipt: EvmReceipt) -> tuple[str, dict[str, str | int]]:
        """Why it failed, by asking again for the same call as of the block before; what came before it in its own block may have mattered."""
        sent = await client.transaction(receipt.hash)
        if sent is not None and sent.to is not None:
            try:
                await client.call(sent.to, sent.data, at=receipt.block - 1, sender=sent.sender, value=sent.value)
            except NodeRefused as error:
                said = meaning(error).said
                if said is not None:
                    return _FAILED_TEXTS["said"], {"said": said}
        return _FAILED_TEXTS["silent"], {}
