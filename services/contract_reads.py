"""What contracts on EVM chains answer, asked without a transaction."""

from dataclasses import dataclass
from typing import Any

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import ChainError
from services.abi_arguments import ResultUnreadable, call_data, function_of, results
from services.abi_types import AbiInvalid
from services.chain_addresses import named_address
from services.chain_failures import refused
from services.chains import Chains


@dataclass(frozen=True, slots=True)
class ContractCallWish:
    """A call of a contract's function: its ABI and arguments as JSON."""

    chain: str
    contract: str
    abi: object
    function: str
    arguments: list[object]


@dataclass(frozen=True, slots=True)
class ContractAnswer:
    """What it answered, as JSON, in which block."""

    values: list[Any]
    block: int


class ContractReads:
    """One per process."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains

    async def read(self, wish: ContractCallWish) -> ContractAnswer:
        """The answer, all of one block. Raises WalletRefused."""
        client = self._chains.evm(wish.chain)
        contract = named_address(self._chains.entries[wish.chain], wish.contract, "contract")
        function = function_of(wish.abi, wish.function)
        data = call_data(function, wish.arguments)
        try:
            block = await client.block()
            if block is None:
                text = "no node of this chain answers at the moment; try again"
                raise WalletRefused(text, reason=WalletErrorCode.PROVIDER_UNAVAILABLE)
            answer = await client.call(contract, data, at=block.hash)
            if not answer and not await client.code(contract, at=block.hash):
                text = "there is no contract at this address"
                raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["contract"])
        except ChainError as error:
            raise refused(error) from error
        try:
            return ContractAnswer(results(function, answer), block.number)
        except ResultUnreadable:
            raise AbiInvalid("the contract's answer is not what the ABI says", field=["abi"]) from None
