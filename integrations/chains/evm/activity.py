"""What moved from or to an address on an EVM chain, in a range of blocks.

Tokens by the Transfer logs of EIP-20. The chain's own coin leaves no log: it is told by nodes that keep an index of addresses, Alchemy's
(`alchemy_getAssetTransfers`) or Otterscan's (`ots_searchTransactionsBefore`, of Erigon, Reth and Anvil); others do without it. What a contract pays out
within somebody else's transaction is in neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from weakref import WeakKeyDictionary

from eth_abi.abi import encode

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.messages import EvmLog, as_address, read_logs, read_transaction
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.shapes import JsonObject, as_hash, as_list, as_object, as_quantity, as_text, malformed

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SLOTS = 100_000
"""Places of one block: coins first, then logs."""
_FIRST_LOG = SLOTS // 2
_UNKNOWN_METHOD = -32601
_NO_SUCH_METHOD = frozenset({_UNKNOWN_METHOD, -32600, -32602, -32004})
"""Of JSON-RPC and EIP-1474, and what providers say of methods that a plan lacks."""
_PAGE = 100
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Movement:
    """So many smallest units from one address to another. `contract` None: the chain's own coin. `block_hash` None: the node did not tell.

    `place` grows with the block and within it, and never changes while the block stays.
    """

    place: int
    hash: str
    block_hash: str | None
    sender: str
    to: str
    contract: str | None
    units: int
    failed: bool = False

    @property
    def block(self) -> int:
        """Number of its block."""
        return self.place // SLOTS

    @property
    def part(self) -> str:
        """Which part of its transaction it is; a transaction pays its own coins once."""
        return "coin" if self.contract is None else f"log-{self.place % SLOTS - _FIRST_LOG}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What moved in the blocks low <= number <= high, lowest place first."""

    moved: Sequence[Movement]
    low: int
    high: int


class _TooMuch(Exception):
    """More than a node tells of so many blocks at once; `code`: what it said."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code


class _Index(Enum):
    """What a node knows of coins."""

    ALCHEMY = 1
    OTTERSCAN = 2
    NONE = 3


class ActivityReader:
    """Reads movements from nodes, and remembers what each can do."""

    def __init__(self) -> None:
        self._indexes: WeakKeyDictionary[JsonRpc, _Index] = WeakKeyDictionary()
        self._spans: WeakKeyDictionary[JsonRpc, int] = WeakKeyDictionary()

    async def look(self, node: JsonRpc, address: str, low: int, high: int, *, downwards: bool) -> Looked:
        """What moved in as many of these blocks as the node tells at once, from the upper or the lower end. Raises ProviderFailed.

        A node that finds a range too long is asked for half, and for a little more with each range that it took.
        """
        span = min(high - low + 1, self._spans.get(node, high - low + 1))
        while True:
            first, last = (high - span + 1, high) if downwards else (low, low + span - 1)
            try:
                moved = await self._movements(node, address, first, last)
            except _TooMuch as refused:
                if span == 1 or refused.code == _UNKNOWN_METHOD:
                    raise ProviderFailed(Failure.MALFORMED, f"tells no history (error {refused.code})") from None
                self._spans[node] = span = span // 2
                continue
            if span == self._spans.get(node):
                self._spans[node] = span + span // 8 + 1
            return Looked(moved, first, last)

    async def _movements(self, node: JsonRpc, address: str, low: int, high: int) -> list[Movement]:
        topic = "0x" + encode(["address"], [address]).hex()
        found: dict[int, Movement] = {}
        for topics in ([TRANSFER, topic], [TRANSFER, None, topic]):
            for log in await _logs(node, topics, low, high):
                moved = movement_of_log(log)
                if moved is not None and address in (moved.sender, moved.to):
                    found[moved.place] = moved
        for coin in await self._coins(node, address, low, high):
            found[coin.place] = coin
        return [found[place] for place in sorted(found) if low <= found[place].block <= high]

    async def _coins(self, node: JsonRpc, address: str, low: int, high: int) -> list[Movement]:
        readers = {_Index.ALCHEMY: _by_alchemy, _Index.OTTERSCAN: _by_otterscan}
        known = self._indexes.get(node)
        for index, read in readers.items():
            if known in (None, index):
                try:
                    found = await read(node, address, low, high)
                except NodeRefused as refused:
                    if refused.code not in _NO_SUCH_METHOD:
                        raise ProviderFailed(Failure.MALFORMED, f"tells no history (error {refused.code})") from None
                else:
                    self._indexes[node] = index
                    return found
        self._indexes[node] = _Index.NONE
        return []


async def _logs(node: JsonRpc, topics: Sequence[str | None], low: int, high: int) -> tuple[EvmLog, ...]:
    asked = {"fromBlock": hex(low), "toBlock": hex(high), "topics": list(topics)}
    try:
        return read_logs(await node.call("eth_getLogs", asked))
    except NodeRefused as refused:
        raise _TooMuch(refused.code) from None


def movement_of_log(log: EvmLog) -> Movement | None:
    """None for what is no movement of an EIP-20 token: transfers of collectibles (EIP-721) name theirs in a fourth topic."""
    if len(log.topics) != 3 or log.topics[0] != TRANSFER or len(log.data) != 32:
        return None
    units = int.from_bytes(log.data)
    place = log.block * SLOTS + min(_FIRST_LOG + log.index, SLOTS - 1)
    sender, to = (as_address("0x" + topic[26:], "topics") for topic in log.topics[1:])
    return Movement(place, log.transaction, log.block_hash, sender, to, log.address, units) if units else None


async def _by_otterscan(node: JsonRpc, address: str, low: int, high: int) -> list[Movement]:
    """Pages go back in time and end with a whole block (https://docs.otterscan.io/api-docs/ots-api)."""
    found: list[Movement] = []
    before = high + 1
    for _ in range(_MOST_PAGES):
        page = as_object(await node.call("ots_searchTransactionsBefore", address, before, _PAGE), "page")
        failed = {
            as_hash(receipt.get("transactionHash"), "transactionHash")
            for receipt in _objects(page, "receipts")
            if receipt.get("status") == "0x0"
        }
        lowest = before
        for each in _objects(page, "txs"):
            info = read_transaction(each)
            if info is None or info.block is None or info.block >= before:
                raise malformed("txs", f"transactions before block {before}")
            lowest = min(lowest, info.block)
            if info.value and info.to is not None and address in (info.sender, info.to):
                place = info.block * SLOTS + as_quantity(each.get("transactionIndex"), "transactionIndex")
                moved = Movement(
                    place, info.hash, info.block_hash, info.sender, info.to, None, info.value, info.hash in failed
                )
                found.append(moved)
        if page.get("lastPage") is True or lowest == before or lowest < low:
            return found
        before = lowest
    raise _TooMuch


async def _by_alchemy(node: JsonRpc, address: str, low: int, high: int) -> list[Movement]:
    """By `external` transfers, which succeeded (https://www.alchemy.com/docs/data/transfers-api)."""
    transfers: dict[str, JsonObject] = {}
    for side in ("fromAddress", "toAddress"):
        asked: dict[str, object] = {
            "fromBlock": hex(low),
            "toBlock": hex(high),
            side: address,
            "category": ["external"],
        }
        for _ in range(_MOST_PAGES):
            page = as_object(await node.call("alchemy_getAssetTransfers", asked), "page")
            transfers |= {as_text(each.get("uniqueId"), "uniqueId"): each for each in _objects(page, "transfers")}
            if page.get("pageKey") is None:
                break
            asked["pageKey"] = as_text(page["pageKey"], "pageKey")
        else:
            raise _TooMuch
    found: list[Movement] = []
    in_block: dict[int, int] = {}
    for _, each in sorted(transfers.items()):
        block = as_quantity(each.get("blockNum"), "blockNum")
        units = as_quantity(as_object(each.get("rawContract"), "rawContract").get("value"), "value")
        place = block * SLOTS + in_block.get(block, 0)
        if each.get("to") is None or not units:
            continue
        in_block[block] = in_block.get(block, 0) + 1
        sender, to = as_address(each.get("from"), "from"), as_address(each["to"], "to")
        found.append(Movement(place, as_hash(each.get("hash"), "hash"), None, sender, to, None, units))
    return found


def _objects(page: JsonObject, name: str) -> list[JsonObject]:
    return [as_object(each, name) for each in as_list(page.get(name), name)]
