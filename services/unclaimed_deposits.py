"""Deposits that name nobody: kept as they were read, listed for operators, and somebody's once an operator says so.

The reader keeps one before it passes its place, under the id that its deposit would have; from then on it is credited by an operator's word alone.
"""

from collections.abc import Sequence
from decimal import Decimal

import structlog
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from core.account_vocabulary import AuditAction, UserStatus
from core.clock import Clock
from core.money import CONTEXT
from core.paging import Page, PageRequest
from core.refusals import WalletRefused
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import DepositStatus, WalletErrorCode
from models import deposit, unclaimed_deposit, user
from models.deposit import DepositDocument
from models.unclaimed_deposit import UnclaimedDepositDocument
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.deposit_forms import Form, Sighting, ledger_units
from services.deposits import Seen, deposit_id, new_row, to_state
from services.time_ranks import RANKS, Ranked, rank_places, ranked
from services.transfer_log import TransferLog
from services.viewer import Client, Viewer
from services.window_paging import History, read_page

log = structlog.get_logger(__name__)
MOST_MEMOS = 4
LONGEST_MEMO = 200
_SHOWN_DAYS = 3_650
_DAY_MS = 86_400_000


async def is_unclaimed(chain: str, sighting: Sighting) -> bool:
    """Whether it is kept as nobody's, or was."""
    return await unclaimed_deposit.by_id(deposit_id(chain, sighting)) is not None


async def keep(seen: Seen, chain: str, memos: Sequence[str], now_ms: int) -> None:
    """Keep what names nobody; again, it changes nothing."""
    each = seen.sighting
    amount = CONTEXT.scaleb(Decimal(each.units), -each.form.network.decimals)
    row = UnclaimedDepositDocument(
        id=deposit_id(chain, each),
        chain=chain,
        asset=each.form.asset.code,
        address=each.address,
        amount=amount,
        hash=each.hash,
        place=each.place,
        sender=each.sender,
        memos=tuple(text[:LONGEST_MEMO] for text in memos[:MOST_MEMOS]),
        block=seen.block,
        block_hash=seen.block_hash,
        dust=amount < (each.form.network.min_deposit or 0) or not ledger_units(each),
        seen_ms=now_ms,
    )
    if await unclaimed_deposit.insert(row) and not row.dust:
        log.warning("deposits.unclaimed", deposit=row.id, asset=row.asset, amount=str(amount), memos=row.memos)


class UnclaimedDeposits:
    """One per process."""

    def __init__(self, *, catalogue: Catalogue, transfers: TransferLog, audit: AuditLog, clock: Clock) -> None:
        self._catalogue = catalogue
        self._transfers = transfers
        self._audit = audit
        self._clock = clock

    async def page(self, request: PageRequest, *, dust: bool) -> Page[Ranked[UnclaimedDepositDocument]]:
        """What is nobody's yet, the newest first; `dust`: what is below its network's minimum instead. Raises InvalidInput."""

        async def fetch(low: int, high: int) -> Sequence[Ranked[UnclaimedDepositDocument]]:
            from_ms, to_ms = rank_places(low, high)
            found = await unclaimed_deposit.seen_between(from_ms, to_ms, dust=dust)
            return [row for row in ranked(found, lambda row: row.seen_ms) if low <= row.place < high]

        now_ms = self._clock.now_ms()
        history = History(
            low=(now_ms - _SHOWN_DAYS * _DAY_MS) * RANKS,
            high=(now_ms + 1) * RANKS,
            step=_DAY_MS * RANKS,
            fetch=fetch,
            place=lambda row: row.place,
        )
        return await read_page(history, TimeOrder.NEWEST_FIRST, request)

    async def amount(self, chain: str, asset: str) -> Decimal:
        """How much of an asset is nobody's yet on a chain."""
        return await unclaimed_deposit.amount_open(chain, asset)

    async def open(self, id_: str) -> UnclaimedDepositDocument | None:
        """The one of this id, while it is nobody's."""
        row = await unclaimed_deposit.by_id(id_)
        return row if row is not None and row.open else None

    async def assign(self, operator: Viewer, id_: str, user_id: str, reason: str, client: Client) -> DepositDocument:
        """Let it be this account's deposit, which is credited next; asked again for the same account, it is given again. Raises WalletRefused."""
        row = await unclaimed_deposit.by_id(id_)
        if row is None or not (row.open or row.user_id == user_id):
            text = "there is no such deposit, or it is somebody's already"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_DEPOSIT, field=["id"])
        if user_id == operator.user_id:
            text = "nobody assigns a deposit to an account of their own"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["account"])
        person = await user.by_id(user_id)
        if person is None or person.status is UserStatus.DELETED:
            text = "there is no such account"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["account"])
        given = None if row.open else await deposit.by_id(row.id)
        if given is not None:
            return given
        made = await self._assigned(row, operator, user_id, reason)
        if made is None:
            return await self.assign(operator, id_, user_id, reason, client)
        detail = {"deposit": made.id, "account": user_id, "amount": str(made.amount), "asset": made.asset}
        await self._audit.record(
            operator.user_id, AuditAction.OPERATED, client=client, detail={**detail, "reason": reason}
        )
        return made

    async def _assigned(
        self, row: UnclaimedDepositDocument, operator: Viewer, user_id: str, reason: str
    ) -> DepositDocument | None:
        """The deposit; None when somebody else was faster, or took the account's next number."""
        chain = self._catalogue.chains[row.chain]
        seen = Seen(self._sighting(row), user_id, row.block, row.block_hash)
        number = await deposit.last_number(user_id) + 1
        made = new_row(chain, seen, number, self._clock.now_ms())
        if int(made.units):
            made = made.model_copy(update={"status": DepositStatus.SEEN, "open": True})
        claimed = unclaimed_deposit.changed(
            row, {"open": False, "user_id": user_id, "operator": operator.user_id, "reason": reason}
        )

        async def change(session: AsyncClientSession) -> bool:
            if not await unclaimed_deposit.replace(claimed, session):
                return False
            await deposit.insert(made, session)
            return True

        try:
            done = await self._transfers.commit(change, to_state(made), self._clock.now_ms())
        except DuplicateKeyError:
            return None
        return made if done else None

    def _sighting(self, row: UnclaimedDepositDocument) -> Sighting:
        asset = self._catalogue.asset(row.asset)
        network = next(each for each in asset.networks if each.chain == row.chain)
        units = int(CONTEXT.scaleb(row.amount, network.decimals))
        return Sighting(Form(asset, network), row.sender, row.address, units, row.hash, row.place)
