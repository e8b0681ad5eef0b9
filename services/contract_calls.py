"""What contracts of EVM chains answer to proofs of wallets, as all nodes of the chain say it of one block: who may sign in rests on it."""

from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import block_parameter
from integrations.chains.evm.errors import REVERTED, Refusal, meaning
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.shapes import as_data
from services.agreement import agreed
from services.chains import Chains


class ContractCallsOnChains:
    """What smart wallets' proofs need of chains (`services/wallet_proofs/contract_wallets.py`)."""

    def __init__(self, chains: Chains) -> None:
        self._chains = chains

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
        given = {"data": "0x" + data.hex(), **({} if to is None else {"to": to})}

        async def ask(node: JsonRpc, at: str) -> bytes | None:
            """None: the contract refuses, which is an answer."""
            try:
                return as_data(await node.call("eth_call", given, block_parameter(at)), "result")
            except NodeRefused as refused:
                if meaning(refused).kind is Refusal.REVERTED:
                    return None
                raise

        answer = await agreed(self._chains.evm(chain), ask)
        if answer is None:
            raise NodeRefused(REVERTED, "execution reverted")
        return answer

    async def code(self, chain: str, address: str) -> bytes:
        async def ask(node: JsonRpc, at: str) -> bytes:
            return as_data(await node.call("eth_getCode", address, block_parameter(at)), "code")

        return await agreed(self._chains.evm(chain), ask)
