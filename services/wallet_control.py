"""Whether whoever has linked a contract wallet still controls it: asked again before what relies on it.

What a key has signed stays signed. A contract may have got other owners, and then refuses what its former ones signed: so the proof by which the wallet was linked is put to
it once more.
"""

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from models import wallet
from models.chain import ChainEntry
from models.wallet import WalletDocument
from services.wallet_proofs.contract_wallets import ContractCalls
from services.wallet_proofs.proving import prove
from services.wallets import WalletChains

_REFUSED = frozenset({WalletErrorCode.CONTRACT_WALLET_REFUSED, WalletErrorCode.SIGNATURE_INVALID})
"""What the contract says, or that there is none any more."""


class WalletControl:
    """One per process."""

    def __init__(self, chains: WalletChains, contracts: ContractCalls) -> None:
        self._chains = chains
        self._contracts = contracts

    async def recheck(self, linked: WalletDocument) -> None:
        """Nothing, for a wallet whose key has signed, or whose contract still accepts the proof.

        Raises WalletRefused: CONTRACT_WALLET_REFUSED when it does not, PROVIDER_UNAVAILABLE or PROVIDER_LYING when that cannot be found out.
        """
        proof = linked.contract
        if proof is None:
            return
        chain = self._chains.by_key(proof.chain)
        try:
            await prove(self._contracts, chain, linked.address, proof.message, proof.signature)
        except WalletRefused as refused:
            if refused.reason not in _REFUSED:
                raise
            text = "the contract of this wallet does not accept any more what linked it: its owners may be others now; unlink the wallet, and link it again"
            raise WalletRefused(text, reason=WalletErrorCode.CONTRACT_WALLET_REFUSED) from refused

    async def recheck_address(self, user_id: str, chain: ChainEntry, address: str) -> None:
        """The same of the account's wallet of this address, if it was linked by a contract on this very chain. Raises WalletRefused."""
        linked = await wallet.by_address(chain.family, address)
        if linked is None or linked.user_id != user_id:
            return
        if linked.contract is not None and linked.contract.chain == chain.key:
            await self.recheck(linked)
