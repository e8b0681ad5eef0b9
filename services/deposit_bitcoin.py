"""Deposits on chains of Bitcoin's kind, as `deposit_chain.py` wants them. The place of a deposit is the number of its output.

A block's bytes prove what its outputs pay. What its inputs spend is proven by the transactions that they name, which are asked for where an input shows a key
or a script of the house (`integrations/chains/bitcoin/spending.py`). A transaction of the house is taken as a whole: what each reserve has more or less after
it, and its fee. Change is no deposit, nor is anything else that the house pays to itself, but for withdrawals to somebody's deposit address.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from core.money import CONTEXT
from exchange.accounts import cold_reserve, hot_reserve
from integrations.chains.bitcoin.addresses import ScriptType, address_of, known_script, type_of
from integrations.chains.bitcoin.blocks import Block, BlockSummary
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.messages import FoundTransaction
from integrations.chains.bitcoin.parameters import COINBASE_MATURITY, BitcoinNetwork
from integrations.chains.bitcoin.spending import may_be_taproot, shown_scripts
from integrations.chains.bitcoin.transactions import Tx, TxOutput
from integrations.chains.errors import ChainError, ChainUnavailable, NodesContradict
from models import withdrawal
from models.deposit import DepositDocument
from models.house_transfer import HouseTransferDocument
from services.chain_votes import WITNESSES
from services.deposit_chain import ChainBlock
from services.deposit_forms import Form, Sighting
from services.house_transfers import (
    HouseWallets,
    InBlock,
    Movement,
    Sorted,
    fee_row,
    movement_row,
    say_unassigned,
)

DECIMALS = 8
_AT_ONCE = 8
_MOVED = "moved"
"""The place of what a transaction moves between the reserves."""


@dataclass(frozen=True, slots=True)
class BlockName:
    """A block as a node names it."""

    number: int
    hash: str
    parent: str


@dataclass(frozen=True, slots=True)
class Paid:
    """An output, with its address; None: it has none."""

    place: int
    address: str | None
    sats: int


@dataclass(frozen=True, slots=True)
class Touch:
    """A transaction that pays the house, or may spend what it has."""

    tx: Tx
    outputs: tuple[Paid, ...]
    may_spend: bool


class HouseScripts:
    """Scripts of the house's addresses, each worked out once: to read every output of every block as an address would take seconds."""

    def __init__(self, network: BitcoinNetwork) -> None:
        self._network = network
        self._addresses: dict[bytes, str] = {}
        self._learnt: set[str] = set()
        self.has_taproot = False

    def learn(self, house: HouseWallets) -> None:
        """Know all that the house has now."""
        others = {*house.cold} if house.hot is None else {*house.cold, house.hot}
        for address in (house.deposits.keys() | others) - self._learnt:
            script = known_script(address, self._network)
            self._addresses[script] = address
            self._learnt.add(address)
            self.has_taproot = self.has_taproot or type_of(script) is ScriptType.P2TR

    def is_of(self, script: bytes, house: HouseWallets) -> bool:
        """Whether it is one of the house's, which may have given up an address since it was learnt."""
        return self._addresses.get(script) in house


class BitcoinDeposits:
    """Of one chain; `form` is its coin, None: it is not taken there. Raises ValueError for a coin that is not counted in satoshis."""

    def __init__(self, client: BitcoinClient, form: Form | None) -> None:
        if form is not None and {form.asset.decimals, form.network.decimals} != {DECIMALS}:
            raise ValueError(f"{form.asset.code} is not counted in satoshis")
        self._client = client
        self._form = form
        self._scripts = HouseScripts(client.network)
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def heads(self) -> Collection[int]:
        return [tip.height for tip in (await self._client.tips_of_all()).values() if isinstance(tip, BlockSummary)]

    async def blocks_at(self, number: int) -> Mapping[str, BlockName | ChainError | None]:
        said = await self._client.blocks_of_all(number)
        return {name: _named(each) if isinstance(each, BlockSummary) else each for name, each in said.items()}

    async def brought(self, block: ChainBlock, wallets: Callable[[], Awaitable[HouseWallets]]) -> Sorted:
        whole = await self._client.block(block.hash)
        if whole is None:
            raise ChainError(f"the nodes of {self._client.chain} do not tell block {block.number} now")
        if whole.parent != block.parent:
            raise NodesContradict(f"nodes of {self._client.chain} tell another parent of block {block.number}")
        house = await wallets()
        sorted_ = Sorted([], [])
        for touch in await asyncio.to_thread(_touching, whole, house, self._scripts, self._client.network):
            await self._sort_out(house, block, whole, touch, sorted_)
        return sorted_

    async def attested(self, row: DepositDocument, form: Form) -> None:
        said = await self._client.transactions_of_all(row.hash, block_hash=row.block_hash)
        silent: dict[str, str] = {}
        for name, told in said.items():
            if isinstance(told, ChainError):
                silent[name] = str(told)
            elif told is None or told.place is None:
                silent[name] = f"has {row.hash} in no block"
            elif told.place.hash != row.block_hash or not self._pays(told, row, form):
                raise NodesContradict(f"{name} tells something else of {row.hash} than was seen")
        if len(said) - len(silent) < max(1, min(WITNESSES, len(said))):
            raise ChainUnavailable(self._client.chain, silent)

    def _pays(self, told: FoundTransaction, row: DepositDocument, form: Form) -> bool:
        place, sats = int(row.place), int(CONTEXT.scaleb(row.amount, form.network.decimals))
        outputs = told.tx.outputs
        if place >= len(outputs):
            return False
        return (address_of(outputs[place].script, self._client.network), outputs[place].sats) == (row.address, sats)

    async def _sort_out(self, house: HouseWallets, block: InBlock, whole: Block, touch: Touch, into: Sorted) -> None:
        """Tell what a transaction is to the house. What cannot be placed is left out, and said in the log."""
        spent = await self._spent(whole, touch.tx) if touch.may_spend else ()
        taken = [(address_of(each.script, self._client.network), each.sats) for each in spent]
        ours = [(address, sats) for address, sats in taken if address is not None and address in house]
        if not ours or await withdrawal.by_attempt(touch.tx.txid) is not None:
            into.deposits.extend(self._deposits(house, touch, is_payout=bool(ours)))
        elif len(ours) < len(taken):
            for paid in touch.outputs:
                say_unassigned(house, touch.tx.txid, house.coin, paid.sats, recipient=paid.address or "")
        else:
            into.transfers.extend(_own_movements(house, block, touch, ours))

    def _deposits(self, house: HouseWallets, touch: Touch, *, is_payout: bool) -> list[Sighting]:
        """Every output to a deposit address. What a miner made counts once it may be spent."""
        least = COINBASE_MATURITY if touch.tx.coinbase else 0
        found = []
        for paid in touch.outputs:
            if self._form is not None and paid.address is not None and paid.address in house.deposits and paid.sats:
                txid, place = touch.tx.txid, str(paid.place)
                found.append(Sighting(self._form, "", paid.address, paid.sats, txid, place, least))
            elif paid.address in house and not is_payout:
                say_unassigned(house, touch.tx.txid, house.coin, paid.sats, recipient=paid.address or "")
        return found

    async def _spent(self, whole: Block, tx: Tx) -> Sequence[TxOutput]:
        """What a transaction of this block spends, proven. Raises ChainError."""
        here = {each.txid: each for each in whole.transactions}
        names = list(dict.fromkeys(each.outpoint.txid for each in tx.inputs))
        sources = dict(zip(names, await asyncio.gather(*(self._source(each, here) for each in names)), strict=True))
        found = []
        for each in tx.inputs:
            outputs = sources[each.outpoint.txid].outputs
            if each.outpoint.vout >= len(outputs):
                raise NodesContradict(f"{tx.txid} spends an output of {each.outpoint.txid} that there is not")
            found.append(outputs[each.outpoint.vout])
        return found

    async def _source(self, txid: str, here: Mapping[str, Tx]) -> Tx:
        if txid in here:
            return here[txid]
        try:
            async with self._few:
                found = await self._client.transaction(txid)
        except ChainUnavailable as error:
            raise ChainError(f"what the house spends of {txid} is not told: {error}; Core needs txindex=1") from error
        if found is None:
            raise ChainError(f"the nodes of {self._client.chain} do not know {txid}, of which an output is spent")
        return found.tx


def _named(summary: BlockSummary) -> BlockName:
    return BlockName(summary.height, summary.hash, summary.parent)


def _touching(block: Block, house: HouseWallets, scripts: HouseScripts, network: BitcoinNetwork) -> list[Touch]:
    """Transactions of a block that the house is part of, or may be."""
    scripts.learn(house)
    found = []
    for tx in block.transactions:
        pays = any(scripts.is_of(each.script, house) for each in tx.outputs)
        may_spend = not tx.coinbase and any(
            any(scripts.is_of(script, house) for script in shown_scripts(each))
            or (pays and scripts.has_taproot and may_be_taproot(each))
            for each in tx.inputs
        )
        if pays or may_spend:
            outputs = (Paid(at, address_of(each.script, network), each.sats) for at, each in enumerate(tx.outputs))
            found.append(Touch(tx, tuple(outputs), may_spend))
    return found


def _own_movements(
    house: HouseWallets, block: InBlock, touch: Touch, taken: Sequence[tuple[str, int]]
) -> list[HouseTransferDocument]:
    """What a transaction of the house alone moves between its reserves, and the fee of each that has less after it."""
    txid = touch.tx.txid
    more = {hot_reserve(house.chain): 0, cold_reserve(house.chain): 0}
    for address, sats in taken:
        more[house.reserve(address)] -= sats
    for paid in touch.outputs:
        if paid.address is not None and paid.address in house:
            more[house.reserve(paid.address)] += paid.sats
        elif paid.sats:
            say_unassigned(house, txid, house.coin, paid.sats, sender=taken[0][0], recipient=paid.address or "")
    rows = []
    taking = next((reserve for reserve, sats in more.items() if sats > 0), None)
    if taking is not None:
        giving = next(reserve for reserve in more if reserve != taking)
        rows.append(movement_row(house, block, Movement(txid, _MOVED, giving, taking, house.coin, more[taking])))
        more[giving] += more[taking]
        more[taking] = 0
    fee = sum(sats for _, sats in taken) - sum(each.sats for each in touch.outputs)
    losses = [(reserve, -sats) for reserve, sats in more.items() if sats < 0]
    for at, (reserve, loss) in enumerate(losses):
        share = min(loss, fee)
        fee -= share
        if share:
            rows.append(fee_row(house, block, txid, reserve, share, part=f":{at}" if at else ""))
    return rows
