"""What follows for deposits, and for the house's own movements, from the blocks that pile up on them: counted, credited, taken back, booked, closed."""

from collections.abc import Collection

import structlog

from core.wallet_vocabulary import DepositStatus
from integrations.chains.errors import ChainError, NodesContradict
from models import deposit, house_transfer
from models.chain import ChainEntry
from models.deposit import DepositDocument, LedgerStage
from services.chain_votes import count_votes
from services.deposit_chain import DepositChain
from services.deposit_forms import Form
from services.deposits import Deposits
from services.exchange_gateway import ExchangeGateway
from services.house_transfers import book

log = structlog.get_logger(__name__)
S = DepositStatus


class DepositFollow:
    """Of one chain."""

    def __init__(
        self,
        chain: ChainEntry,
        reader: DepositChain,
        forms: Collection[Form],
        deposits: Deposits,
        gateway: ExchangeGateway,
    ) -> None:
        self._chain = chain
        self._reader = reader
        self._forms = {form.asset.code: form for form in forms}
        self._deposits = deposits
        self._gateway = gateway
        self._deep = -1

    async def take_back(self) -> None:
        """Have the ledger take back what stands in no block any more. Raises LedgerSilent."""
        for row in await deposit.reversing_of(self._chain.key):
            await self._deposits.reverse(row)

    async def follow(self, head: int) -> str | None:
        """Do what is due at this head; gives why something is not credited that could be. Raises LedgerSilent."""
        problem, self._deep = None, -1
        rows = [each for each in await deposit.open_of(self._chain.key) if _is_followed(each, head)]
        for counted in await self._deposits.count_all(rows, head):
            row = counted
            depth = head - (row.block or head) + 1
            if row.status is not S.BELOW_MINIMUM and depth >= row.required:
                row, why = await self._credit(row)
                problem = problem or why
            is_over = row.status is S.CREDITED and depth >= max(self._chain.final_after, row.required)
            if is_over or row.status is S.BELOW_MINIMUM:
                await self._deposits.close(row)
        return await self._book(head) or problem

    async def _credit(self, row: DepositDocument) -> tuple[DepositDocument, str | None]:
        """The row, credited if every node that can tell has it where it was seen."""
        if row.ledger is LedgerStage.CREDITED:
            return row, None
        form = self._forms.get(row.asset)
        if form is None:
            return row, f"{row.asset} is not taken on {self._chain.key} any more"
        try:
            if row.ledger is LedgerStage.NOTHING:
                await self._require_depth(row)
                await self._reader.attested(row, form)
        except ChainError as problem:
            if isinstance(problem, NodesContradict):
                log.error("deposits.nodes_contradict", chain=self._chain.key, deposit=row.id, reason=str(problem))
            await self._deposits.hold_up(row, str(problem))
            return row, str(problem)
        return await self._deposits.credit(row), None

    async def _require_depth(self, row: DepositDocument) -> None:
        """Returns when enough nodes have themselves as many blocks on it as it needs. Raises ChainError."""
        number = (row.block or 0) + row.required - 1
        if number <= self._deep:
            return
        vote = count_votes(self._chain.key, number, await self._reader.blocks_at(number))
        if len(vote.blocks) < vote.needed:
            raise ChainError(
                f"too few nodes of {self._chain.key} have block {number}, up to which {row.id} is to count"
            )
        self._deep = number

    async def _book(self, head: int) -> str | None:
        """Book what is final of the house's own movements."""
        for row in await house_transfer.open_of(self._chain.key):
            if head - row.block + 1 < self._chain.final_after:
                continue
            try:
                vote = count_votes(self._chain.key, row.block, await self._reader.blocks_at(row.block))
            except ChainError as problem:
                return str(problem)
            if not vote.stands(row.block_hash):
                return f"too few nodes have block {row.block} as it was seen"
            await book(self._gateway, row)
        return None


def _is_followed(row: DepositDocument, head: int) -> bool:
    return row.block is not None and row.block <= head and row.ledger is not LedgerStage.REVERSING
