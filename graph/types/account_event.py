"""Everything that happens to an account as one stream."""

from datetime import datetime
from typing import Protocol

import strawberry

from core.clock import to_datetime
from events.funds import EventsMissed
from events.trading import Logged, LoggedFill, LoggedOrder
from events.transfer import DepositState, WithdrawalState
from graph.types.audit import AuditEvent
from graph.types.balance import Balance
from graph.types.deposit import Deposit
from graph.types.order import Fill, Order
from graph.types.withdrawal import Withdrawal
from models.audit_event import AuditEventDocument


class Happened(Protocol):
    """What happened, when, and the cursor behind it."""

    @property
    def cursor(self) -> str: ...

    @property
    def time_ms(self) -> int: ...

    @property
    def event(self) -> AuditEventDocument | Logged | DepositState | WithdrawalState | EventsMissed: ...


@strawberry.interface(description="Something that happened to an account.")
class AccountEvent:
    cursor: str = strawberry.field(description="The place behind this event; pass it as `after`.")
    time: datetime = strawberry.field(description="When.")


@strawberry.type(description="A security event.")
class SecurityChanged(AccountEvent):
    event: AuditEvent = strawberry.field(description="The row of the audit log.")


@strawberry.type(description="An order was placed, or changed.")
class OrderChanged(AccountEvent):
    order: Order = strawberry.field(description="The order as it was then.")


@strawberry.type(description="An order traded.")
class FillReceived(AccountEvent):
    fill: Fill = strawberry.field(description="What it bought or sold at once.")


@strawberry.type(description="A balance changed.")
class BalanceChanged(AccountEvent):
    balance: Balance = strawberry.field(description="The balance as it was then.")


@strawberry.type(description="A deposit was seen, counted on, credited, or taken back.")
class DepositChanged(AccountEvent):
    deposit: Deposit = strawberry.field(description="The deposit as it was then.")


@strawberry.type(description="A withdrawal was asked for, or changed.")
class WithdrawalChanged(AccountEvent):
    withdrawal: Withdrawal = strawberry.field(description="The withdrawal as it was then.")


@strawberry.type(
    description="The reader was more than 10,000 events behind: some are left out, and the stream goes on from the newest. "
    "Read what is missing from `User.events`."
)
class Lagged(AccountEvent):
    missed_from: str = strawberry.field(description="What was left out begins behind this cursor: pass it as `after`.")
    missed_to: str = strawberry.field(description="The cursor behind the last event that was left out.")


KINDS = (BalanceChanged, DepositChanged, FillReceived, Lagged, OrderChanged, SecurityChanged, WithdrawalChanged)


def account_event(happened: Happened) -> AccountEvent:
    """The event as the account's owner sees it."""
    cursor, time, event = happened.cursor, to_datetime(happened.time_ms), happened.event
    if isinstance(event, AuditEventDocument):
        return SecurityChanged(cursor=cursor, time=time, event=AuditEvent.of(event))
    if isinstance(event, EventsMissed):
        return Lagged(cursor=cursor, time=time, missed_from=event.missed_from, missed_to=event.missed_to)
    if isinstance(event, DepositState):
        return DepositChanged(cursor=cursor, time=time, deposit=Deposit.of(event))
    if isinstance(event, WithdrawalState):
        return WithdrawalChanged(cursor=cursor, time=time, withdrawal=Withdrawal.of(event))
    if isinstance(event, LoggedOrder):
        return OrderChanged(cursor=cursor, time=time, order=Order.of(event.order))
    if isinstance(event, LoggedFill):
        return FillReceived(cursor=cursor, time=time, fill=Fill.of(event.fill))
    return BalanceChanged(cursor=cursor, time=time, balance=Balance.of(event.balance))


def kind_and_place(event: AccountEvent) -> tuple[type[AccountEvent], str]:
    """What an event is told by from others of its account. The cursor alone is not enough: readers may meet what happened in different logs in another order."""
    return type(event), event.cursor
