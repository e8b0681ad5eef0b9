"""Deposits as they go through the ledger: seen, counted, credited exactly once for as long as they stand, and taken back when their block is given up.

Every change of a row stands in its owner's log in the same transaction. What the ledger will be asked is noted before it is asked (`LedgerStage`), and asked under a key that
names the deposit and the round: credit and reversal of one round are each done once, whoever dies in between, and a block that comes back after it was given up begins
another round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.clock import Clock
from core.money import CONTEXT
from core.wallet_vocabulary import DepositStatus
from events.commands import CreditDeposit, ReverseDeposit
from events.transfer import DepositState
from exchange.accounts import cold_reserve
from models import debtor, deposit
from models.chain import ChainEntry
from models.deposit import DepositDocument, LedgerStage
from services.deposit_forms import Sighting, ledger_units
from services.exchange_gateway import ExchangeGateway
from services.ledger_commands import have_done
from services.trading_accounts import ReadMarks
from services.transfer_keys import credit_key, reversal_key
from services.transfer_log import TransferLog

S = DepositStatus
_AT_ONCE = 200
"""Rows that are counted in one transaction."""
_TOLD_TIMES = 32
"""So often, about, the owner is told that confirmations pile up: on chains that need many, not of every one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A sighting with whose it is, and the block it is in."""

    sighting: Sighting
    user_id: str
    block: int
    block_hash: str


def deposit_id(chain: str, sighting: Sighting) -> str:
    """The same deposit has the same id, in whatever block it is."""
    return f"{chain}:{sighting.hash}:{sighting.place}"


def to_state(row: DepositDocument) -> DepositState:
    """The deposit as its owner sees it."""
    return DepositState(
        id=row.id,
        account=row.user_id,
        version=row.version,
        asset=row.asset,
        chain=row.chain,
        address=row.address,
        amount=row.amount,
        hash=row.hash,
        confirmations=row.confirmations,
        required=row.required,
        status=row.status,
        time_ms=row.seen_ms,
        credited_ms=row.credited_ms,
        sequence=row.sequence,
    )


def new_row(chain: ChainEntry, seen: Seen, number: int, now_ms: int) -> DepositDocument:
    """The row of a deposit that was seen for the first time. What the ledger cannot count is left to the house; what is too small is written once and not followed."""
    sighting = seen.sighting
    form = sighting.form
    return DepositDocument(
        id=deposit_id(chain.key, sighting),
        user_id=seen.user_id,
        number=number,
        asset=form.asset.code,
        chain=chain.key,
        address=sighting.address,
        amount=_amount(sighting),
        units=str(ledger_units(sighting)),
        hash=sighting.hash,
        sender=sighting.sender,
        place=sighting.place,
        block=seen.block,
        block_hash=seen.block_hash,
        confirmations=1,
        required=max(form.network.confirmations_required, sighting.least),
        status=_first_status(sighting),
        seen_ms=now_ms,
        open=_first_status(sighting) is S.SEEN,
    )


def in_another_block(row: DepositDocument, seen: Seen) -> DepositDocument:
    """The row of a deposit that was given up and is back. What the ledger still has to take back is taken back first."""
    changes: dict[str, Any] = {"block": seen.block, "block_hash": seen.block_hash, "confirmations": 1, "open": True}
    if row.ledger is LedgerStage.NOTHING:
        changes["status"] = _first_status(seen.sighting)
        changes["open"] = changes["status"] is S.SEEN
    return deposit.changed(row, changes)


def given_up(row: DepositDocument) -> DepositDocument:
    """The row of a deposit whose block was given up: what was credited for it, or may have been, is to be taken back."""
    nowhere: dict[str, Any] = {"block": None, "block_hash": None, "confirmations": 0}
    if row.ledger is LedgerStage.NOTHING:
        return deposit.changed(row, {**nowhere, "status": S.ORPHANED, "open": False})
    return deposit.changed(row, {**nowhere, "ledger": LedgerStage.REVERSING, "open": True})


def _amount(sighting: Sighting) -> Decimal:
    return CONTEXT.scaleb(Decimal(sighting.units), -sighting.form.network.decimals)


def _first_status(sighting: Sighting) -> DepositStatus:
    least = sighting.form.network.min_deposit or Decimal(0)
    return S.SEEN if _amount(sighting) >= least and ledger_units(sighting) else S.BELOW_MINIMUM


class Deposits:
    """Changes rows, and what the ledger knows of them."""

    def __init__(self, gateway: ExchangeGateway, marks: ReadMarks, log: TransferLog, clock: Clock) -> None:
        self._gateway = gateway
        self._marks = marks
        self._log = log
        self._clock = clock

    async def count(self, row: DepositDocument, head: int) -> DepositDocument:
        """Let its confirmations be those below this head; of so many that nobody would read them all, some are left out."""
        new = _counted(row, head)
        return row if new is row else await self._replace(row, new)

    async def count_all(self, rows: Sequence[DepositDocument], head: int) -> list[DepositDocument]:
        """The same of many rows, some at a time in one transaction."""
        done: list[DepositDocument] = []
        for start in range(0, len(rows), _AT_ONCE):
            old = rows[start : start + _AT_ONCE]
            new = [_counted(row, head) for row in old]
            changed = [after for before, after in zip(old, new, strict=True) if after is not before]
            if await self._replace_all(changed):
                done += new
            else:  # somebody else changed one of them
                done += [await self.count(row, head) for row in old]
        return done

    async def credit(self, row: DepositDocument) -> DepositDocument:
        """Put it into the balance, once in this round. Raises LedgerSilent."""
        if row.ledger is LedgerStage.NOTHING:
            noted = deposit.changed(row, {"ledger": LedgerStage.CREDITING})
            if not await deposit.replace(noted):
                return row
            row = noted
        if row.ledger is LedgerStage.CREDITING:
            answer = await have_done(self._gateway, _credit(row))
            self._marks.raise_to(row.user_id, answer.sequence)
            now_ms = self._clock.now_ms()
            row = await self._change(
                row,
                status=S.CREDITED,
                ledger=LedgerStage.CREDITED,
                credited_ms=now_ms,
                reason=None,
                sequence=answer.sequence,
            )
        return row

    async def reverse(self, row: DepositDocument) -> DepositDocument:
        """Take back what was credited in this round, or may have been: it is credited for certain first. The next round begins. Raises LedgerSilent."""
        if row.ledger is not LedgerStage.REVERSING:
            return row
        await have_done(self._gateway, _credit(row))
        answer = await have_done(self._gateway, _reversal(row))
        await debtor.note(row.user_id, row.asset, answer.sequence)
        self._marks.raise_to(row.user_id, answer.sequence)
        back = row.block is not None
        return await self._change(
            row,
            status=S.SEEN if back else S.REVERSED,
            ledger=LedgerStage.NOTHING,
            round=row.round + 1,
            credited_ms=None,
            open=back,
            sequence=answer.sequence,
        )

    async def close(self, row: DepositDocument) -> None:
        """Nothing but a very deep reorganisation can change it any more."""
        await deposit.replace(deposit.changed(row, {"open": False}))

    async def hold_up(self, row: DepositDocument, reason: str) -> None:
        """Note why it is not credited yet."""
        if row.reason != reason:
            await deposit.replace(deposit.changed(row, {"reason": reason}))

    async def _change(self, row: DepositDocument, **changes: Any) -> DepositDocument:
        return await self._replace(row, deposit.changed(row, changes))

    async def _replace(self, row: DepositDocument, new: DepositDocument) -> DepositDocument:
        done = await self._log.commit(
            lambda session: deposit.replace(new, session), to_state(new), self._clock.now_ms()
        )
        return new if done else row

    async def _replace_all(self, rows: Sequence[DepositDocument]) -> bool:
        """All of them, or none."""
        states = [to_state(row) for row in rows]
        return not rows or await self._log.commit_all(
            lambda session: deposit.replace_all(rows, session), states, self._clock.now_ms()
        )


def _counted(row: DepositDocument, head: int) -> DepositDocument:
    """The row with its confirmations below this head; the same row where there is nothing to tell."""
    confirmations = head - (row.block or head) + 1
    if row.confirmations >= row.required or confirmations <= row.confirmations:
        return row
    step = max(1, row.required // _TOLD_TIMES)
    if confirmations < row.required and confirmations - row.confirmations < step:
        return row
    status = S.CONFIRMING if row.status is S.SEEN else row.status
    return deposit.changed(row, {"confirmations": confirmations, "status": status})


def _credit(row: DepositDocument) -> CreditDeposit:
    return CreditDeposit(
        row.user_id, row.asset, int(row.units), cold_reserve(row.chain), credit_key(row.id, row.round), _digest(row)
    )


def _reversal(row: DepositDocument) -> ReverseDeposit:
    return ReverseDeposit(
        row.user_id, row.asset, int(row.units), cold_reserve(row.chain), reversal_key(row.id, row.round), _digest(row)
    )


def _digest(row: DepositDocument) -> str:
    return f"{row.user_id}:{row.asset}:{row.units}"
