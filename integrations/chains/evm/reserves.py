"""What several addresses own on an EVM chain, all of it as of one block, asked of one node."""

from collections.abc import Sequence

from eth_abi.abi import encode

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.holdings import BALANCE_OF, ContractCall, read_all, uint_in
from integrations.chains.evm.messages import EvmBlock
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.reserves import ChainReserves
from integrations.chains.shapes import as_quantity

_GET_ETH_BALANCE = bytes.fromhex("4d2301cc")
"""`getEthBalance(address)` of Multicall3."""


async def evm_reserves(
    node: JsonRpc, block: EvmBlock, addresses: Sequence[str], contracts: Sequence[str], *, multicall: str | None
) -> ChainReserves:
    """By Multicall3 where the chain has it. Raises ProviderFailed, also when the node has not got this block."""
    owners = [encode(["address"], [address]) for address in addresses]
    calls = [ContractCall(contract, BALANCE_OF + owner) for owner in owners for contract in contracts]
    units = iter(map(uint_in, await read_all(node, calls, multicall=multicall, at=block.hash) if calls else []))
    coins = await _coins(node, block, addresses, multicall)
    owned = {
        address: {None: coin, **{contract: next(units) for contract in contracts}}
        for address, coin in zip(addresses, coins, strict=True)
    }
    return ChainReserves(block.number, block.hash, block.time_ms, owned)


async def _coins(node: JsonRpc, block: EvmBlock, addresses: Sequence[str], multicall: str | None) -> list[int]:
    if multicall is not None:
        calls = [ContractCall(multicall, _GET_ETH_BALANCE + encode(["address"], [each])) for each in addresses]
        told = map(uint_in, await read_all(node, calls, multicall=multicall, at=block.hash))
        found = [each for each in told if each is not None]
        if len(found) == len(addresses):
            return found
    answers = await node.batch([Call("eth_getBalance", [each, {"blockHash": block.hash}]) for each in addresses])
    return [_coin(each) for each in answers]


def _coin(answer: object) -> int:
    if isinstance(answer, NodeRefused):
        raise ProviderFailed(Failure.BEHIND, f"cannot read balances at this block (error {answer.code})")
    return as_quantity(answer, "balance")
