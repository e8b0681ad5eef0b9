"""Names of Ethereum's name service: what a name stands for, and what an address calls itself. See `integrations/chains/evm/ens.py` for what is read.

Coins go where a name leads, so no node is believed alone: all are asked, at one block (`services/agreement.py`).
"""

from collections.abc import Awaitable, Sequence
from enum import Enum

from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import ChainError
from integrations.chains.evm.ens import NameMalformed, NameOffChain, address_of, name_of, normalised
from models.chain import ChainEntry
from services.agreement import agreed
from services.brief_memory import BriefMemory
from services.chain_failures import refused
from services.chains import Chains

_MOST_KNOWN = 10_000
_NAME_SECONDS, _ADDRESS_SECONDS = 30.0, 300.0


class OffChain(Enum):
    """What a node says of a name whose address a gateway would tell."""

    GATEWAY = "GATEWAY"


Told = str | None | OffChain


class Names:
    """One per process."""

    def __init__(self, chains: Chains, clock: Clock) -> None:
        self._chains = chains
        self._addresses: BriefMemory[str, Told] = BriefMemory(clock, most=_MOST_KNOWN)
        self._names: BriefMemory[str, Told] = BriefMemory(clock, most=_MOST_KNOWN)
        found = (entry for entry in chains.entries.values() if entry.evm.ens_registry is not None)
        self._home: ChainEntry | None = next(found, None)

    async def close(self) -> None:
        await self._addresses.close()
        await self._names.close()

    async def resolve(self, name: str, *, field: Sequence[str] = ("name",)) -> str | None:
        """The EVM address (EIP-55) of a name; None: it stands for nothing. What was found is kept for half a minute.

        Raises WalletRefused: the name is no name, or kept off the chain; the nodes contradict each other, or too few answer.
        """
        try:
            normal = await normalised(name)
        except NameMalformed:
            text = "expected a name such as vitalik.eth, of letters that cannot be mistaken for others (ENSIP-15)"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=field) from None
        if self._home is None or self._home.evm.ens_registry is None:
            text = "there is no name service on the network of this server"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        client, registry = self._chains.evm(self._home.key), self._home.evm.ens_registry
        try:
            found = await self._addresses.get(
                normal,
                lambda: agreed(client, lambda node, at: _told(address_of(node, registry, normal, at))),
                seconds=_NAME_SECONDS,
            )
        except ChainError as error:
            raise refused(error, field=field) from error
        if isinstance(found, OffChain):
            text = "this name is kept off the chain (CCIP-Read), where this server does not follow it"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        return found

    async def name_of(self, family: ChainFamily, address: str) -> str | None:
        """The name that an address calls itself and that leads back to it. None also where names cannot be read, or are kept off the chain.

        Raises WalletRefused when the nodes contradict each other, or too few answer.
        """
        home = self._home
        if family is not ChainFamily.EVM or home is None or not self._chains.configured(home.key):
            return None
        client, registry = self._chains.evm(home.key), home.evm.ens_registry or ""
        try:
            found = await self._names.get(
                address,
                lambda: agreed(client, lambda node, at: _told(name_of(node, registry, address, at))),
                seconds=_ADDRESS_SECONDS,
            )
        except ChainError as error:
            raise refused(error) from error
        return None if isinstance(found, OffChain) else found


async def _told(asked: Awaitable[str | None]) -> Told:
    try:
        return await asked
    except NameOffChain:
        return OffChain.GATEWAY
