"""Finding anything again by its id."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, cast

import strawberry

from core.account_vocabulary import ApiScope
from core.errors import InvalidInput, TranslatableError
from core.ids import MalformedId, decode_id
from core.vocabulary import Series
from graph.access import Access, require
from graph.context import Context
from graph.types.admin import AdminUser
from graph.types.asset import Asset, Chain
from graph.types.audit import AuditEvent
from graph.types.deposit import Deposit, DepositAddress, UnclaimedDeposit
from graph.types.market import Market
from graph.types.node import Node
from graph.types.order import Fill, Order, OrderGroup
from graph.types.security import ExternalIdentity, Passkey
from graph.types.session import ApiKey, Session
from graph.types.swap import Swap, SwapQuote
from graph.types.trade import Trade
from graph.types.transaction import Transaction
from graph.types.user import User
from graph.types.wallet import Wallet
from graph.types.withdrawal import Withdrawal, WithdrawalAddress
from services.withdrawal_states import to_state
from services.withdrawals import Ref

Info = strawberry.Info[Context, None]
MAX_NODES = 100
_SEQUENCE = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


async def node(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="An id this API returned.")],
) -> Node | None:
    return await _find(info.context, id, ["id"])


async def nodes(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="Ids this API returned, at most 100.")],
) -> list[Node | None] | None:
    if len(ids) > MAX_NODES:
        raise InvalidInput(f"expected at most {MAX_NODES} ids, got {len(ids)}", field=["ids"])
    wanted = dict.fromkeys(ids)
    found = await asyncio.gather(
        *(_find(info.context, id_, ["ids", str(ids.index(id_))]) for id_ in wanted), return_exceptions=True
    )
    return _with_errors([dict(zip(wanted, found, strict=True))[id_] for id_ in ids])


def _with_errors(found: list[Node | BaseException | None]) -> list[Node | None]:
    """The list as it is: what is an exception becomes null, with its error at its place."""
    return cast(list[Node | None], found)


async def _find(context: Context, id_: str, field: list[str]) -> Node | None:
    try:
        kind, parts = decode_id(id_)
    except MalformedId as error:
        raise InvalidInput(str(error), field=field) from error
    finder = _PUBLIC.get(kind)
    if finder is None and (finder := _PRIVATE.get(kind)) is not None:
        await require(context, Access.ANYONE, ApiScope.READ)
    found = None if finder is None else await finder(context, parts)
    return found if found is not None and found.id == id_ else None


async def _asset(context: Context, parts: list[str]) -> Node | None:
    asset = context.catalogue.assets.get(parts[0])
    return None if asset is None else Asset.of(asset)


async def _chain(context: Context, parts: list[str]) -> Node | None:
    chain = context.catalogue.chains.get(parts[0])
    return None if chain is None else Chain.of(chain)


async def _market(context: Context, parts: list[str]) -> Node | None:
    market = context.catalogue.markets.get(parts[0])
    return None if market is None else Market.of(market)


async def _trade(context: Context, parts: list[str]) -> Node | None:
    if len(parts) != 3 or parts[0] not in Series.__members__ or _SEQUENCE.fullmatch(parts[2]) is None:
        return None
    trade = await context.market_data.trade(Series(parts[0]), parts[1], int(parts[2]))
    return None if trade is None else Trade.of(trade)


async def _user(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or parts != [viewer.user_id]:
        return None
    profile = await context.accounts.reads.profile(viewer.user_id)
    return None if profile is None else User.of(profile, viewer.session_id)


async def _session(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    rows = [] if viewer is None else await context.accounts.sessions.of_user(viewer.user_id)
    current = None if viewer is None else viewer.session_id
    return next((Session.of(row, current) for row in rows if [row.id] == parts), None)


async def _api_key(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    rows = [] if viewer is None else await context.accounts.api_keys.of_user(viewer.user_id)
    return next((ApiKey.of(row) for row in rows if [row.id] == parts), None)


async def _passkey(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    rows = [] if viewer is None else await context.accounts.reads.passkeys(viewer.user_id)
    return next((Passkey.of(row) for row in rows if [row.id] == parts), None)


async def _identity(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    rows = [] if viewer is None else await context.accounts.reads.identities(viewer.user_id)
    return next((ExternalIdentity.of(row) for row in rows if [row.id] == parts), None)


async def _wallet(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    rows = [] if viewer is None else await context.accounts.reads.wallets(viewer.user_id)
    return next((Wallet.of(row) for row in rows if [row.id] == parts), None)


async def _transaction(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 2 or parts[0] != viewer.user_id or _SEQUENCE.fullmatch(parts[1]) is None:
        return None
    account = await context.funds_loaders.account(viewer.user_id)
    line = await context.funds.statements.line(account.account, int(parts[1]))
    return None if line is None else Transaction.of(account.account, line)


async def _audit_event(context: Context, parts: list[str]) -> Node | None:
    if len(parts) != 2 or _SEQUENCE.fullmatch(parts[1]) is None:
        return None
    viewer = context.viewer
    is_own = viewer is not None and viewer.user_id == parts[0]
    if not is_own and not await _is_operator(context):
        return None
    row = await context.accounts.reads.audit_row(parts[0], int(parts[1]))
    return None if row is None else AuditEvent.of(row)


async def _admin_user(context: Context, parts: list[str]) -> Node | None:
    if not await _is_operator(context):
        return None
    person = await context.accounts.reads.person(parts[0])
    return None if person is None else AdminUser.of(person)


async def _order(context: Context, parts: list[str]) -> Node | None:
    viewer, sequence = context.viewer, _only_number(parts)
    if viewer is None or sequence is None:
        return None
    state = await context.trading.reads.order(viewer.user_id, sequence, context.reader)
    return None if state is None else Order.of(state)


async def _order_group(context: Context, parts: list[str]) -> Node | None:
    viewer, sequence = context.viewer, _only_number(parts)
    if viewer is None or sequence is None:
        return None
    state = await context.trading.reads.group(viewer.user_id, sequence, context.reader)
    return None if state is None else OrderGroup.of(state)


async def _fill(context: Context, parts: list[str]) -> Node | None:
    viewer, number = context.viewer, _only_number(parts)
    if viewer is None or number is None:
        return None
    state = (await context.trading.reads.fills(viewer.user_id, [number], context.reader)).get(number)
    return None if state is None else Fill.of(state)


async def _deposit(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None:
        return None
    state = await context.custody.deposit_reads.own(viewer.user_id, ":".join(parts))
    return None if state is None else Deposit.of(state)


async def _unclaimed_deposit(context: Context, parts: list[str]) -> Node | None:
    if not await _is_operator(context):
        return None
    row = await context.custody.unclaimed.open(":".join(parts))
    return None if row is None else UnclaimedDeposit.of(row)


async def _deposit_address(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 2 or parts[0] != viewer.user_id:
        return None
    addresses = context.custody.deposit_addresses
    found = await addresses.of_user(viewer.user_id, parts[1], None)
    return next((DepositAddress.of(row, entry, *addresses.drawn(row, entry)) for row, entry in found), None)


async def _withdrawal(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 1:
        return None
    row = await context.custody.withdrawals.own(viewer.user_id, Ref(id=parts[0]))
    return None if row is None else Withdrawal.of(to_state(row))


async def _withdrawal_address(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 1:
        return None
    entry = await context.custody.addresses.own(viewer.user_id, parts[0])
    return None if entry is None else WithdrawalAddress.of(entry)


async def _swap_quote(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 1:
        return None
    row = await context.swaps.quotes.own(viewer.user_id, parts[0])
    return None if row is None else SwapQuote.of(row)


async def _swap(context: Context, parts: list[str]) -> Node | None:
    viewer = context.viewer
    if viewer is None or len(parts) != 1:
        return None
    row = await context.swaps.swaps.own(viewer.user_id, parts[0])
    return None if row is None else Swap.of(row)


def _only_number(parts: list[str]) -> int | None:
    return int(parts[0]) if len(parts) == 1 and _SEQUENCE.fullmatch(parts[0]) else None


async def _is_operator(context: Context) -> bool:
    try:
        await require(context, Access.SUPPORT, None)
    except TranslatableError:
        return False
    return True


_PUBLIC: dict[str, Callable[[Context, list[str]], Awaitable[Node | None]]] = {
    "Asset": _asset,
    "Chain": _chain,
    "Market": _market,
    "Trade": _trade,
}
_PRIVATE: dict[str, Callable[[Context, list[str]], Awaitable[Node | None]]] = {
    "AdminUser": _admin_user,
    "ApiKey": _api_key,
    "AuditEvent": _audit_event,
    "Deposit": _deposit,
    "DepositAddress": _deposit_address,
    "ExternalIdentity": _identity,
    "Fill": _fill,
    "Order": _order,
    "OrderGroup": _order_group,
    "Passkey": _passkey,
    "Session": _session,
    "Swap": _swap,
    "SwapQuote": _swap_quote,
    "Transaction": _transaction,
    "UnclaimedDeposit": _unclaimed_deposit,
    "User": _user,
    "Withdrawal": _withdrawal,
    "WithdrawalAddress": _withdrawal_address,
    "Wallet": _wallet,
}
"""Found by their owner alone; an API key needs the scope READ."""
