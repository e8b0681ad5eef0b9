"""The roots of operators: parts of the roots in `graph/schema.py`."""

import strawberry

from graph.access import Access
from graph.fields import mutation, query
from graph.step_up import StepUpDemanded
from graph.types.admin import AdminUser, AdminUserPayload
from graph.types.audit import AuditEvent
from graph.types.connection import Connection
from graph.types.deposit import DepositPayload, UnclaimedDeposit
from graph.types.ledger import HousePosition, LedgerAudit
from graph.types.order_payloads import MarketPayload
from graph.types.withdrawal import Withdrawal, WithdrawalPayload
from resolvers import admin as admin_resolvers
from resolvers import deposits as deposit_resolvers
from resolvers import withdrawals as withdrawal_resolvers


@strawberry.type(description="What operators see.")
class AdminQuery:
    users: Connection[AdminUser] | None = query(
        admin_resolvers.users,
        "Accounts, newest first, or the one that is searched for. At most 500 a page, 50 without a size.",
    )
    user: AdminUser | None = query(admin_resolvers.user, "One account; null when there is none of this id.")
    withdrawals_in_review: Connection[Withdrawal] | None = query(
        withdrawal_resolvers.withdrawals_in_review,
        "Withdrawals that wait for an operator's word, the oldest first. At most 500 a page, 50 without a size.",
    )
    unclaimed_deposits: Connection[UnclaimedDeposit] | None = query(
        deposit_resolvers.unclaimed_deposits,
        "What came in to addresses that all pay to and names no account, newest first. At most 500 a page, 50 without a size.",
    )
    audit_log: Connection[AuditEvent] | None = query(
        admin_resolvers.audit_log, "Security events, newest first. At most 500 a page, 50 without a size."
    )
    ledger_audit: LedgerAudit | None = query(
        admin_resolvers.ledger_audit,
        "Whether what people read of their money agrees, read over all accounts. Null with LEDGER_MOVING while it changes too fast.",
    )
    house: list[HousePosition] | None = query(
        admin_resolvers.house,
        "The house's position by asset. Null with EXCHANGE_UNAVAILABLE while the exchange is away.",
    )


async def _admin() -> AdminQuery:
    return AdminQuery()


@strawberry.type
class OperatorQuery:
    admin: AdminQuery | None = query(_admin, "What operators see.", access=Access.SUPPORT)


@strawberry.type
class OperatorMutation:
    set_market_status: MarketPayload = mutation(
        admin_resolvers.set_market_status,
        "Say what a market accepts from now on.",
        access=Access.ADMIN,
        step_up=StepUpDemanded(),
        alone=True,
    )
    review_withdrawal: WithdrawalPayload = mutation(
        withdrawal_resolvers.review_withdrawal,
        "Let a withdrawal in review be paid out, or refuse it. Nobody reviews their own.",
        access=Access.ADMIN,
        step_up=StepUpDemanded(),
        alone=True,
    )
    assign_deposit: DepositPayload = mutation(
        deposit_resolvers.assign_deposit,
        "Let an unclaimed deposit be an account's; it is credited next. Nobody assigns to their own account.",
        access=Access.ADMIN,
        step_up=StepUpDemanded(),
        alone=True,
    )
    set_user_status: AdminUserPayload = mutation(
        admin_resolvers.set_user_status,
        "Suspend an account, freeze it, or make it active again.",
        access=Access.ADMIN,
        step_up=StepUpDemanded(),
        alone=True,
    )
