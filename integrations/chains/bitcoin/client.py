"""A chain of Bitcoin's kind over several nodes, of Core's kind or Esplora's: what is there, what is going on, and sending.

Blocks and transactions are checked against their hashes (`blocks.py`, `transactions.py`), so that no node can make up a deposit. What else a node says is
its word: which block stands at a height, what an address owns. Every question may raise ChainUnavailable.
"""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence

from core.clock import Clock
from integrations.chains.bitcoin.addresses import BitcoinAddress
from integrations.chains.bitcoin.blocks import Block, BlockSummary, read_block
from integrations.chains.bitcoin.core_node import CoreNode
from integrations.chains.bitcoin.errors import TransactionRefused, problem_of
from integrations.chains.bitcoin.esplora import EsploraNode
from integrations.chains.bitcoin.messages import FeeRates, FoundTransaction, HistoryEntry, Unspent, Utxo, Waiting
from integrations.chains.bitcoin.node import BitcoinNode, probe
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.bitcoin.transactions import Outpoint, parse_transaction
from integrations.chains.errors import ChainError, ChainUnavailable, Failure, NodeRefused, ProviderFailed
from integrations.chains.http import NodeLimits
from integrations.chains.pool import Head, PoolPolicy, ProviderPool, ProviderState
from integrations.chains.reserves import ChainReserves

POLICY = PoolPolicy(most_behind=2, probe_seconds=30.0)
"""Blocks are far apart: two of them are twenty minutes."""
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def nodes_of(
    rpc_urls: Sequence[str], api_urls: Sequence[str], limits: NodeLimits | None = None
) -> list[tuple[str, BitcoinNode]]:
    """Nodes with the names that they are shown under, which tell nothing of their URLs: those of one's own before the APIs."""
    own: list[tuple[str, BitcoinNode]] = [
        (f"node-{number}", CoreNode(url, limits)) for number, url in enumerate(rpc_urls, start=1)
    ]
    return own + [(f"esplora-{number}", EsploraNode(url, limits)) for number, url in enumerate(api_urls, start=1)]


class BitcoinClient:
    """One chain. `genesis`: the hash of its first block, by which a node shows what chain it is of (None: not checked)."""

    def __init__(
        self,
        chain: str,
        nodes: Sequence[tuple[str, BitcoinNode]],
        *,
        network: BitcoinNetwork,
        genesis: str | None,
        clock: Clock,
        policy: PoolPolicy | None = None,
    ) -> None:
        self.chain = chain
        self.network = network
        self._genesis = genesis
        self._knows_addresses = any(node.knows_addresses for _, node in nodes)
        self._shows_mempool = any(node.shows_mempool for _, node in nodes)
        self._has_others = not all(node.knows_addresses for _, node in nodes)
        self.pool = ProviderPool[BitcoinNode](chain, nodes, self._tell_head, clock=clock, policy=policy or POLICY)

    async def close(self) -> None:
        await self.pool.close()

    def head(self) -> Head | None:
        """The newest block that a node told when it was last probed."""
        return self.pool.head()

    def states(self) -> list[ProviderState]:
        """What is known of the nodes."""
        return self.pool.states()

    async def tip(self) -> BlockSummary:
        """The newest block now."""
        return await self.pool.use(lambda node: node.tip())

    async def block_hash(self, height: int) -> str | None:
        """The block of the best chain at this height; None above the tip."""
        return await self.pool.use(lambda node: node.block_hash(height))

    async def block_hashes(self, height: int) -> Mapping[str, str | ChainError | None]:
        """What every node says to that, by its name: for what must not hang on one of them."""
        return await self.pool.ask_all(lambda node: node.block_hash(height))

    async def tips_of_all(self) -> Mapping[str, BlockSummary | ChainError]:
        """The newest block as every node has it, by its name."""
        return await self.pool.ask_all(lambda node: node.tip())

    async def blocks_of_all(self, height: int) -> Mapping[str, BlockSummary | ChainError | None]:
        """The block of the best chain at this height as every node has it, unchecked; None above its tip."""

        async def ask(node: BitcoinNode) -> BlockSummary | None:
            block_hash = await node.block_hash(height)
            if block_hash is None:
                return None
            found = await node.summary(block_hash)
            if found is None:
                raise ProviderFailed(Failure.BEHIND, f"does not tell its block {height} now")
            if found.height != height:
                raise ProviderFailed(Failure.CONTRADICTS, "its block is of another height than the one asked for")
            return found

        return await self.pool.ask_all(ask)

    async def summary(self, block_hash: str) -> BlockSummary | None:
        """A block without its transactions, unchecked, of the best chain or not."""
        _require_hash(block_hash)
        return await self.pool.use(lambda node: node.summary(block_hash))

    async def block(self, block_hash: str) -> Block | None:
        """A block with its transactions, all checked but for its height; None for one that the node does not know."""
        _require_hash(block_hash)

        async def ask(node: BitcoinNode) -> Block | None:
            summary = await node.summary(block_hash)
            raw = await node.raw_block(block_hash)
            if summary is None or raw is None:
                return None
            least = self.network.least_difficulty
            return await asyncio.to_thread(
                read_block, raw, asked=block_hash, height=summary.height, least_difficulty=least
            )

        return await self.pool.use(ask)

    async def transaction(self, txid: str, *, block_hash: str | None = None) -> FoundTransaction | None:
        """A transaction that waits or is in the best chain, its content checked; None for one that a node which finds all does not find.

        With `block_hash`, the block that it was seen in last, nodes without an index of transactions can be asked too.
        """
        _require_hash(txid)
        if block_hash is not None:
            _require_hash(block_hash)

        among = _knows_transactions if block_hash is None else None
        return await self.pool.use(lambda node: node.transaction(txid, block_hash), among=among)

    async def transactions_of_all(
        self, txid: str, *, block_hash: str | None = None
    ) -> Mapping[str, FoundTransaction | ChainError | None]:
        """What every node says to that which can find it, by its name: before it is believed that one is gone, or there."""
        _require_hash(txid)
        if block_hash is not None:
            _require_hash(block_hash)
        among = _knows_transactions if block_hash is None else None
        return await self.pool.ask_all(lambda node: node.transaction(txid, block_hash), among=among)

    async def output(self, outpoint: Outpoint) -> Utxo | None:
        """An output that nothing spends, nor anything that waits; None for a spent one, and for one that there is not."""
        _require_hash(outpoint.txid)
        return await self.pool.use(lambda node: node.output(outpoint))

    async def outputs_of_all(self, outpoint: Outpoint) -> Mapping[str, Utxo | ChainError | None]:
        """What every node says to that, by its name: before coins are spent, and before they are believed to be gone."""
        _require_hash(outpoint.txid)
        return await self.pool.ask_all(lambda node: node.output(outpoint))

    async def spender(self, outpoint: Outpoint) -> str | None:
        """The txid of what spends an output, waiting or not, as far as any node can tell; its own word."""
        _require_hash(outpoint.txid)
        among = _knows_addresses if self._knows_addresses else None
        return await self.pool.use(lambda node: node.spender(outpoint), among=among)

    async def unspent(self, address: BitcoinAddress) -> Unspent:
        """What an address owns, from a node that knows addresses if one answers: others read all unspent outputs for it, and take minutes."""
        if self._knows_addresses:
            try:
                return await self.pool.use(lambda node: node.unspent(address), among=_knows_addresses)
            except ChainUnavailable:
                if not self._has_others:
                    raise
        return await self.pool.use(lambda node: node.unspent(address), among=lambda node: not node.knows_addresses)

    async def confirmed_of_all(self, addresses: Sequence[BitcoinAddress]) -> Mapping[str, ChainReserves | ChainError]:
        """What every node says that these addresses own by blocks alone, by its name: one's own nodes take minutes on the main network."""
        return await self.pool.ask_all(lambda node: node.confirmed(addresses))

    async def history(self, address: BitcoinAddress, *, after: str | None = None) -> Sequence[HistoryEntry] | None:
        """Transactions that touch an address, the newest first, some 25 to 75; `after`: the txid of the last confirmed one that was seen.

        None: no node of this chain is of a kind that can tell (only Esplora's is).
        """
        if after is not None:
            _require_hash(after)
        if not self._knows_addresses:
            return None
        return await self.pool.use(lambda node: node.history(address, after), among=_knows_addresses)

    async def waiting(self, known: Collection[str], *, most: int = 1_000) -> Waiting | None:
        """What waits to be confirmed, with the transactions whose txids are not `known`, checked against them; `most` at a time.

        None: no node of this chain is one's own (a public API is asked by address, `unspent`).
        """
        if not self._shows_mempool:
            return None
        return await self.pool.use(lambda node: node.waiting(known, most), among=_shows_mempool)

    async def fee_rates(self) -> FeeRates:
        """Fee rates of the first node that can estimate them; where none can, its floor alone."""
        rates = await self.pool.use(lambda node: node.fee_rates())
        if rates.estimated:
            return rates
        others = (await self.pool.ask_all(lambda node: node.fee_rates())).values()
        return next((each for each in others if isinstance(each, FeeRates) and each.estimated), rates)

    async def broadcast(self, raw: bytes) -> str:
        """Hand a signed transaction to the network; gives its txid. The same bytes may be sent again and again.

        Raises:
            TransactionRefused: the network does not take it; ALREADY_KNOWN when it has it.
            NotReadable: it is no transaction.
            ChainUnavailable: no node answered; it may have been sent all the same.
        """
        txid = parse_transaction(raw).txid

        async def ask(node: BitcoinNode) -> str:
            if await node.broadcast(raw) != txid:
                raise ProviderFailed(Failure.CONTRADICTS, "it names another transaction than the one sent")
            return txid

        try:
            return await self.pool.use(ask)
        except NodeRefused as refused:
            raise TransactionRefused(problem_of(refused)) from None

    async def broadcast_to_all(self, raw: bytes) -> Mapping[str, str | ChainError]:
        """Hand a signed transaction to every node; what each says, TransactionRefused among it. Raises NotReadable: it is no transaction."""
        txid = parse_transaction(raw).txid

        async def ask(node: BitcoinNode) -> str:
            try:
                told = await node.broadcast(raw)
            except NodeRefused as refused:
                raise TransactionRefused(problem_of(refused)) from None
            if told != txid:
                raise ProviderFailed(Failure.CONTRADICTS, "it names another transaction than the one sent")
            return txid

        return await self.pool.ask_all(ask)

    async def _tell_head(self, node: BitcoinNode) -> Head:
        return await probe(node, self._genesis)


def _knows_addresses(node: BitcoinNode) -> bool:
    return node.knows_addresses


def _knows_transactions(node: BitcoinNode) -> bool:
    return node.knows_transactions


def _shows_mempool(node: BitcoinNode) -> bool:
    return node.shows_mempool


def _require_hash(text: str) -> None:
    """Raises ValueError for what is no hash: it becomes part of a path."""
    if _HASH.fullmatch(text) is None:
        raise ValueError("a hash is 64 digits in hexadecimal, in small letters")
