"""Whether a contract that a quote wants to call inside is one of 0x's: its chain's registry says so, and nobody else is believed."""

import structlog
from eth_utils.address import to_checksum_address

from core.clock import Clock
from core.refusals import WalletRefused
from integrations.chains.errors import ChainError
from integrations.swaps.zerox_calls import REGISTRY, registry_questions
from services.brief_memory import BriefMemory
from services.chains import Chains

_KEPT_SECONDS = 60.0
_WORD = 32
_ADDRESS = 20
log = structlog.get_logger()


class Settlers:
    """One per process."""

    def __init__(self, chains: Chains, clock: Clock) -> None:
        self._chains = chains
        self._genuine: BriefMemory[str, frozenset[str]] = BriefMemory(clock, most=len(chains.entries) + 1)

    async def close(self) -> None:
        await self._genuine.close()

    async def is_genuine(self, chain: str, contract: str) -> bool:
        """Whether the registry names it; False also where no node of the chain tells."""
        try:
            return contract in await self._genuine.get(chain, lambda: self._ask(chain), seconds=_KEPT_SECONDS)
        except (ChainError, WalletRefused) as error:
            log.warning("settlers unknown", chain=chain, reason=str(error))
            return False

    async def _ask(self, chain: str) -> frozenset[str]:
        client = self._chains.evm(chain)
        answers = [await client.call(REGISTRY, question) for question in registry_questions()]
        return frozenset(
            str(to_checksum_address(answer[-_ADDRESS:]))
            for answer in answers
            if len(answer) == _WORD and any(answer[-_ADDRESS:])
        )
