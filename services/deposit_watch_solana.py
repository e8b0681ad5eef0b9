"""Reading Solana for deposits: everybody pays to one address of the house, and a memo says who it was.

Only what is final is read, so nothing is ever given up. All nodes together list what happened to the house's addresses, and two must tell each transaction alike
(`integrations/chains/solana/deposits.py`). How far was read is written together with what was found; whoever dies in between reads the same again, and finds it under the
same ids. What names nobody is kept for an operator (`unclaimed_deposits.py`), before the place is passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from core.clock import Clock
from core.wallet_vocabulary import DepositStatus
from integrations.chains.errors import ChainError
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.deposits import Scan, accounts_of, scan
from integrations.chains.solana.messages import ChainTransaction, Commitment
from models import deposit, deposit_memo, house_transfer
from models.chain import ChainEntry
from models.deposit import ChainCursorDocument
from models.house_transfer import HouseTransferDocument
from services.deposit_blocks import DepositBlocks
from services.deposit_forms import Form, Sighting
from services.deposit_memos import read_memo
from services.deposit_sightings_solana import sightings_of
from services.deposits import Deposits, Seen
from services.exchange_gateway import ExchangeGateway
from services.house_sorting import sort_out
from services.house_transfers import HotWallet, HouseWallets, book
from services.transfer_log import TransferLog
from services.unclaimed_deposits import is_unclaimed, keep

log = structlog.get_logger(__name__)
READ_MS = 5_000
"""Pause between two looks at the chain: each asks every node for the history of every account."""
READ_AGAIN_SLOTS = 150
"""About a minute that is read once more each time: a node may list a transaction some time after it counts its block as final."""
_OVER = (DepositStatus.CREDITED, DepositStatus.BELOW_MINIMUM)


@dataclass(frozen=True, slots=True)
class WatchedSolana:
    """A chain, the way to its nodes, what is taken on it (by mint; None: SOL), and the house's wallets: `deposits` are those that anybody pays to."""

    chain: ChainEntry
    client: SolanaClient
    forms: Mapping[str | None, Form]
    deposits: Sequence[str]
    hot: HotWallet
    cold: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a final transaction is."""

    number: int

    @property
    def hash(self) -> str:
        """What is final is in no other block ever."""
        return f"slot-{self.number}"


class SolanaDepositWatch:
    """Of one chain."""

    def __init__(
        self,
        watched: WatchedSolana,
        deposits: Deposits,
        transfers: TransferLog,
        gateway: ExchangeGateway,
        clock: Clock,
    ) -> None:
        self._watched = watched
        self._chain = watched.chain
        self._client = watched.client
        self._deposits = deposits
        self._gateway = gateway
        self._clock = clock
        self._blocks = DepositBlocks(watched.chain, transfers, clock)
        self._known: dict[str, int] = {}
        self._later: frozenset[str] = frozenset()
        self._due_ms = 0

    @property
    def pause_seconds(self) -> float:
        """How long to wait when a step found nothing to do: what an operator has assigned meanwhile is credited then."""
        return 1.0

    async def step(self) -> bool:
        """Finish what is under way, and look at the chain if it is time to. False: there is nothing to do now.

        What goes wrong with the chain is noted beside its cursor, until a look finds nothing wrong. Raises ChainError, LedgerSilent, PyMongoError.
        """
        cursor = await deposit.cursor(self._chain.key)
        if cursor is None:
            await self._begin()
            return True
        await self._follow()
        if self._clock.now_ms() < self._due_ms:
            return False
        try:
            found = await self._look(cursor)
        except ChainError as error:
            await self._blocks.note(str(error), cursor.problem)
            raise
        await self._take_in(cursor, found)
        await self._blocks.note(self._problem(found), cursor.problem)
        await self._follow()
        if not found.more:
            self._due_ms = self._clock.now_ms() + READ_MS
        return found.more

    async def _begin(self) -> None:
        """Reading begins at the newest slot that is final for all nodes: nobody was given a memo before."""
        tip = await self._client.common_tip(Commitment.FINALIZED)
        place = Slot(tip.slot)
        await deposit.start(
            ChainCursorDocument(id=self._chain.key, number=place.number, hash=place.hash, recent=[place.hash])
        )

    async def _look(self, cursor: ChainCursorDocument) -> Scan:
        mints = [mint for mint in self._watched.forms if mint is not None]
        accounts = [account for address in self._watched.deposits for account in accounts_of(address, mints)]
        wallets = (await self._wallets()).everyone
        return await scan(
            self._client,
            list(dict.fromkeys((*accounts, *wallets))),
            since_slot=cursor.number,
            again=READ_AGAIN_SLOTS,
            known=self._known,
            later=self._later,
        )

    async def _take_in(self, cursor: ChainCursorDocument, found: Scan) -> None:
        wallets = await self._wallets()
        seen: list[Seen] = []
        moved: list[HouseTransferDocument] = []
        for each in found.transactions:
            known = await sort_out(wallets, Slot(each.slot), sightings_of(each, self._watched.forms, wallets))
            seen += await self._claimed(each, known.deposits)
            moved += known.transfers
        place = Slot(max(cursor.number, found.covered_slot))
        new = deposit.forward(cursor, place.number, place.hash, most=1)
        await self._blocks.take_in(new, seen, moved)
        oldest = place.number - READ_AGAIN_SLOTS
        self._known |= {each.signature: each.slot for each in found.transactions}
        self._later = frozenset((*found.waiting, *found.contradicted))
        self._known = {signature: slot for signature, slot in self._known.items() if slot >= oldest}

    async def _claimed(self, transaction: ChainTransaction, sightings: Sequence[Sighting]) -> list[Seen]:
        """Those that name somebody; the others are kept for an operator at once."""
        if not sightings:
            return []
        memo = read_memo(transaction.memos)
        owner = None if memo is None else await deposit_memo.owner(self._chain.key, memo)
        place = Slot(transaction.slot)
        claimed = []
        for each in sightings:
            if owner is not None and not await is_unclaimed(self._chain.key, each):
                claimed.append(Seen(each, owner, place.number, place.hash))
            else:
                await keep(
                    Seen(each, "", place.number, place.hash), self._chain.key, transaction.memos, self._clock.now_ms()
                )
        return claimed

    async def _wallets(self) -> HouseWallets:
        """The house's addresses at the moment. Whose a deposit is, its memo tells, not its address."""
        takes = dict.fromkeys(self._watched.deposits, "")
        return HouseWallets(self._chain.key, self._chain.native, await self._watched.hot(), self._watched.cold, takes)

    async def _follow(self) -> None:
        """Credit what is on record, and book the house's own movements: all of it is final. Raises LedgerSilent."""
        for row in await deposit.open_of(self._chain.key):
            if row.block is None:
                continue
            counted = await self._deposits.count(row, row.block + row.required - 1)
            if counted.status is not DepositStatus.BELOW_MINIMUM:
                counted = await self._deposits.credit(counted)
            if counted.status in _OVER:
                await self._deposits.close(counted)
        for moved in await house_transfer.open_of(self._chain.key):
            await book(self._gateway, moved)

    def _problem(self, found: Scan) -> str | None:
        """What keeps the place from being passed."""
        if found.contradicted:
            return f"nodes of {self._chain.key} tell transaction {found.contradicted[0]} differently"
        if found.waiting:
            return f"too few nodes of {self._chain.key} tell of transaction {found.waiting[0]}"
        return None

    async def note(self, problem: str) -> None:
        """Note what is wrong that no look could say itself, until one finds nothing wrong."""
        await deposit.note_problem(self._chain.key, problem)
