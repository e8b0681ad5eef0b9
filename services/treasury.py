"""Moving the house's own coins with keys that are offline: what is to be signed is exported, signed elsewhere, checked against what was exported, and sent.

The server never holds a key for it. Every transaction goes from an offline wallet of the house (a deposit address, a cold wallet) to a wallet of the house; anything else
is neither exported nor sent. The ledger takes no part: whoever reads the chain's blocks books what moved between reserves, and what it cost (`house_transfers.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import structlog

from core.clock import Clock
from core.ids import random_id
from models import deposit_address, hot_wallet, treasury_export
from models.chain import ChainEntry
from models.deposit_address import DepositAddressDocument
from models.treasury_export import MoveEntry, TreasuryExportDocument

log = structlog.get_logger(__name__)
_AT_ONCE = 500
LOOK_SECONDS = 0.5


class TreasuryRefused(Exception):
    """What was asked for cannot be done; says why."""


@dataclass(frozen=True, slots=True)
class Wallets:
    """The house's wallets on a chain; `deposits` by address, those that were given out first, first; `shared` are those that all people deposit to."""

    hot: str | None
    cold: Sequence[str]
    deposits: Mapping[str, DepositAddressDocument]
    shared: Sequence[str] = ()

    def is_offline(self, address: str) -> bool:
        """Whether it is ours, and its key is not on any server."""
        return address in self.cold or address in self.deposits or address in self.shared

    def is_target(self, address: str) -> bool:
        """Whether coins may be gathered there: the hot wallet, or a cold one."""
        return address == self.hot or address in self.cold

    def path(self, address: str) -> str | None:
        """Where its key is found; None: its owners know."""
        row = self.deposits.get(address)
        return None if row is None else row.path


@dataclass(frozen=True, slots=True)
class SweepWish:
    """What is to be gathered at `target`: these assets, from addresses that have `least` of them or more. `gas_from`: the cold wallet that pays for tokens' way."""

    target: str
    assets: frozenset[str]
    least: Decimal
    gas_from: str | None
    most: int


@dataclass(frozen=True, slots=True)
class MoveWish:
    """A payment between two wallets of the house. `nonce_account`: on Solana, what lets the transaction live until it is sent."""

    source: str
    target: str
    asset: str
    amount: Decimal
    nonce_account: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Transactions to be signed, and what an operator should know of what is not among them."""

    moves: Sequence[MoveEntry]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SignedMove:
    """A transaction that is what was exported."""

    hash: str
    raw: bytes


class MoveState(StrEnum):
    """How far a transaction is."""

    NOT_SIGNED = "not signed"
    WAITS = "waits for those before it"
    SENT = "sent"
    INCLUDED = "in a block"
    REFUSED = "refused"
    """The chain does not take it."""
    FAILED = "failed"
    """In a block, where it did nothing but cost its fee."""


@dataclass(frozen=True, slots=True)
class MoveReport:
    """A transaction and how far it is; `reason` why the chain did not take it."""

    move: MoveEntry
    state: MoveState
    reason: str | None = None


class TreasuryChain(Protocol):
    """One chain. Everything may raise ChainError and TreasuryRefused."""

    async def sweep(self, wallets: Wallets, wish: SweepWish) -> Plan:
        """Transactions that gather what is on deposit addresses."""
        ...

    async def move(self, wallets: Wallets, wish: MoveWish) -> Plan:
        """A payment between wallets of the house."""
        ...

    def check(self, move: MoveEntry, signed: str) -> SignedMove:
        """What was signed. Raises TreasuryRefused when it is not what was exported."""
        ...

    async def send(self, raw: bytes) -> None:
        """Hand it to the chain; one that it knows already is fine. Raises TreasuryRefused when the chain does not take it."""
        ...

    async def look(self, hash_: str) -> MoveState:
        """INCLUDED, FAILED, or SENT for one that is in no block, known to the chain or not."""
        ...


class Treasury:
    """One per process. By chain: `cold` are addresses of cold wallets, `shared` those that all people deposit to."""

    def __init__(
        self,
        entries: Mapping[str, ChainEntry],
        chains: Mapping[str, TreasuryChain],
        cold: Mapping[str, Sequence[str]],
        clock: Clock,
        *,
        shared: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._entries = entries
        self._chains = chains
        self._cold = cold
        self._shared = shared or {}
        self._clock = clock

    async def sweep(self, chain: str, wish: SweepWish) -> tuple[TreasuryExportDocument, Sequence[str]]:
        """Export what gathers the coins on deposit addresses; with what should be known beside it. Raises TreasuryRefused, ChainError."""
        exporter, wallets = self._chain(chain), await self.wallets(chain)
        _require_target(wallets, wish.target)
        if wish.gas_from is not None and wish.gas_from not in wallets.cold:
            raise TreasuryRefused(f"{wish.gas_from} is no cold wallet of {chain} (COLD_ADDRESSES)")
        return await self._stored("sweep", chain, await exporter.sweep(wallets, wish))

    async def move(self, chain: str, wish: MoveWish) -> tuple[TreasuryExportDocument, Sequence[str]]:
        """Export a payment from an offline wallet. Raises TreasuryRefused, ChainError."""
        exporter, wallets = self._chain(chain), await self.wallets(chain)
        _require_target(wallets, wish.target)
        if not wallets.is_offline(wish.source) or wish.source == wish.target:
            raise TreasuryRefused(f"{wish.source} is no other wallet of the house on {chain} whose key is offline")
        return await self._stored("move", chain, await exporter.move(wallets, wish))

    async def broadcast(
        self, export_id: str, signed: Mapping[int, str], *, patience_seconds: float
    ) -> list[MoveReport]:
        """Check what was signed, store it, and send it, stage by stage: what spends from an address that others pay to waits until those are in a block. One that the chain
        does not take holds up none that does not need it. To be called again until everything is in a block. Raises TreasuryRefused, ChainError."""
        row = await treasury_export.by_id(export_id)
        if row is None:
            raise TreasuryRefused("there is no such export here")
        chain = self._chain(row.chain)
        row = await self._taken(row, chain, signed)
        reports: dict[int, MoveReport] = {}
        for stage in sorted({move.stage for move in row.moves}):
            moves = [move for move in row.moves if move.stage == stage]
            for move in moves:
                needed = [each for each in reports.values() if each.move.target in move.sources]
                if move.raw is None:
                    reports[move.number] = MoveReport(move, MoveState.NOT_SIGNED)
                elif any(each.state is not MoveState.INCLUDED for each in needed):
                    reports[move.number] = MoveReport(move, MoveState.WAITS)
                else:
                    reports[move.number] = await self._sent(row, chain, move, move.raw)
            await self._watch(chain, reports, patience_seconds)
        return [reports[move.number] for move in row.moves]

    async def _sent(self, row: TreasuryExportDocument, chain: TreasuryChain, move: MoveEntry, raw: bytes) -> MoveReport:
        """Sent, unless it is in a block already."""
        state = await chain.look(move.hash or "")
        if state is not MoveState.SENT:
            return MoveReport(move, state)
        try:
            await chain.send(raw)
        except TreasuryRefused as refused:
            return MoveReport(move, MoveState.REFUSED, str(refused))
        log.info("treasury.sent", export=row.id, chain=row.chain, number=move.number, hash=move.hash)
        return MoveReport(move, MoveState.SENT)

    async def _watch(self, chain: TreasuryChain, reports: dict[int, MoveReport], patience_seconds: float) -> None:
        """Bring the reports up to date, once all that was sent is in a block or patience is over."""
        deadline = self._clock.monotonic() + patience_seconds
        while True:
            for number, report in reports.items():
                if report.state is MoveState.SENT:
                    reports[number] = MoveReport(report.move, await chain.look(report.move.hash or ""))
            waits = any(report.state is MoveState.SENT for report in reports.values())
            if not waits or self._clock.monotonic() >= deadline:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def wallets(self, chain: str) -> Wallets:
        """The house's wallets on a chain as they are now."""
        rows: list[DepositAddressDocument] = []
        low, family = 0, self._entries[chain].family
        while found := await deposit_address.from_index(family, low, low + _AT_ONCE):
            rows += found
            low = found[-1].index + 1
        hot = (await hot_wallet.read(chain)).address
        return Wallets(
            hot, sorted(self._cold.get(chain, ())), {row.address: row for row in rows}, self._shared.get(chain, ())
        )

    async def _stored(self, kind: str, chain: str, plan: Plan) -> tuple[TreasuryExportDocument, Sequence[str]]:
        if not plan.moves:
            raise TreasuryRefused("; ".join(["there is nothing to move", *plan.notes]))
        row = TreasuryExportDocument(
            id=random_id(), kind=kind, chain=chain, moves=tuple(plan.moves), created_ms=self._clock.now_ms()
        )
        await treasury_export.insert(row)
        log.info("treasury.exported", export=row.id, chain=chain, kind=kind, transactions=len(row.moves))
        return row, plan.notes

    async def _taken(
        self, row: TreasuryExportDocument, chain: TreasuryChain, signed: Mapping[int, str]
    ) -> TreasuryExportDocument:
        """The export with what was signed for it. All of it is checked before any of it is stored. What was stored before stays: it may have been sent."""
        unknown = set(signed) - {move.number for move in row.moves}
        if unknown:
            raise TreasuryRefused(f"the export has no transaction {min(unknown)}")
        wallets = await self.wallets(row.chain)
        moves = []
        for move in row.moves:
            text = signed.get(move.number)
            if text is None or move.raw is not None:
                moves.append(move)
                continue
            if not (wallets.is_target(move.target) or move.target in wallets.deposits):
                raise TreasuryRefused(f"transaction {move.number}: {move.target} is no wallet of the house any more")
            try:
                found = chain.check(move, text)
            except TreasuryRefused as refused:
                raise TreasuryRefused(f"transaction {move.number}: {refused}") from None
            moves.append(move.model_copy(update={"hash": found.hash, "raw": found.raw}))
        if tuple(moves) == row.moves:
            return row
        new = await treasury_export.replace(row, {"moves": tuple(moves)})
        if new is None:
            raise TreasuryRefused("somebody else has handed it in at the same moment; try again")
        return new

    def _chain(self, key: str) -> TreasuryChain:
        found = self._chains.get(key)
        if found is None:
            known = ", ".join(self._chains) or "none"
            raise TreasuryRefused(f"there is no chain {key} with a node here; there are: {known}")
        return found


def _require_target(wallets: Wallets, target: str) -> None:
    if not wallets.is_target(target):
        raise TreasuryRefused(f"{target} is neither the hot wallet nor a cold one (COLD_ADDRESSES)")
