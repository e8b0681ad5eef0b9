"""Coins that contracts pay to deposit addresses of an EVM chain within somebody's transaction.

Whether a block has any is told by balances: an address has more after it than its transactions explain. Only then is the block traced, which costs far more. All nodes are
asked for both, and what any of them tells counts: none can make a deposit be missed by hiding it. What one makes up is found out before it is credited (`attested`).
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import structlog

from core.money import CONTEXT
from integrations.chains.errors import (
    ChainError,
    ChainUnavailable,
    Failure,
    NodeRefused,
    NodesContradict,
    ProviderFailed,
)
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.internal import InternalPayment, coin_balances, internal_payments, staking_payments
from integrations.chains.evm.messages import EvmBlock, EvmReceipt, EvmTransactionInfo, read_full_block, read_receipt
from integrations.chains.json_rpc import MOST_IN_BATCH, Call, JsonRpc
from integrations.chains.shapes import malformed
from models import deposit
from models.deposit import DepositDocument
from services.chain_votes import WITNESSES
from services.deposit_forms import Form, Sighting, require_possible
from services.deposit_sightings import COINS
from services.house_sorting import Sightings

log = structlog.get_logger(__name__)
TRACE = "trace-"
"""How the place of such a deposit begins; the rest is of what was paid, which may be something else when the transaction runs again."""


Gains = Sequence[Mapping[str, int]]
"""Wei by address, as each of several nodes tells it."""


class InternalPayments:
    """Of one chain; `form` is its coin."""

    def __init__(self, client: EvmClient, form: Form) -> None:
        self._client = client
        self._form = form
        self._known: dict[JsonRpc, tuple[str, dict[str, int]]] = {}

    async def gains(self, block: EvmBlock, addresses: Sequence[str]) -> Gains:
        """How much more each has after this block than before it, as every node tells it that can."""
        if not addresses:
            return []
        said = await self._client.pool.ask_all(lambda node: self._gains(node, block, addresses))
        return [each for each in said.values() if not isinstance(each, ChainError)]

    async def of_block(
        self, block: EvmBlock, addresses: Sequence[str], told: Gains, seen: Sightings
    ) -> tuple[Sighting, ...] | None:
        """What was paid to these addresses beside what was seen, by what each has gained. None: that cannot be found out now."""
        if not addresses:
            return ()
        explained = _explained(seen)
        most = {each: max(gains[each] for gains in told) for each in (addresses if told else ())}
        gained = {
            each: units - explained.get(each, 0) for each, units in most.items() if units > explained.get(each, 0)
        }
        if told and not gained:
            return ()
        found = await self._traced(block, frozenset(gained) if told else frozenset(addresses))
        if found is None or not told:
            return found
        return found if await self._is_all(block, gained, found) else None

    async def attested(self, row: DepositDocument) -> None:
        """Returns when as many nodes as it takes trace the payment, or have the balance that it makes, and none that traces tells something else.

        Raises NodesContradict, ChainUnavailable.
        """
        units = self._units(row)
        beside = await deposit.in_block(row.chain, row.block or 0)
        total = sum(self._units(each) for each in beside if each.address == row.address and self._is_inner(each))
        said = await self._client.pool.ask_all(lambda node: self._witness(node, row, units, total))
        silent = {name: str(each) for name, each in said.items() if isinstance(each, ChainError)}
        against = sorted(name for name, each in said.items() if each is False)
        if against:
            raise NodesContradict(f"{', '.join(against)} tells something else of {row.hash} than was seen")
        if len(said) - len(silent) < max(1, min(WITNESSES, len(said))):
            raise ChainUnavailable(self._client.key, silent)

    async def _gains(self, node: JsonRpc, block: EvmBlock, addresses: Sequence[str]) -> dict[str, int]:
        """How much more each has after this block than before it; of the block before, what is remembered is not asked again."""
        after = await coin_balances(node, addresses, at=block.hash)
        hash_, known = self._known.get(node, ("", {}))
        before = dict(known) if hash_ == block.parent else {}
        missing = [each for each in addresses if each not in before]
        before |= await coin_balances(node, missing, at=block.parent) if missing else {}
        self._known[node] = (block.hash, after)
        return {each: after[each] - before[each] for each in addresses}

    async def _inner_gain(self, node: JsonRpc, hash_: str, address: str) -> int:
        """How much more an address has after a block than before it and than the block's own transactions make, all as this node tells it. Raises ChainError."""
        found = read_full_block(await node.call("eth_getBlockByHash", hash_, True))
        if found is None:
            raise malformed("block", "a block that was seen")
        block, transactions = found
        after = await coin_balances(node, [address], at=block.hash)
        before = await coin_balances(node, [address], at=block.parent)
        touching = [each for each in transactions if each.sender == address or (each.value and each.to == address)]
        receipts = await _receipts_of(node, block, touching)
        explained = sum(_change(each, receipt, address) for each, receipt in zip(touching, receipts, strict=True))
        return after[address] - before[address] - explained

    async def _traced(self, block: EvmBlock, addresses: frozenset[str]) -> tuple[Sighting, ...] | None:
        """As any node tells it; None: none keeps traces."""

        async def ask(node: JsonRpc) -> list[InternalPayment]:
            paid = await internal_payments(node, block.number, block.hash, addresses)
            for each in paid:
                require_possible(each.units, each.hash)
            return paid

        said = await self._client.pool.ask_all(ask)
        told = [each for each in said.values() if not isinstance(each, ChainError)]
        if not told:
            log.error("deposits.no_traces", chain=self._client.key, block=block.number)
            return None
        found = [self._sighting(paid) for each in told for paid in each]
        return tuple({(each.hash, each.place): each for each in found}.values())

    async def _is_all(self, block: EvmBlock, gained: Mapping[str, int], found: Sequence[Sighting]) -> bool:
        """Whether this is all that they gained; what staking pays out is nobody's deposit, and said in the log."""
        left = dict(gained)
        for each in found:
            left[each.address] -= each.units
        if all(units <= 0 for units in left.values()):
            return True
        staked = await self._client.pool.use(lambda node: staking_payments(node, block.hash))
        for address, units in left.items():
            if units > 0 and address in staked:
                log.error("deposits.staking_paid", chain=self._client.key, block=block.number, address=address)
        unexplained = [address for address, units in left.items() if units > staked.get(address, 0)]
        if unexplained:
            log.error("deposits.coins_unexplained", chain=self._client.key, block=block.number, addresses=unexplained)
        return not unexplained

    async def _witness(self, node: JsonRpc, row: DepositDocument, units: int, total: int) -> bool:
        """Whether it traces the payment, or has the balance that contracts' payments to the address and the block's own transactions make. Raises ChainError: it cannot tell."""
        number, hash_ = row.block or 0, row.block_hash or ""
        try:
            traced = await internal_payments(node, number, hash_, frozenset((row.address,)))
        except NodeRefused:
            if await self._inner_gain(node, hash_, row.address) != total:
                raise ChainError(f"keeps no traces, and has another balance of {row.address}") from None
            return True
        return any((each.hash, each.to, each.units) == (row.hash, row.address, units) for each in traced)

    def _sighting(self, paid: InternalPayment) -> Sighting:
        told = sha256(f"{paid.to}:{paid.units}".encode()).hexdigest()[:16]
        return Sighting(self._form, paid.sender, paid.to, paid.units, paid.hash, f"{TRACE}{told}")

    def _units(self, row: DepositDocument) -> int:
        return int(CONTEXT.scaleb(row.amount, self._form.network.decimals))

    def _is_inner(self, row: DepositDocument) -> bool:
        return row.asset == self._form.asset.code and row.place.startswith(TRACE)


async def _receipts_of(node: JsonRpc, block: EvmBlock, transactions: Sequence[EvmTransactionInfo]) -> list[EvmReceipt]:
    """Of transactions of this block, as this node has them. Raises ChainError."""
    receipts = []
    for start in range(0, len(transactions), MOST_IN_BATCH):
        calls = [Call("eth_getTransactionReceipt", [each.hash]) for each in transactions[start : start + MOST_IN_BATCH]]
        for told in await node.batch(calls):
            if isinstance(told, NodeRefused):
                raise told
            receipt = read_receipt(told)
            if receipt is None or receipt.block_hash != block.hash:
                raise ProviderFailed(Failure.BEHIND, f"has not got the receipts of block {block.number} yet")
            receipts.append(receipt)
    return receipts


def _change(transaction: EvmTransactionInfo, receipt: EvmReceipt, address: str) -> int:
    """How much more an address has by a transaction's own value, and its fee."""
    moved = transaction.value if receipt.success else 0
    got = moved if transaction.to == address else 0
    return got - moved - receipt.fee if transaction.sender == address else got


def _explained(seen: Sightings) -> dict[str, int]:
    """What each address has more, or less, by what was seen."""
    changes: dict[str, int] = {}
    for each in seen.moved:
        if each.place == COINS:
            changes[each.address] = changes.get(each.address, 0) + each.units
            changes[each.sender] = changes.get(each.sender, 0) - each.units
    for fee in seen.fees:
        changes[fee.payer] = changes.get(fee.payer, 0) - fee.units
    return changes
