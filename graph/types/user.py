"""A person, as they see themselves."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from core.account_vocabulary import Role, UserStatus
from core.clock import to_datetime
from core.ids import encode_id
from core.order_vocabulary import SummaryKey
from core.paging import PageRequest
from core.vocabulary import TimeOrder
from graph.context import Context
from graph.directives import Cost
from graph.types.account_event import AccountEvent, account_event
from graph.types.asset import Asset
from graph.types.audit import Actions, AuditEvent
from graph.types.balance import Balance, Quote
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.deposit import Deposit, DepositAddress
from graph.types.fee_tier import FeeTier
from graph.types.liability import LiabilityProof, Root
from graph.types.node import Node
from graph.types.order import Fill, Order
from graph.types.order_inputs import FillFilter, OrderFilter
from graph.types.order_payloads import CancelTimer
from graph.types.portfolio import Portfolio
from graph.types.security import ExternalIdentity, Passkey, SecurityState
from graph.types.session import ApiKey, Session
from graph.types.transaction import Transaction, TransactionSummary, WhichTransactions
from graph.types.transfer import TransferFilter, criteria_of
from graph.types.wallet import Wallet
from graph.types.withdrawal import Withdrawal, WithdrawalAddress, WithdrawalLimits
from models.user import Profile

Info = strawberry.Info[Context, None]


@strawberry.type(description="The person whose account this is.")
class User(Node):
    person: strawberry.Private[Profile]
    session_id: strawberry.Private[str | None]
    email: str | None = strawberry.field(description="The address.")
    email_verified: bool = strawberry.field(description="Whether the address was proven.")
    display_name: str | None = strawberry.field(description="What to call the person.")
    role: Role = strawberry.field(description="What the person may do here.")
    status: UserStatus = strawberry.field(description="State of the account.")
    locale: str = strawberry.field(description="Language of mails and messages: `en` or `de`.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @strawberry.field(description="What values are shown in.")
    def quote_asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.person.quote_asset))

    @strawberry.field(description="What protects the account.")
    async def security(self, info: Info) -> SecurityState:
        person = await info.context.accounts.reads.person(self.person.id)
        if person is None:
            raise LookupError("a viewer's account is gone; accounts are never removed")
        passkeys = await info.context.accounts.reads.passkeys(person.id)
        identities = await info.context.accounts.reads.identities(person.id)
        return SecurityState(
            id=strawberry.ID(encode_id("SecurityState", person.id)),
            password_set=person.password_hash is not None,
            totp_enabled=person.totp is not None,
            recovery_codes_left=len(person.recovery_hashes),
            passkeys=[Passkey.of(row) for row in passkeys],
            identities=[ExternalIdentity.of(row) for row in identities],
            anti_phishing_code=person.anti_phishing_code if self.session_id is not None else None,
            frozen_at=_moment(person.frozen_ms),
            withdrawals_held_until=_moment(person.withdrawals_held_until_ms),
            password_changed_at=_moment(person.password_changed_ms),
        )

    @strawberry.field(description="Sessions that last, newest first.")
    async def sessions(self, info: Info) -> list[Session]:
        rows = await info.context.accounts.sessions.of_user(self.person.id)
        return [Session.of(row, self.session_id) for row in rows]

    @strawberry.field(description="API keys that last, newest first.")
    async def api_keys(self, info: Info) -> list[ApiKey]:
        return [ApiKey.of(row) for row in await info.context.accounts.api_keys.of_user(self.person.id)]

    @strawberry.field(description="Linked wallets, in the order they were linked.")
    async def wallets(self, info: Info) -> list[Wallet]:
        return [Wallet.of(row) for row in await info.context.accounts.reads.wallets(self.person.id)]

    @strawberry.field(description="Security events of the account. At most 500 a page, 50 without a size.")
    async def audit_log(
        self,
        info: Info,
        actions: Actions = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AuditEvent] | None:
        request = PageRequest(first, after, last, before)
        page = await info.context.accounts.reads.audit_page(self.person.id, actions, order_by, request)
        return connect(page, node=AuditEvent.of, cursor=lambda row: str(row.sequence))

    @strawberry.field(
        description="The cursor behind the last account event this answer already contains: "
        "give it to `accountEvents(after:)` to join the stream here."
    )
    async def event_cursor(self, info: Info) -> str | None:
        loaders = info.context.funds_loaders
        account, transfers = await asyncio.gather(loaders.account(self.person.id), loaders.transfers(self.person.id))
        return await info.context.funds.events.newest(account, transfers)

    @strawberry.field(
        description="Everything that happened to the account after a cursor, or from the beginning, oldest first. "
        "At most 500 a page, 100 without a size."
    )
    async def events(self, info: Info, after: After = None, first: First = None) -> Connection[AccountEvent] | None:
        page = await info.context.funds.events.page(self.person.id, after, first)
        return connect(page, node=account_event, cursor=lambda happened: happened.cursor)

    @strawberry.field(description="What the account has, in the order of the catalogue.")
    async def balances(
        self,
        info: Info,
        non_zero: Annotated[
            bool, strawberry.argument(description="Only assets of which there is something; else every asset.")
        ] = True,
    ) -> list[Balance] | None:
        account = await info.context.funds_loaders.account(self.person.id)
        return [Balance.of(state) for state in info.context.funds.balances.all_of(account, non_zero=non_zero)]

    @strawberry.field(description="What the account has of one asset; null with UNKNOWN_ASSET when there is none.")
    async def balance(
        self, info: Info, asset: Annotated[str, strawberry.argument(description="Code of the asset, such as `BTC`.")]
    ) -> Balance | None:
        account = await info.context.funds_loaders.account(self.person.id)
        return Balance.of(info.context.funds.balances.one_of(account, asset))

    @strawberry.field(description="What the account owns, valued now. Costs 5 points.", directives=[Cost(points=5)])
    async def portfolio(self, info: Info, quote: Quote = None) -> Portfolio | None:
        into = self.person.quote_asset if quote is None else quote
        account = await info.context.funds_loaders.account(self.person.id)
        return Portfolio.of(info.context.funds.portfolios.present(account, into))

    @strawberry.field(
        description="What trading costs, by what was traded within 30 days; null while a part of that has no fresh price."
    )
    async def fee_tier(self, info: Info) -> FeeTier | None:
        account = await info.context.funds_loaders.account(self.person.id)
        tier = info.context.funds.fee_tiers.state(account)
        return None if tier is None else FeeTier.of(tier)

    @strawberry.field(description="The statement: every change of a balance. At most 500 a page, 50 without a size.")
    async def transactions(
        self,
        info: Info,
        filter: WhichTransactions = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Transaction] | None:
        request = PageRequest(first, after, last, before)
        account = await info.context.funds_loaders.account(self.person.id)
        page = await info.context.funds.statements.page(account, filter, order_by, request)
        return connect(
            page, node=lambda line: Transaction.of(self.person.id, line), cursor=lambda line: str(line.number)
        )

    @strawberry.field(description="Orders by their acceptance. At most 500 a page, 50 without a size.")
    async def orders(
        self,
        info: Info,
        filter: Annotated[OrderFilter | None, strawberry.argument(description="Which orders.")] = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Order] | None:
        await info.context.funds_loaders.account(self.person.id)  # first, so that `eventCursor` is never ahead
        criteria = (filter or OrderFilter()).criteria()
        request = PageRequest(first, after, last, before)
        page, total = await info.context.trading.pages.orders(
            self.person.id, criteria, order_by, request, info.context.reader
        )
        return connect(
            page, node=lambda each: Order.of(each.state), cursor=lambda each: str(each.number), total_count=total
        )

    @strawberry.field(description="Fills of all orders. At most 500 a page, 50 without a size.")
    async def fills(
        self,
        info: Info,
        filter: Annotated[FillFilter | None, strawberry.argument(description="Which fills.")] = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Fill] | None:
        await info.context.funds_loaders.account(self.person.id)  # first, so that `eventCursor` is never ahead
        criteria = (filter or FillFilter()).criteria()
        request = PageRequest(first, after, last, before)
        page, total = await info.context.trading.pages.fills(
            self.person.id, criteria, order_by, request, info.context.reader
        )
        return connect(page, node=Fill.of, cursor=lambda state: str(state.number), total_count=total)

    @strawberry.field(description="Where you deposit: an entry for each chain on which you have an address.")
    async def deposit_addresses(
        self,
        info: Info,
        chain: Annotated[str | None, strawberry.argument(description="Only on this chain.")] = None,
        asset: Annotated[str | None, strawberry.argument(description="Only where this asset can be deposited.")] = None,
    ) -> list[DepositAddress]:
        found = await info.context.custody.deposit_addresses.of_user(self.person.id, chain, asset)
        drawn = info.context.custody.deposit_addresses.drawn
        return [DepositAddress.of(row, entry, *drawn(row, entry)) for row, entry in found]

    @strawberry.field(description="Deposits by when they were first seen. At most 500 a page, 50 without a size.")
    async def deposits(
        self,
        info: Info,
        filter: Annotated[TransferFilter | None, strawberry.argument(description="Which deposits.")] = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Deposit] | None:
        await info.context.funds_loaders.transfers(self.person.id)  # first, so that `eventCursor` is never ahead
        reads = info.context.custody.deposit_reads
        page = await reads.page(self.person.id, criteria_of(filter), order_by, PageRequest(first, after, last, before))
        return connect(page, node=lambda row: Deposit.of(reads.state(row)), cursor=lambda row: str(row.number))

    @strawberry.field(description="Withdrawals by when they were asked for. At most 500 a page, 50 without a size.")
    async def withdrawals(
        self,
        info: Info,
        filter: Annotated[TransferFilter | None, strawberry.argument(description="Which withdrawals.")] = None,
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Withdrawal] | None:
        await info.context.funds_loaders.transfers(self.person.id)  # first, so that `eventCursor` is never ahead
        reads = info.context.custody.withdrawal_reads
        page = await reads.page(self.person.id, criteria_of(filter), order_by, PageRequest(first, after, last, before))
        return connect(page, node=lambda row: Withdrawal.of(reads.state(row)), cursor=lambda row: str(row.number))

    @strawberry.field(description="The address book, newest first.")
    async def withdrawal_addresses(self, info: Info) -> list[WithdrawalAddress]:
        return [WithdrawalAddress.of(entry) for entry in await info.context.custody.addresses.of_user(self.person.id)]

    @strawberry.field(description="What may be withdrawn today.")
    async def withdrawal_limits(self, info: Info) -> WithdrawalLimits | None:
        limit = await info.context.custody.withdrawal_outlook.limit(self.person.id)
        return WithdrawalLimits(
            id=strawberry.ID(encode_id("WithdrawalLimits", self.person.id)),
            quote_code=limit.quote,
            daily=limit.daily,
            used=limit.used,
            remaining=max(Decimal(0), limit.daily - limit.used),
            resets_at=to_datetime(limit.resets_ms),
        )

    @strawberry.field(description="Timers that cancel orders unless they are set again, the next first.")
    async def cancel_timers(self, info: Info) -> list[CancelTimer]:
        timers = await info.context.trading.timers.of(self.person.id, info.context.reader)
        return [CancelTimer.of(timer) for timer in timers]

    @strawberry.field(
        description="The statement summed up and valued in the quote at today's rates: times from the oldest on, others by name. "
        "Null with TOO_MANY_ROWS for more than 100,000 changes: narrow `from` and `to`. Costs 50 points.",
        directives=[Cost(points=50)],
    )
    async def transaction_summary(
        self,
        info: Info,
        by: Annotated[SummaryKey, strawberry.argument(description="What it is summed up by.")],
        quote: Quote = None,
        from_: Annotated[
            datetime | None, strawberry.argument(name="from", description="Changes at or after this time.")
        ] = None,
        to: Annotated[datetime | None, strawberry.argument(description="Changes before this time.")] = None,
    ) -> list[TransactionSummary] | None:
        into = self.person.quote_asset if quote is None else quote
        account = await info.context.funds_loaders.account(self.person.id)
        sums = await info.context.funds.statements.summary(account, by, quote=into, from_=from_, to=to)
        return [TransactionSummary.of(state) for state in sums]

    @strawberry.field(
        description="The proof that the account is in a report of liabilities; null when it is not, or the report's tree is not kept any more. "
        "It is the owner's alone: a path shows what the account beside has, under no name."
    )
    async def liability_proof(self, info: Info, report_root: Root = None) -> LiabilityProof | None:
        proof = await info.context.liabilities.proof(self.person.id, report_root)
        return None if proof is None else LiabilityProof.of(proof)

    @staticmethod
    def of(person: Profile, session_id: str | None) -> "User":
        """The person as they see themselves in this session."""
        return User(
            id=strawberry.ID(encode_id("User", person.id)),
            person=person,
            session_id=session_id,
            email=person.email,
            email_verified=person.email_verified,
            display_name=person.display_name,
            role=person.role,
            status=person.status,
            locale=person.locale,
            created_at=to_datetime(person.created_ms),
        )


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else to_datetime(time_ms)
