"""An EVM chain through its nodes: typed questions over JSON-RPC (execution-apis), answered by the first node that gives a sound answer.

Where a reading must not change in between, it is pinned to a block by its hash (EIP-1898). Everything may raise ChainUnavailable, and NodeRefused as the node
said; `integrations/chains/evm/errors.py` tells what such a refusal means.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from integrations.chains.errors import ChainError, Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.fees import BLOCKS, PERCENTILES, GasOffers, legacy_offers, offers
from integrations.chains.evm.messages import (
    EvmBlock,
    EvmLog,
    EvmReceipt,
    EvmTransactionInfo,
    FeeHistory,
    read_block,
    read_fee_history,
    read_full_block,
    read_logs,
    read_receipt,
    read_transaction,
)
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.pool import Head, ProviderPool, ProviderState
from integrations.chains.shapes import as_data, as_hash, as_quantity, malformed

T = TypeVar("T")
LATEST, PENDING = "latest", "pending"
At = int | str
"""A block: its number, its hash (66 characters), or `latest`, `safe`, `finalized`, `pending`."""


async def probe(node: JsonRpc, chain_id: int) -> Head:
    """A node's head. Raises ProviderFailed, with WRONG_CHAIN for a node of another chain."""
    told = as_quantity(await node.call("eth_chainId"), "chainId")
    if told != chain_id:
        raise ProviderFailed(Failure.WRONG_CHAIN, f"is of chain {told}, not of {chain_id}")
    block = read_block(await node.call("eth_getBlockByNumber", LATEST, False))
    if block is None:
        raise malformed("latest block", "a block")
    return Head(block.number, block.time_ms)


class EvmClient:
    """One EVM chain."""

    def __init__(self, key: str, chain_id: int, pool: ProviderPool[JsonRpc]) -> None:
        self.key = key
        self.chain_id = chain_id
        self.pool = pool

    def head(self) -> Head | None:
        """The highest block that a node told when it was last probed."""
        return self.pool.head()

    def states(self) -> list[ProviderState]:
        """What is known of the nodes."""
        return self.pool.states()

    async def close(self) -> None:
        await self.pool.close()

    async def ask(self, method: str, params: Sequence[object], read: Callable[[object], T]) -> T:
        """One question; an answer that cannot be read counts as the node's failure, and the next node is asked."""

        async def asked(node: JsonRpc) -> T:
            return read(await node.call(method, *params))

        return await self.pool.use(asked)

    async def ask_every(
        self, method: str, params: Sequence[object], read: Callable[[object], T]
    ) -> Mapping[str, T | ChainError]:
        """What each node says, by its name: for what one alone is not believed."""

        async def asked(node: JsonRpc) -> T:
            return read(await node.call(method, *params))

        return await self.pool.ask_all(asked)

    async def batch(self, calls: Sequence[Call], read: Callable[[object], T]) -> list[T | NodeRefused]:
        """Several questions of one kind, answered by one node, so that the answers fit together."""

        async def asked(node: JsonRpc) -> list[T | NodeRefused]:
            results = await node.batch(calls)
            return [result if isinstance(result, NodeRefused) else read(result) for result in results]

        return await self.pool.use(asked)

    async def block(self, at: At = LATEST) -> EvmBlock | None:
        """A block with the hashes of its transactions; None: the node has none such."""
        return await self.ask(*_block_question(at, full=False), read_block)

    async def full_block(self, at: At) -> tuple[EvmBlock, tuple[EvmTransactionInfo, ...]] | None:
        """A block with whole transactions."""
        return await self.ask(*_block_question(at, full=True), read_full_block)

    async def blocks_of_all(self, number: int) -> Mapping[str, EvmBlock | ChainError | None]:
        """The block of this number as every node has it."""
        return await self.ask_every(*_block_question(number, full=False), read_block)

    async def heads_of_all(self) -> Mapping[str, EvmBlock | ChainError]:
        """The newest block as every node has it."""
        return await self.ask_every(*_block_question(LATEST, full=False), _read_head)

    async def call(self, to: str, data: bytes, *, at: At = LATEST, sender: str | None = None, value: int = 0) -> bytes:
        """What a contract answers, without a transaction; `b""` where there is no contract."""
        return await self.ask("eth_call", [_message(to, data, sender, value), block_parameter(at)], _data("result"))

    async def create_call(self, code: bytes, *, at: At = LATEST) -> bytes:
        """What the constructor of this code answers, without a transaction."""
        return await self.ask("eth_call", [{"data": _hex(code)}, block_parameter(at)], _data("result"))

    async def code(self, address: str, *, at: At = LATEST) -> bytes:
        """The code at an address; nothing where there is no contract."""
        return await self.ask("eth_getCode", [address, block_parameter(at)], _data("code"))

    async def balance(self, address: str, *, at: At = LATEST) -> int:
        """Wei of an address."""
        return await self.ask("eth_getBalance", [address, block_parameter(at)], _quantity("balance"))

    async def nonce(self, address: str, *, at: At = LATEST) -> int:
        """How many transactions an address has made; with `pending`, those that wait counted too."""
        return await self.ask("eth_getTransactionCount", [address, block_parameter(at)], _quantity("nonce"))

    async def nonces_of_all(self, address: str) -> Mapping[str, int | ChainError]:
        """That number as every node has it."""
        return await self.ask_every("eth_getTransactionCount", [address, LATEST], _quantity("nonce"))

    async def estimate_gas(self, sender: str, to: str, data: bytes, value: int) -> int:
        """Gas that this would take now. Raises NodeRefused where it would revert."""
        return await self.ask("eth_estimateGas", [_message(to, data, sender, value)], _quantity("gas"))

    async def gas_price(self) -> int:
        """What a node proposes to pay for gas, for chains without EIP-1559."""
        return await self.ask("eth_gasPrice", [], _quantity("gasPrice"))

    async def fee_history(self, blocks: int, percentiles: Sequence[int]) -> FeeHistory:
        """Fees of the newest blocks."""
        return await self.ask("eth_feeHistory", [hex(blocks), LATEST, list(percentiles)], read_fee_history)

    async def gas_offers(self) -> GasOffers:
        """What to offer for gas now."""
        block = await self.block()
        if block is None or block.base_fee is None:
            return legacy_offers(await self.gas_price())
        return offers(await self.fee_history(BLOCKS, PERCENTILES))

    async def transaction(self, hash_: str) -> EvmTransactionInfo | None:
        """A transaction; None: the node does not know it."""
        return await self.ask("eth_getTransactionByHash", [hash_], read_transaction)

    async def receipt(self, hash_: str) -> EvmReceipt | None:
        """What became of a transaction; None: it is in no block."""
        return await self.ask("eth_getTransactionReceipt", [hash_], read_receipt)

    async def logs(
        self,
        topics: Sequence[str | Sequence[str] | None],
        *,
        addresses: Sequence[str] = (),
        low: int | None = None,
        high: int | None = None,
        block_hash: str | None = None,
    ) -> tuple[EvmLog, ...]:
        """Logs of one block by its hash, or of low <= number <= high."""
        wanted: dict[str, Any] = {"topics": list(topics)}
        if addresses:
            wanted["address"] = list(addresses)
        if block_hash is not None:
            wanted["blockHash"] = block_hash
        else:
            wanted |= {"fromBlock": hex(low or 0), "toBlock": LATEST if high is None else hex(high)}
        return await self.ask("eth_getLogs", [wanted], read_logs)

    async def send_raw_to_all(self, raw: bytes) -> Mapping[str, str | ChainError]:
        """Hand a signed transaction to every node; what each says."""
        return await self.ask_every("eth_sendRawTransaction", [_hex(raw)], lambda result: as_hash(result, "hash"))

    async def send_raw(self, raw: bytes) -> str:
        """Hand a signed transaction to the chain; gives its hash."""
        return await self.ask("eth_sendRawTransaction", [_hex(raw)], lambda result: as_hash(result, "hash"))


def _read_head(value: object) -> EvmBlock:
    block = read_block(value)
    if block is None:
        raise malformed("latest block", "a block")
    return block


def _block_question(at: At, *, full: bool) -> tuple[str, list[object]]:
    if isinstance(at, str) and len(at) == 66:
        return "eth_getBlockByHash", [at, full]
    return "eth_getBlockByNumber", [hex(at) if isinstance(at, int) else at, full]


def block_parameter(at: At) -> object:
    """The block as nodes want it named beside a call."""
    if isinstance(at, int):
        return hex(at)
    return {"blockHash": at} if len(at) == 66 else at


def _message(to: str, data: bytes, sender: str | None, value: int) -> dict[str, str]:
    message = {"to": to, "data": _hex(data)}
    if sender is not None:
        message["from"] = sender
    if value:
        message["value"] = hex(value)
    return message


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _data(what: str) -> Callable[[object], bytes]:
    return lambda value: as_data(value, what)


def _quantity(what: str) -> Callable[[object], int]:
    return lambda value: as_quantity(value, what)
