"""Names of Ethereum's name service: what a name stands for, and what an address calls itself. See `integrations/chains/evm/ens.py` for what is read."""

from collections.abc import Sequence

from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import ChainError
from integrations.chains.evm.ens import NameMalformed, NameOffChain, address_of, name_of, normal_name
from models.chain import ChainEntry
from services.brief_memory import BriefMemory
from services.chain_failures import refused
from services.chains import Chains

_MOST_KNOWN = 10_000
_NAME_SECONDS, _ADDRESS_SECONDS = 30.0, 300.0


class Names:
    """One per process."""

    def __init__(self, chains: Chains, clock: Clock) -> None:
        self._chains = chains
        self._addresses: BriefMemory[str, str | None] = BriefMemory(clock, most=_MOST_KNOWN)
        self._names: BriefMemory[str, str | None] = BriefMemory(clock, most=_MOST_KNOWN)
        found = (entry for entry in chains.entries.values() if entry.evm.ens_registry is not None)
        self._home: ChainEntry | None = next(found, None)

    async def close(self) -> None:
        await self._addresses.close()
        await self._names.close()

    async def resolve(self, name: str, *, field: Sequence[str] = ("name",)) -> str | None:
        """The EVM address (EIP-55) of a name; None: it stands for nothing. What was found is kept for half a minute.

        Raises WalletRefused: the name is no name, is kept off the chain, or the chain does not answer.
        """
        try:
            normal = normal_name(name)
        except NameMalformed:
            text = "expected a name such as vitalik.eth, of letters that cannot be mistaken for others (ENSIP-15)"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=field) from None
        if self._home is None or self._home.evm.ens_registry is None:
            text = "there is no name service on the network of this server"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        pool, registry = self._chains.evm(self._home.key).pool, self._home.evm.ens_registry
        try:
            return await self._addresses.get(
                normal, lambda: pool.use(lambda node: address_of(node, registry, normal)), seconds=_NAME_SECONDS
            )
        except NameOffChain:
            text = "this name is kept off the chain (CCIP-Read), where this server does not follow it"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field) from None
        except ChainError as error:
            raise refused(error, field=field) from error

    async def name_of(self, family: ChainFamily, address: str) -> str | None:
        """The name that an address calls itself and that leads back to it. None also where names cannot be read, or are kept off the chain.

        Raises WalletRefused when the chain does not answer.
        """
        home = self._home
        if family is not ChainFamily.EVM or home is None or not self._chains.configured(home.key):
            return None
        pool, registry = self._chains.evm(home.key).pool, home.evm.ens_registry or ""
        try:
            return await self._names.get(
                address, lambda: pool.use(lambda node: name_of(node, registry, address)), seconds=_ADDRESS_SECONDS
            )
        except NameOffChain:
            return None
        except ChainError as error:
            raise refused(error) from error
