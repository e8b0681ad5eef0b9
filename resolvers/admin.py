"""What operators do."""

from typing import Annotated

import strawberry

from core.account_vocabulary import UserStatus
from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.refusals import UnknownObject
from core.vocabulary import TimeOrder
from graph.context import Context
from graph.types.admin import AdminUser, AdminUserPayload
from graph.types.audit import Actions, AuditEvent
from graph.types.auth_inputs import SetUserStatusInput
from graph.types.connection import After, Connection, First, connect
from graph.types.ledger import HousePosition, LedgerAudit
from graph.types.market import Market
from graph.types.order_inputs import SetMarketStatusInput
from graph.types.order_payloads import MarketPayload
from resolvers.ids import key_of
from resolvers.reasons import reason_of
from resolvers.viewers import viewer_of
from services import ledger_audit as ledger

Info = strawberry.Info[Context, None]


async def users(
    info: Info,
    search: Annotated[str | None, strawberry.argument(description="A whole address, or an account's plain id.")] = None,
    status: Annotated[
        UserStatus | None, strawberry.argument(description="Only this state; without it, all but deleted ones.")
    ] = None,
    first: First = None,
    after: After = None,
) -> Connection[AdminUser] | None:
    reads = info.context.accounts.reads
    if search is not None:
        person = await reads.find_person(search)
        found = [person] if person is not None and status in (None, person.status) else []
        return connect(Page(found, has_next=False, has_previous=False), node=AdminUser.of, cursor=lambda row: row.id)
    page = await reads.people(status, PageRequest(first, after))
    return connect(page, node=lambda ranked: AdminUser.of(ranked.row), cursor=lambda ranked: str(ranked.place))


async def user(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Id of a User or an AdminUser.")]
) -> AdminUser | None:
    person = await info.context.accounts.reads.person(_key(id))
    return None if person is None else AdminUser.of(person)


async def audit_log(
    info: Info,
    user_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Of this account; without it, of all, for 90 days.")
    ] = None,
    actions: Actions = None,
    first: First = None,
    after: After = None,
) -> Connection[AuditEvent] | None:
    reads, request = info.context.accounts.reads, PageRequest(first, after)
    if user_id is not None:
        page = await reads.audit_page(_key(user_id), actions, TimeOrder.NEWEST_FIRST, request)
        return connect(page, node=AuditEvent.of, cursor=lambda row: str(row.sequence))
    everybody = await reads.audit_page_of_everybody(actions, request)
    return connect(everybody, node=lambda ranked: AuditEvent.of(ranked.row), cursor=lambda ranked: str(ranked.place))


async def ledger_audit(info: Info) -> LedgerAudit | None:  # noqa: ARG001
    return LedgerAudit.of(await ledger.read())


async def house(info: Info) -> list[HousePosition] | None:
    return [HousePosition.of(state) for state in await info.context.funds.houses.positions()]


async def set_user_status(
    info: Info, input: Annotated[SetUserStatusInput, strawberry.argument(description="The decision.")]
) -> AdminUserPayload:
    if input.status is UserStatus.DELETED:
        raise UnknownObject("expected one of {choices}", {"choices": "ACTIVE, FROZEN, SUSPENDED"}, field=["status"])
    reason = reason_of(input.reason)
    person = await info.context.accounts.freezes.by_operator(
        viewer_of(info), key_of(input.id, "User", "AdminUser"), input.status, reason, info.context.client
    )
    return AdminUserPayload(user=AdminUser.of(person))


async def set_market_status(
    info: Info, input: Annotated[SetMarketStatusInput, strawberry.argument(description="The decision.")]
) -> MarketPayload:
    market = await info.context.trading.markets.set_status(
        viewer_of(info), input.symbol, input.status, reason_of(input.reason), info.context.client
    )
    return MarketPayload(market=Market.of(market))


def _key(id_: str) -> str:
    try:
        return key_of(id_, "User", "AdminUser")
    except UnknownObject as error:
        raise InvalidInput("expected the id of an account", field=["id"]) from error
