"""Deposits as they go through the ledger: seen, counted, credited exactly once for every block they are in, and taken back when that block is given up.

Every change of a row stands in its owner's log in the same transaction. The ledger is asked under a key that names the deposit and its block, and that this will be asked
is noted before: a process that dies in between leaves a question that may be asked again.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.clock import Clock
from core.errors import InvariantBroken
from core.money import CONTEXT
from core.order_vocabulary import OrderErrorCode
from core.wallet_vocabulary import DepositStatus
from events.commands import HOUSE_KEY, Command, CreditDeposit, ReverseDeposit
from events.transfer import DepositState
from exchange.accounts import cold_reserve
from integrations.chains.errors import ChainError
from models import deposit
from models.chain import ChainEntry
from models.deposit import DepositDocument
from services.deposit_sightings import Sighting
from services.exchange_gateway import ExchangeGateway
from services.transfer_log import TransferLog

S = DepositStatus
_SILENT = frozenset(
    {OrderErrorCode.OUTCOME_UNKNOWN, OrderErrorCode.EXCHANGE_UNAVAILABLE, OrderErrorCode.COMMAND_EXPIRED}
)


class LedgerSilent(ChainError):
    """The exchange did not answer; whether it did what was asked is found out by asking again."""


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
    )


def new_row(chain: ChainEntry, seen: Seen, number: int, now_ms: int) -> DepositDocument:
    """The row of a deposit that was seen for the first time. What the ledger cannot count is left to the house."""
    sighting = seen.sighting
    form = sighting.form
    amount = CONTEXT.scaleb(Decimal(sighting.units), -form.network.decimals)
    units = sighting.units * 10**form.asset.decimals // 10**form.network.decimals
    least = form.network.min_deposit or Decimal(0)
    return DepositDocument(
        id=deposit_id(chain.key, sighting),
        user_id=seen.user_id,
        number=number,
        asset=form.asset.code,
        chain=chain.key,
        address=sighting.address,
        amount=amount,
        units=str(units),
        hash=sighting.hash,
        place=sighting.place,
        block=seen.block,
        block_hash=seen.block_hash,
        confirmations=1,
        required=form.network.confirmations_required,
        status=S.SEEN if amount >= least and units else S.BELOW_MINIMUM,
        seen_ms=now_ms,
    )


class Deposits:
    """Changes rows, and what the ledger knows of them."""

    def __init__(self, gateway: ExchangeGateway, log: TransferLog, clock: Clock) -> None:
        self._gateway = gateway
        self._log = log
        self._clock = clock

    async def count(self, row: DepositDocument, head: int) -> DepositDocument:
        """Let its confirmations be those below this head."""
        confirmations = head - (row.block or head) + 1
        if confirmations == row.confirmations:
            return row
        counts = row.status in {S.SEEN, S.CONFIRMING}
        status = S.CONFIRMING if counts and confirmations > 1 else row.status
        if row.confirmations >= row.required and status is row.status:
            return row
        return await self._change(row, confirmations=confirmations, status=status)

    async def credit(self, row: DepositDocument) -> DepositDocument:
        """Put it into the balance, once for this block. Raises LedgerSilent."""
        if row.crediting != row.block_hash:
            noted = deposit.changed(row, {"crediting": row.block_hash})
            if not await deposit.replace(noted):
                return row
            row = noted
        await self._ask(self._credit(row))
        return await self._change(row, status=S.CREDITED, credited_ms=self._clock.now_ms(), reason=None)

    async def lose(self, row: DepositDocument) -> DepositDocument:
        """Its block was given up: what was credited for it, or may have been, is taken back. Raises LedgerSilent."""
        nowhere: dict[str, Any] = {"block": None, "block_hash": None, "confirmations": 0, "open": True}
        if row.crediting is None:
            status = row.status if row.status is S.BELOW_MINIMUM else S.ORPHANED
            return await self._change(row, status=status, **nowhere)
        await self._ask(self._credit(row))
        await self._ask(
            ReverseDeposit(
                row.user_id, row.asset, int(row.units), cold_reserve(row.chain), _key("reverse", row), _digest(row)
            )
        )
        return await self._change(row, status=S.REVERSED, crediting=None, credited_ms=None, **nowhere)

    async def close(self, row: DepositDocument) -> None:
        """Nothing can change it any more."""
        await deposit.replace(deposit.changed(row, {"open": False}))

    async def hold_up(self, row: DepositDocument, reason: str) -> None:
        """Note why it is not credited yet."""
        if row.reason != reason:
            await deposit.replace(deposit.changed(row, {"reason": reason}))

    def _credit(self, row: DepositDocument) -> CreditDeposit:
        return CreditDeposit(
            row.user_id, row.asset, int(row.units), cold_reserve(row.chain), _key("deposit", row), _digest(row)
        )

    async def _ask(self, command: Command) -> None:
        answer = await self._gateway.ask(command)
        if answer.refusal is None:
            return
        if answer.refusal.code in _SILENT:
            raise LedgerSilent("the exchange does not answer")
        raise InvariantBroken(f"the ledger refuses a deposit: {answer.refusal.code} {command}")

    async def _change(self, row: DepositDocument, **changes: Any) -> DepositDocument:
        new = deposit.changed(row, changes)
        done = await self._log.commit(
            lambda session: deposit.replace(new, session), to_state(new), self._clock.now_ms()
        )
        return new if done else row


def _key(kind: str, row: DepositDocument) -> str:
    return f"{HOUSE_KEY}{kind}:{row.id}:{row.crediting}"


def _digest(row: DepositDocument) -> str:
    return f"{row.user_id}:{row.asset}:{row.units}"
