"""Ethereum nodes that say what a test lets them say, behind the real client: forks, lies, silence, and chains that come back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from core.clock import SystemClock
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import EvmClient, probe
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.pool import PoolPolicy, ProviderPool
from services.deposit_sightings import TRANSFER
from tests.evm import CHAIN_ID

Json = dict[str, Any]
NEVER_RESTS = PoolPolicy(breaker_failures=10**6)
GAS = 21_000
OUTSIDER = "0x1111111111111111111111111111111111111111"


@dataclass(frozen=True)
class Moved:
    """A token's Transfer."""

    contract: str
    sender: str
    recipient: str
    units: int


@dataclass(frozen=True)
class Transaction:
    """Coins, and what tokens it moves. Its fee is GAS wei."""

    name: str
    to: str
    value: int = 0
    logs: tuple[Moved, ...] = ()
    sender: str = OUTSIDER
    success: bool = True
    inner: tuple[tuple[str, int], ...] = ()
    """Whom the contract that was called pays how much."""

    @property
    def hash(self) -> str:
        return _hash(self.name)


@dataclass(frozen=True)
class Block:
    """One block; `salt` tells it from others with the same parent."""

    number: int
    parent: str
    transactions: tuple[Transaction, ...]
    salt: str

    @property
    def hash(self) -> str:
        return _hash(f"{self.number}:{self.parent}:{self.salt}:{[each.hash for each in self.transactions]}")


@dataclass(eq=False)
class ScriptedNode:
    """One node. `failure` is what every question meets; `twist` may change an answer (method, parameters, answer)."""

    blocks: list[Block] = field(default_factory=lambda: [Block(0, _hash("nothing"), (), "genesis")])
    chain_id: int = CHAIN_ID
    failure: Exception | None = None
    twist: Callable[[str, Sequence[object], Any], Any] | None = None
    traces: bool = False
    """Whether it keeps traces."""

    def mine(self, *transactions: Transaction, salt: str = "", blocks: int = 1) -> None:
        """A block with these, and empty ones up to so many."""
        for number in range(blocks):
            last = self.blocks[-1]
            self.blocks.append(Block(last.number + 1, last.hash, transactions if number == 0 else (), salt))

    def drop(self, blocks: int) -> None:
        """The last blocks never were."""
        del self.blocks[-blocks:]

    async def close(self) -> None: ...

    async def call(self, method: str, *params: object) -> object:
        if self.failure is not None:
            raise self.failure
        answer = self._answer(method, params)
        return answer if self.twist is None else self.twist(method, params, answer)

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        return [await self.call(each.method, *each.params) for each in calls]

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_getBlockByNumber":
                found = self.blocks[-1:] if params[0] == "latest" else self.blocks[int(params[0], 16) :][:1]
                return _block(found[0], whole=bool(params[1])) if found else None
            case "eth_getBlockByHash":
                return next((_block(each, whole=True) for each in self.blocks if each.hash == params[0]), None)
            case "eth_getLogs":
                return self._logs(params[0])
            case "eth_getBalance":
                return hex(self._balance(params[0], params[1]["blockHash"]))
            case "trace_block" if self.traces:
                return [
                    _trace(block, each) for block in self.blocks[int(params[0], 16) :][:1] for each in _inner(block)
                ]
            case "trace_block" | "debug_traceBlockByHash":
                raise NodeRefused(-32601, "the method does not exist")
            case _:
                return self._transaction(method, params[0])

    def _balance(self, address: str, at: str) -> int:
        until = next((each.number for each in self.blocks if each.hash == at), None)
        if until is None:
            raise NodeRefused(-32000, "header not found")
        units = 10**30
        for each in (each for block in self.blocks[: until + 1] for each in block.transactions):
            units -= (GAS + (each.value if each.success else 0)) * (each.sender == address)
            units += each.value * (each.success and each.to == address)
            units += sum(paid for to, paid in each.inner if to == address)
        return units

    def _logs(self, wanted: Json) -> list[Json]:
        block = next((each for each in self.blocks if each.hash == wanted["blockHash"]), None)
        if block is None:
            raise NodeRefused(-32000, "unknown block")
        return [log for each in block.transactions for log in _logs(block, each) if log["address"] in wanted["address"]]

    def _transaction(self, method: str, hash_: str) -> Json | None:
        for block in self.blocks:
            for each in block.transactions:
                if each.hash == hash_:
                    return _receipt(block, each) if method == "eth_getTransactionReceipt" else _info(block, each)
        return None


@dataclass(eq=False)
class TwistedNode:
    """A real node between which and its reader a test may step in, as with ScriptedNode."""

    node: JsonRpc
    failure: Exception | None = None
    twist: Callable[[str, Sequence[object], Any], Any] | None = None

    async def close(self) -> None:
        await self.node.close()

    async def call(self, method: str, *params: object) -> object:
        if self.failure is not None:
            raise self.failure
        answer = await self.node.call(method, *params)
        return answer if self.twist is None else self.twist(method, params, answer)

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        if self.failure is not None:
            raise self.failure
        answers = await self.node.batch(calls)
        if self.twist is None:
            return answers
        return [self.twist(each.method, each.params, answer) for each, answer in zip(calls, answers, strict=True)]


def client_of_nodes(*nodes: ScriptedNode | TwistedNode) -> EvmClient:
    """The real client of these nodes, `node-1` and so on, none of which it ever leaves alone for a while."""
    named: Any = [(f"node-{number}", node) for number, node in enumerate(nodes, start=1)]

    async def head(node: JsonRpc) -> Any:
        return await probe(node, CHAIN_ID)

    pool: ProviderPool[JsonRpc] = ProviderPool("ethereum", named, head, clock=SystemClock(), policy=NEVER_RESTS)
    return EvmClient("ethereum", CHAIN_ID, pool)


def _hash(text: str) -> str:
    return "0x" + sha256(text.encode()).hexdigest()


def _block(block: Block, *, whole: bool) -> Json:
    listed = [_info(block, each) if whole else each.hash for each in block.transactions]
    return {
        "number": hex(block.number),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": hex(1_700_000_000 + block.number),
        "baseFeePerGas": "0x1",
        "transactions": listed,
    }


def _info(block: Block, each: Transaction) -> Json:
    return {
        "hash": each.hash,
        "from": each.sender,
        "to": each.to,
        "nonce": "0x0",
        "value": hex(each.value),
        "gas": hex(GAS),
        "maxFeePerGas": "0x1",
        "input": "0x",
        "blockNumber": hex(block.number),
        "blockHash": block.hash,
    }


def _receipt(block: Block, each: Transaction) -> Json:
    return {
        "transactionHash": each.hash,
        "from": each.sender,
        "to": each.to,
        "blockNumber": hex(block.number),
        "blockHash": block.hash,
        "status": hex(each.success),
        "gasUsed": hex(GAS),
        "effectiveGasPrice": "0x1",
        "contractAddress": None,
        "logs": _logs(block, each),
    }


def _logs(block: Block, each: Transaction) -> list[Json]:
    before = sum(len(earlier.logs) for earlier in block.transactions[: block.transactions.index(each)])
    return [
        {
            "address": moved.contract,
            "topics": [TRANSFER, _word(moved.sender), _word(moved.recipient)],
            "data": "0x" + moved.units.to_bytes(32, "big").hex(),
            "blockNumber": hex(block.number),
            "blockHash": block.hash,
            "transactionHash": each.hash,
            "logIndex": hex(before + place),
        }
        for place, moved in enumerate(each.logs)
    ]


def _inner(block: Block) -> list[tuple[Transaction, int, str, int]]:
    """What contracts pay in a block: by which transaction, at which place, to whom, how much."""
    return [(each, place, to, paid) for each in block.transactions for place, (to, paid) in enumerate(each.inner)]


def _trace(block: Block, paid: tuple[Transaction, int, str, int]) -> Json:
    each, place, to, units = paid
    return {
        "action": {"from": each.to, "callType": "call", "to": to, "value": hex(units), "gas": "0x0", "input": "0x"},
        "blockHash": block.hash,
        "blockNumber": block.number,
        "subtraces": 0,
        "traceAddress": [place],
        "transactionHash": each.hash,
        "type": "call",
    }


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
