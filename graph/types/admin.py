"""What operators see."""

from datetime import datetime
from typing import Self

import strawberry

from core.account_vocabulary import Role, UserStatus
from core.clock import to_datetime
from core.ids import encode_id
from core.paging import PageRequest
from core.refusals import AuthRefused
from core.transfer_filters import TransferCriteria
from core.vocabulary import TimeOrder
from graph.context import Context
from graph.types.audit import AuditEvent
from graph.types.balance import Balance
from graph.types.connection import After, Connection, First, connect
from graph.types.errors import ERRORS, GeneralError
from graph.types.node import Node
from graph.types.withdrawal import Withdrawal
from models.user import UserDocument

Info = strawberry.Info[Context, None]


@strawberry.type(description="An account, as operators see it.")
class AdminUser(Node):
    user_id: strawberry.Private[str]
    email: str | None = strawberry.field(description="The address; null for a deleted account.")
    status: UserStatus = strawberry.field(description="State of the account.")
    role: Role = strawberry.field(description="What the person may do here.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @strawberry.field(description="Security events, newest first. At most 500 a page, 50 without a size.")
    async def audit_log(self, info: Info, first: First = None, after: After = None) -> Connection[AuditEvent] | None:
        request = PageRequest(first, after)
        page = await info.context.accounts.reads.audit_page(self.user_id, None, TimeOrder.NEWEST_FIRST, request)
        return connect(page, node=AuditEvent.of, cursor=lambda row: str(row.sequence))

    @strawberry.field(description="What the account has something of, in the order of the catalogue.")
    async def balances(self, info: Info) -> list[Balance] | None:
        account = await info.context.funds_loaders.account(self.user_id)
        return [Balance.of(state) for state in info.context.funds.balances.all_of(account, non_zero=True)]

    @strawberry.field(description="Withdrawals, newest first. At most 500 a page, 50 without a size.")
    async def withdrawals(self, info: Info, first: First = None, after: After = None) -> Connection[Withdrawal] | None:
        reads = info.context.custody.withdrawal_reads
        page = await reads.page(self.user_id, TransferCriteria(), TimeOrder.NEWEST_FIRST, PageRequest(first, after))
        return connect(page, node=lambda row: Withdrawal.of(reads.state(row)), cursor=lambda row: str(row.number))

    @staticmethod
    def of(person: UserDocument) -> "AdminUser":
        """The account as operators see it."""
        return AdminUser(
            id=strawberry.ID(encode_id("AdminUser", person.id)),
            user_id=person.id,
            email=person.email,
            status=person.status,
            role=person.role,
            created_at=to_datetime(person.created_ms),
        )


@strawberry.type(description="An account after an operator's decision.")
class AdminUserPayload:
    user: AdminUser | None = strawberry.field(default=None, description="The account.")
    errors: list[GeneralError] = strawberry.field(default_factory=list, description=ERRORS)

    @classmethod
    def refused(cls, refused: AuthRefused, locale: str) -> Self:
        """Nothing but a refusal."""
        return cls(errors=[GeneralError.of(refused, locale)])
