"""What a worker does for withdrawals: one step at a time, each of which may be repeated after a crash.

hold → sign → record → send → confirm → settle. Between any two steps the process may die: what was decided is in the row before it is acted upon. Signed bytes
are stored before they are sent; all that is ever signed for a withdrawal spends the same, so the chain takes one of them at most. The
exchange settles or releases under one key: exactly one of them is ever done.
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from core.account_vocabulary import UserStatus
from core.clock import Clock
from core.mail_vocabulary import MailKind
from core.money import CONTEXT, canonical
from core.refusals import WalletRefused
from core.wallet_vocabulary import WithdrawalStatus
from events.commands import HOUSE_KEY, MoveHouseFunds, ReleaseWithdrawal, SettleWithdrawal
from integrations.chains.errors import ChainError, NodesContradict
from integrations.signers.base import SignerError
from models import hot_wallet, user, withdrawal
from models.mail import MailDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.ledger_commands import LedgerSilent, have_done
from services.mail import Mailbox
from services.payouts import Fate, FateKind, Payouts, SendRefused, Wait
from services.trading_accounts import TradingAccounts
from services.transfer_keys import end_key
from services.withdrawal_addresses import WithdrawalAddresses
from services.withdrawal_rules import Route, known_route
from services.withdrawal_states import WithdrawalChanges
from services.withdrawals import Withdrawals

log = structlog.get_logger(__name__)
S = WithdrawalStatus
HELD_AGAIN_MS = 30_000
"""How often a withdrawal that waits is looked at."""
LOOK_MS = 5_000
"""How often the chain is asked about one that was sent."""
FINAL_LOOK_MS = 60_000
MOST_ATTEMPTS = 12


class WithdrawalSteps:
    """One per worker. `payouts` by chain."""

    def __init__(
        self,
        *,
        withdrawals: Withdrawals,
        changes: WithdrawalChanges,
        payouts: Mapping[str, Payouts],
        gateway: ExchangeGateway,
        accounts: TradingAccounts,
        book: WithdrawalAddresses,
        catalogue: Catalogue,
        mailbox: Mailbox,
        clock: Clock,
    ) -> None:
        self._withdrawals = withdrawals
        self._changes = changes
        self._payouts = payouts
        self._gateway = gateway
        self._accounts = accounts
        self._book = book
        self._catalogue = catalogue
        self._mailbox = mailbox
        self._clock = clock
        self._steps: Mapping[WithdrawalStatus, Callable[[WithdrawalDocument], Awaitable[None]]] = {
            S.AWAITING_CONFIRMATION: self._give_up_waiting,
            S.APPROVED: self._promise,
            S.HELD: self._held,
            S.SIGNING: self._signing,
            S.BROADCAST: self._sent,
            S.CONFIRMED: self._confirmed,
            S.CANCELED: self._release,
            S.REJECTED: self._release,
            S.FAILED: self._release,
        }

    async def due(self) -> list[tuple[str, str]]:
        """Ids and chains of what is to be looked at now, what waited longest first."""
        return [(row.id, row.chain) for row in await withdrawal.due(self._clock.now_ms())]

    async def step(self, withdrawal_id: str) -> None:
        """Do the next thing for a withdrawal, as it stands now. What cannot be done now is put off. Raises PyMongoError."""
        row = await withdrawal.by_id(withdrawal_id)
        now_ms = self._clock.now_ms()
        if row is None or row.due_ms is None or row.due_ms > now_ms:
            return
        try:
            if not row.asked:
                await self._finish(row)
            else:
                await self._steps[row.status](row)
        except (ChainError, SignerError, LedgerSilent) as problem:
            say = log.error if isinstance(problem, NodesContradict) else log.warning
            say("withdrawal.put_off", withdrawal=row.id, status=row.status, reason=str(problem))
            await self._put_off(row.id, str(problem))

    async def _put_off(self, withdrawal_id: str, reason: str) -> None:
        """Try again later; the owner of one that was approved, and is not over, is told why it waits."""
        row = await withdrawal.by_id(withdrawal_id)
        if row is None:
            return
        now_ms = self._clock.now_ms()
        if row.status is S.APPROVED or (row.status is S.HELD and row.reason != reason):
            await self._changes.move(row, S.HELD, now_ms, detail=reason, due_ms=now_ms + HELD_AGAIN_MS)
        elif row.status in {S.SIGNING, S.BROADCAST} and row.reason != reason:
            await self._changes.note(row, now_ms, reason=reason, due_ms=now_ms + HELD_AGAIN_MS)
        else:
            await self._changes.keep(row, due_ms=now_ms + HELD_AGAIN_MS)

    async def _finish(self, row: WithdrawalDocument) -> None:
        """Ask again for a hold whose outcome nobody knows; a refusal takes the row back."""
        try:
            await self._withdrawals.finish(row, None)
        except WalletRefused as refused:
            log.info("withdrawal.not_held", withdrawal=row.id, reason=refused.reason)

    async def _give_up_waiting(self, row: WithdrawalDocument) -> None:
        now_ms = self._clock.now_ms()
        await self._changes.move(row, S.CANCELED, now_ms, detail="not confirmed by mail in time", due_ms=now_ms)

    async def _held(self, row: WithdrawalDocument) -> None:
        await (self._promise(row) if row.spends is None else self._sent(row))

    async def _promise(self, row: WithdrawalDocument) -> None:
        """Decide what an approved withdrawal spends, unless something speaks against it now."""
        now_ms = self._clock.now_ms()
        reason = await self._hold_reason(row, now_ms)
        if reason is None:
            wallet = await hot_wallet.read(row.chain)
            promised = await self._of(row).promise(row, self._way(row), wallet)
            if not isinstance(promised, Wait):
                await self._changes.move(
                    row,
                    S.SIGNING,
                    now_ms,
                    due_ms=now_ms,
                    also=lambda session: hot_wallet.promise(wallet, promised.next_nonce, session),
                    spends=promised.spends,
                    terms=promised.terms,
                )
                return
            reason = promised.reason
        if row.status is S.HELD and row.reason == reason:
            await self._changes.keep(row, due_ms=now_ms + HELD_AGAIN_MS)
        else:
            await self._changes.move(row, S.HELD, now_ms, detail=reason, due_ms=now_ms + HELD_AGAIN_MS)

    async def _hold_reason(self, row: WithdrawalDocument, now_ms: int) -> str | None:
        """What speaks against signing at this moment; the circumstances may have changed since it was asked for."""
        person = await user.by_id(row.user_id)
        if person is None or person.status is not UserStatus.ACTIVE:
            return "the account is frozen"
        if (person.withdrawals_held_until_ms or 0) > now_ms:
            return "held for a while after a change of password, address, factors, linked identities or wallets"
        entry = await self._book.own(row.user_id, row.address_id)
        if entry is None or (entry.chain, entry.address) != (row.chain, row.address):
            return "its address was taken out of the address book"
        account = await self._accounts.read(row.user_id)
        if any(funds.debt for funds in account.balances.values()):
            return "something is owed here after a deposit was reversed"
        try:
            await self._withdrawals.require_control(row)
        except WalletRefused as refused:
            return refused.message
        return None

    async def _signing(self, row: WithdrawalDocument) -> None:
        """Sign what was promised, store it, and send it."""
        now_ms = self._clock.now_ms()
        if not row.attempts:
            signed = await self._sign(row, now_ms)
            if signed is None:
                return
            row = signed
        if not await self._send(row, row.attempts[-1]):
            return
        letter = self._letter(row, row.attempts[-1])
        sent = await self._changes.move(
            row,
            S.BROADCAST,
            now_ms,
            due_ms=now_ms + LOOK_MS,
            also=lambda session: self._mailbox.accept(letter, session),
            hash=row.attempts[-1].hash,
            sent_ms=now_ms,
        )
        if sent is not None:
            self._mailbox.announce(letter)

    async def _sign(self, row: WithdrawalDocument, now_ms: int, **changes: object) -> WithdrawalDocument | None:
        """One more signed transaction, stored; None when somebody else was faster."""
        attempt = await self._of(row).sign(row, now_ms)
        return await self._changes.keep(row, attempts=(*row.attempts, attempt), **changes)

    async def _send(self, row: WithdrawalDocument, attempt: AttemptEntry) -> bool:
        """Whether the chain has it now. What is underpriced is signed anew; anything else is sent again later as it is."""
        try:
            await self._of(row).send(attempt)
        except SendRefused as refused:
            now_ms = self._clock.now_ms()
            log.warning("withdrawal.refused_by_chain", withdrawal=row.id, reason=refused.reason)
            if refused.underpriced and len(row.attempts) < MOST_ATTEMPTS:
                await self._sign(row, now_ms, due_ms=now_ms)
            elif row.reason != refused.reason:
                await self._changes.note(row, now_ms, reason=refused.reason, due_ms=now_ms + HELD_AGAIN_MS)
            else:
                await self._changes.keep(row, due_ms=now_ms + HELD_AGAIN_MS)
            return False
        return True

    async def _sent(self, row: WithdrawalDocument) -> None:
        """See what the chain made of it."""
        fate, now_ms = await self._of(row).fate(row), self._clock.now_ms()
        required = self._way(row).network.confirmations_required
        if fate.kind in {FateKind.INCLUDED, FateKind.FAILED}:
            await self._included(row, fate, required, now_ms)
        elif fate.kind is FateKind.TAKEN:
            await self._taken(row, now_ms)
        elif fate.kind is FateKind.EXPIRED or (fate.kind is FateKind.PENDING and self._is_worth_more(row, now_ms)):
            signed = await self._sign(row, now_ms, due_ms=now_ms + LOOK_MS, sent_ms=now_ms)
            if signed is not None and await self._send(signed, signed.attempts[-1]):
                await self._changes.note(signed, now_ms, hash=signed.attempts[-1].hash, confirmations=0)
        elif fate.kind is FateKind.UNKNOWN:
            if await self._send(row, row.attempts[-1]):
                await self._changes.keep(row, due_ms=now_ms + LOOK_MS)
        else:
            await self._changes.keep(row, due_ms=now_ms + LOOK_MS)

    async def _included(self, row: WithdrawalDocument, fate: Fate, required: int, now_ms: int) -> None:
        if fate.confirmations < required:
            if (row.hash, row.confirmations) == (fate.hash, fate.confirmations):
                await self._changes.keep(row, due_ms=now_ms + LOOK_MS)
            else:
                await self._changes.note(
                    row, now_ms, hash=fate.hash, confirmations=fate.confirmations, reason=None, due_ms=now_ms + LOOK_MS
                )
            return
        failed = fate.kind is FateKind.FAILED
        await self._changes.move(
            row,
            S.FAILED if failed else S.CONFIRMED,
            now_ms,
            detail="the chain refused it; the funds are available again" if failed else None,
            due_ms=now_ms,
            hash=fate.hash,
            confirmations=fate.confirmations,
        )

    async def _taken(self, row: WithdrawalDocument, now_ms: int) -> None:
        """Something else spent what was promised: nothing is sent or given back until an operator has looked."""
        reason = "what was to pay for it has been spent otherwise; an operator has to look at it"
        if row.status is S.HELD and row.reason == reason:
            await self._changes.keep(row, due_ms=now_ms + FINAL_LOOK_MS)
            return
        log.error("withdrawal.spent_elsewhere", withdrawal=row.id, chain=row.chain, spends=row.spends)
        await self._changes.move(row, S.HELD, now_ms, detail=reason, due_ms=now_ms + FINAL_LOOK_MS)

    def _is_worth_more(self, row: WithdrawalDocument, now_ms: int) -> bool:
        return len(row.attempts) < MOST_ATTEMPTS and self._of(row).is_stuck(row, now_ms)

    async def _confirmed(self, row: WithdrawalDocument) -> None:
        """Settle it in the ledger once; then watch until nothing can take it back, and send it again if something did."""
        way, now_ms = self._way(row), self._clock.now_ms()
        fate = await self._of(row).fate(row)
        if fate.kind is FateKind.INCLUDED and not row.settled:
            await self._settle(row, way, fate)
            await self._changes.keep(row, settled=True, due_ms=now_ms + FINAL_LOOK_MS)
        elif fate.kind is FateKind.INCLUDED:
            is_final = fate.confirmations >= way.chain.final_after
            await self._changes.keep(row, due_ms=None if is_final else now_ms + FINAL_LOOK_MS)
        else:
            log.error("withdrawal.orphaned", withdrawal=row.id, chain=row.chain, fate=fate.kind)
            await self._send(row, row.attempts[-1])
            await self._put_off(row.id, "")

    async def _settle(self, row: WithdrawalDocument, way: Route, fate: Fate) -> None:
        fee_units = int(CONTEXT.scaleb(row.fee, way.asset.decimals))
        hot = f"house:hot:{row.chain}"
        settled = SettleWithdrawal(row.user_id, row.hold or 0, hot, fee_units, end_key(row.id), "settled")
        await have_done(self._gateway, settled)
        await self._pay_network(row, way, fate, hot)

    async def _pay_network(self, row: WithdrawalDocument, way: Route, fate: Fate, hot: str) -> None:
        """Book what the chain took from the hot wallet."""
        if fate.hash is None or not fate.fee_units:
            return
        key = f"{HOUSE_KEY}network-fee:{row.chain}:{fate.hash}"
        native = self._catalogue.asset(way.chain.native)
        moved = MoveHouseFunds("house:network-fees", hot, native.code, fate.fee_units, key, fate.hash)
        await have_done(self._gateway, moved)

    async def _release(self, row: WithdrawalDocument) -> None:
        """Make the funds available again, and book the fee of one that the chain refused: as long as the chain says so."""
        if row.status is S.FAILED:
            fate = await self._of(row).fate(row)
            if fate.kind is not FateKind.FAILED:
                raise NodesContradict(f"{row.chain} refused it, and now says that it is {fate.kind}")
            await self._pay_network(row, self._way(row), fate, f"house:hot:{row.chain}")
        await have_done(self._gateway, ReleaseWithdrawal(row.user_id, row.hold or 0, end_key(row.id), "released"))
        await self._changes.keep(row, settled=True, due_ms=None)

    def _of(self, row: WithdrawalDocument) -> Payouts:
        payouts = self._payouts.get(row.chain)
        if payouts is None:
            raise ChainError(f"this server does not sign for {row.chain} now")
        return payouts

    def _way(self, row: WithdrawalDocument) -> Route:
        return known_route(self._catalogue, row.asset, row.chain)

    def _letter(self, row: WithdrawalDocument, attempt: AttemptEntry) -> MailDocument:
        """What its owner is told once this was sent."""
        chain = self._catalogue.chains[row.chain]
        return self._mailbox.written(
            MailKind.WITHDRAWAL_SENT,
            user_id=row.user_id,
            amount=f"{canonical(row.amount - row.fee)} {row.asset}",
            chain=chain.name,
            address=row.address,
            hash=attempt.hash,
            explorer=chain.transaction_url(attempt.hash),
        )
