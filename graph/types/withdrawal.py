"""Withdrawals, the address book, and limits."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.wallet_vocabulary import WithdrawalStatus
from events import transfer
from events.transfer import WithdrawalState
from graph.context import Context
from graph.scalars import URL, link
from graph.types.asset import Asset, Chain
from graph.types.errors import ERRORS, StepUpChallenge
from graph.types.node import Node
from graph.types.wallet_errors import WalletError, WalletRefusable
from models.withdrawal_address import WithdrawalAddressDocument

Info = strawberry.Info[Context, None]


@strawberry.type(description="A status that a withdrawal came to.")
class WithdrawalStep:
    status: WithdrawalStatus = strawberry.field(description="The status.")
    time: datetime = strawberry.field(description="When.")
    detail: str | None = strawberry.field(description="What was said about it, in English.")

    @staticmethod
    def of(step: transfer.WithdrawalStep) -> "WithdrawalStep":
        """The step as clients see it."""
        return WithdrawalStep(status=step.status, time=to_datetime(step.time_ms), detail=step.detail)


@strawberry.type(description="What goes out on a chain.")
class Withdrawal(Node):
    state: strawberry.Private[WithdrawalState]
    client_withdrawal_id: str = strawberry.field(description="The key it was asked for under.")
    address: str = strawberry.field(description="Where it goes.")
    amount: Decimal = strawberry.field(description="What leaves the balance, the fee included.")
    fee: Decimal = strawberry.field(description="What the exchange keeps of it; the rest arrives.")
    status: WithdrawalStatus = strawberry.field(description="How far it is.")
    hash: str | None = strawberry.field(
        description="Its transaction on the chain; it may change while a higher fee replaces it, and null before it is sent."
    )
    reason: str | None = strawberry.field(description="Why it waits, or ended, in English.")
    cancelable: bool = strawberry.field(description="Whether it can still be taken back.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(description="What is withdrawn.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.asset))

    @strawberry.field(description="The chain it goes out on.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.state.chain])

    @strawberry.field(description="Its transaction in the chain's explorer.")
    def explorer_url(self, info: Info) -> URL | None:
        if self.state.hash is None:
            return None
        return link(info.context.catalogue.chains[self.state.chain].transaction_url(self.state.hash))

    @strawberry.field(description="The address it goes to in the chain's explorer; null where the chain has none.")
    def address_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.state.chain].address_url(self.address))

    @strawberry.field(description="Every status it came to, the first one first.")
    def timeline(self) -> list[WithdrawalStep]:
        return [WithdrawalStep.of(step) for step in self.state.timeline]

    @staticmethod
    def of(state: WithdrawalState) -> "Withdrawal":
        """The withdrawal as clients see it."""
        return Withdrawal(
            id=strawberry.ID(encode_id("Withdrawal", state.id)),
            state=state,
            client_withdrawal_id=state.client_id,
            address=state.address,
            amount=state.amount,
            fee=state.fee,
            status=state.status,
            hash=state.hash,
            reason=state.reason,
            cancelable=state.cancelable,
            created_at=to_datetime(state.created_ms),
            updated_at=to_datetime(state.updated_ms),
        )


@strawberry.type(description="An entry of the address book.")
class WithdrawalAddress(Node):
    entry: strawberry.Private[WithdrawalAddressDocument]
    address: str = strawberry.field(description="The address, in its usual form.")
    label: str = strawberry.field(description="What its owner calls it.")
    active_from: datetime = strawberry.field(description="From when on it may be used.")

    @strawberry.field(description="The chain it is of.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.entry.chain])

    @strawberry.field(description="The address in the chain's explorer; null where the chain has none.")
    def explorer_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.entry.chain].address_url(self.address))

    @staticmethod
    def of(entry: WithdrawalAddressDocument) -> "WithdrawalAddress":
        """The entry as clients see it."""
        return WithdrawalAddress(
            id=strawberry.ID(encode_id("WithdrawalAddress", entry.id)),
            entry=entry,
            address=entry.address,
            label=entry.label,
            active_from=to_datetime(entry.active_ms),
        )


@strawberry.type(description="What may be withdrawn in a day (UTC), by what it is worth when it is asked for.")
class WithdrawalLimits:
    id: strawberry.ID = strawberry.field(description="Stable per account.")
    quote_code: strawberry.Private[str]
    daily: Decimal = strawberry.field(description="What may be withdrawn in a day.")
    used: Decimal = strawberry.field(description="What was asked for today and not given back.")
    remaining: Decimal = strawberry.field(description="What is left of it today.")
    resets_at: datetime = strawberry.field(description="When the day ends.")

    @strawberry.field(description="What it is counted in.")
    def quote(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.quote_code))


@strawberry.type(description="What a withdrawal would be.")
class WithdrawalPreview:
    fee: Decimal | None = strawberry.field(
        description="What the exchange would keep of it; null where it is not made at all."
    )
    received: Decimal | None = strawberry.field(description="What would arrive.")
    review_required: bool = strawberry.field(description="Whether an operator would look at it first.")
    held_until: datetime | None = strawberry.field(
        description="Until when nothing is paid out, after a change of credentials."
    )
    step_up: StepUpChallenge | None = strawberry.field(
        description="What a session has to prove. With `clientWithdrawalId` it is for exactly this withdrawal, a passkey's options included. Null for an API key."
    )
    errors: list[WalletError] = strawberry.field(description="Everything that speaks against it now.")


@strawberry.input(one_of=True, description="A withdrawal of yours.")
class WithdrawalRef:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    client_withdrawal_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="The key it was asked for under."
    )


@strawberry.input(description="A withdrawal to look at before it is asked for.")
class WithdrawalPreviewInput:
    asset: str = strawberry.field(description="Code of the asset.")
    chain: str = strawberry.field(description="Key of the chain.")
    address_id: strawberry.ID = strawberry.field(description="An entry of your address book.")
    amount: Decimal = strawberry.field(description="What leaves the balance, the fee included.")
    client_withdrawal_id: str | None = strawberry.field(
        default=None, description="The key that you will ask under; with it `stepUp` has what a passkey is to sign."
    )


@strawberry.input(description="A withdrawal.")
class RequestWithdrawalInput:
    client_withdrawal_id: str = strawberry.field(
        description="Your key for it, 1 to 64 printable ASCII characters, for ever; in one space with those of orders."
    )
    asset: str = strawberry.field(description="Code of the asset.")
    chain: str = strawberry.field(description="Key of the chain.")
    address_id: strawberry.ID = strawberry.field(description="An entry of your address book.")
    amount: Decimal = strawberry.field(description="What leaves the balance, the fee included.")
    step_up_proof: str | None = strawberry.field(
        default=None, description="From `reauthenticate`; a session needs one, an API key none."
    )


@strawberry.input(description="What the link in the mail stands for.")
class ConfirmWithdrawalInput:
    token: str = strawberry.field(description="The token of the link.")
    by: WithdrawalRef | None = strawberry.field(
        default=None, description="The withdrawal it must be of; without it, the one it was mailed for."
    )


@strawberry.input(description="A withdrawal to take back.")
class CancelWithdrawalInput:
    by: WithdrawalRef = strawberry.field(description="Which.")


@strawberry.input(description="An operator's word on a withdrawal.")
class ReviewWithdrawalInput:
    id: strawberry.ID = strawberry.field(description="The withdrawal.")
    approve: bool = strawberry.field(description="Whether it is to be paid out.")
    reason: str = strawberry.field(description="Why; its owner sees it. 1 to 500 characters.")
    step_up_proof: str | None = strawberry.field(default=None, description="From `reauthenticate`.")


@strawberry.input(description="An address to withdraw to.")
class AddWithdrawalAddressInput:
    chain: str = strawberry.field(description="Key of the chain.")
    address: str = strawberry.field(description="The address; a checksum, where it has one, must be right.")
    label: str = strawberry.field(description="What you call it, 1 to 60 characters.")
    step_up_proof: str | None = strawberry.field(default=None, description="From `reauthenticate`.")


@strawberry.input(description="An address to take out of the book.")
class RemoveWithdrawalAddressInput:
    id: strawberry.ID = strawberry.field(description="The entry.")


@strawberry.type(description="A withdrawal after a change.")
class WithdrawalPayload(WalletRefusable):
    withdrawal: Withdrawal | None = strawberry.field(default=None, description="The withdrawal.")
    replayed: bool = strawberry.field(default=False, description="Whether this key had done it before.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)
