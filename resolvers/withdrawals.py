"""Root fields about withdrawals and the address book."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.errors import InvalidInput
from core.ids import MalformedId, decode_id
from core.paging import PageRequest
from core.refusals import StepUpDemand
from graph.context import Context
from graph.step_up import demanded, prove
from graph.types.connection import After, Connection, First, connect
from graph.types.errors import StepUpChallenge
from graph.types.wallet_errors import WalletError
from graph.types.withdrawal import (
    AddWithdrawalAddressInput,
    CancelWithdrawalInput,
    ConfirmWithdrawalInput,
    RemoveWithdrawalAddressInput,
    RequestWithdrawalInput,
    ReviewWithdrawalInput,
    Withdrawal,
    WithdrawalAddress,
    WithdrawalPayload,
    WithdrawalPreview,
    WithdrawalPreviewInput,
    WithdrawalRef,
)
from graph.types.withdrawal_payloads import WithdrawalAddressPayload
from resolvers.viewers import present, viewer_of
from services.viewer import Viewer
from services.withdrawal_rules import Wish
from services.withdrawal_states import to_state
from services.withdrawals import Ref

Info = strawberry.Info[Context, None]
LONGEST_REASON = 500
_REQUEST = "requestWithdrawal"


async def withdrawal(
    info: Info, by: Annotated[WithdrawalRef, strawberry.argument(description="Which.")]
) -> Withdrawal | None:
    row = await info.context.custody.withdrawals.own(viewer_of(info).user_id, _ref(by))
    return None if row is None else Withdrawal.of(to_state(row))


async def withdrawal_preview(
    info: Info, input: Annotated[WithdrawalPreviewInput, strawberry.argument(description="The withdrawal.")]
) -> WithdrawalPreview | None:
    viewer = viewer_of(info)
    wish = Wish(input.asset, input.chain, _key(input.address_id, "WithdrawalAddress"), input.amount)
    preview = await info.context.custody.withdrawal_outlook.preview(viewer, wish)
    demand = None
    if viewer.session_id is not None:
        demand = await _demand(info, viewer, input)
    locale = info.context.client.locale
    return WithdrawalPreview(
        fee=preview.fee,
        received=preview.received,
        review_required=preview.review_required,
        held_until=None if preview.held_until_ms is None else to_datetime(preview.held_until_ms),
        step_up=None if demand is None else StepUpChallenge.of(demand),
        errors=[WalletError.of(refused, locale) for refused in preview.refusals],
    )


async def _demand(info: Info, viewer: Viewer, input: WithdrawalPreviewInput) -> StepUpDemand:
    """What the withdrawal will demand; a passkey signs for all of it, so that its key must be known."""
    if input.client_withdrawal_id is None:
        return await info.context.accounts.step_up.announced(viewer, _REQUEST)
    wanted = RequestWithdrawalInput(
        client_withdrawal_id=input.client_withdrawal_id,
        asset=input.asset,
        chain=input.chain,
        address_id=input.address_id,
        amount=input.amount,
    )
    return await demanded(info, _REQUEST, wanted)


async def request_withdrawal(
    info: Info, input: Annotated[RequestWithdrawalInput, strawberry.argument(description="The withdrawal.")]
) -> WithdrawalPayload:
    wish = Wish(input.asset, input.chain, _key(input.address_id, "WithdrawalAddress"), input.amount)
    requested = await info.context.custody.withdrawals.request(
        viewer_of(info), input.client_withdrawal_id, wish, info.context.client, lambda: prove(info, input)
    )
    return WithdrawalPayload(withdrawal=Withdrawal.of(to_state(requested.row)), replayed=requested.replayed)


async def confirm_withdrawal(
    info: Info, input: Annotated[ConfirmWithdrawalInput, strawberry.argument(description="The mail's token.")]
) -> WithdrawalPayload:
    ref = None if input.by is None else _ref(input.by)
    row = await info.context.custody.withdrawals.confirm(input.token, ref)
    return WithdrawalPayload(withdrawal=Withdrawal.of(to_state(row)))


async def cancel_withdrawal(
    info: Info, input: Annotated[CancelWithdrawalInput, strawberry.argument(description="Which.")]
) -> WithdrawalPayload:
    row = await info.context.custody.withdrawals.cancel(viewer_of(info), _ref(input.by), info.context.client)
    return WithdrawalPayload(withdrawal=Withdrawal.of(to_state(row)))


async def review_withdrawal(
    info: Info, input: Annotated[ReviewWithdrawalInput, strawberry.argument(description="The decision.")]
) -> WithdrawalPayload:
    reason = input.reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidInput(f"expected 1 to {LONGEST_REASON} characters", field=["input", "reason"])
    row = await info.context.custody.withdrawals.review(
        viewer_of(info),
        _key(input.id, "Withdrawal"),
        approve=input.approve,
        reason=reason,
        client=info.context.client,
    )
    return WithdrawalPayload(withdrawal=Withdrawal.of(to_state(row)))


async def withdrawals_in_review(info: Info, first: First = None, after: After = None) -> Connection[Withdrawal] | None:
    page = await info.context.custody.withdrawal_reads.in_review(PageRequest(first, after))
    return connect(page, node=lambda each: Withdrawal.of(to_state(each.row)), cursor=lambda each: str(each.place))


async def withdrawal_updated(info: Info) -> AsyncGenerator[Withdrawal, None]:
    async with aclosing(info.context.custody.withdrawal_reads.watch(viewer_of(info).user_id)) as states:
        async for state in states:
            yield Withdrawal.of(state)


async def add_withdrawal_address(
    info: Info, input: Annotated[AddWithdrawalAddressInput, strawberry.argument(description="The address.")]
) -> WithdrawalAddressPayload:
    entry = await info.context.custody.addresses.add(
        viewer_of(info), input.chain, input.address, input.label, info.context.client
    )
    return WithdrawalAddressPayload(address=WithdrawalAddress.of(entry), viewer=await present(info))


async def remove_withdrawal_address(
    info: Info, input: Annotated[RemoveWithdrawalAddressInput, strawberry.argument(description="The entry.")]
) -> WithdrawalAddressPayload:
    entry = await info.context.custody.addresses.remove(
        viewer_of(info), _key(input.id, "WithdrawalAddress"), info.context.client
    )
    return WithdrawalAddressPayload(address=WithdrawalAddress.of(entry), viewer=await present(info))


def _ref(by: WithdrawalRef) -> Ref:
    if by.id is not strawberry.UNSET and by.id is not None:
        return Ref(id=_key(by.id, "Withdrawal"))
    return Ref(client_id=by.client_withdrawal_id or "")


def _key(id_: str, kind: str) -> str:
    """The key in an id of this kind; nothing's key for any other text."""
    try:
        found, parts = decode_id(id_)
    except MalformedId:
        return ""
    return parts[0] if found == kind and len(parts) == 1 else ""
