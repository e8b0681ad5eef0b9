"""The roots of what moves between the ledger and chains: parts of the roots in `graph/schema.py`."""

from collections.abc import AsyncGenerator
from operator import attrgetter

import strawberry

from core.account_vocabulary import ApiScope
from graph.access import Access
from graph.fields import mutation, query, subscription
from graph.step_up import StepUpDemanded
from graph.types.deposit import Deposit, DepositAddressPayload
from graph.types.withdrawal import Withdrawal, WithdrawalPayload, WithdrawalPreview
from graph.types.withdrawal_payloads import WithdrawalAddressPayload
from resolvers import deposits as deposit_resolvers
from resolvers import withdrawals as withdrawal_resolvers


@strawberry.type
class CustodyQuery:
    withdrawal: Withdrawal | None = query(
        withdrawal_resolvers.withdrawal,
        "A withdrawal of yours; null when there is none such.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )
    withdrawal_preview: WithdrawalPreview | None = query(
        withdrawal_resolvers.withdrawal_preview,
        "What a withdrawal would be now, without asking for it.",
        access=Access.SELF,
        scope=ApiScope.READ,
    )


@strawberry.type
class CustodySubscription:
    deposit_updated: AsyncGenerator[Deposit, None] = subscription(
        deposit_resolvers.deposit_updated,
        "Your deposits that are under way, then every state that one takes on: seen, each confirmation, credited. None is skipped.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=attrgetter("state"),
    )
    withdrawal_updated: AsyncGenerator[Withdrawal, None] = subscription(
        withdrawal_resolvers.withdrawal_updated,
        "Your withdrawals that are not over, then every state that one takes on. None is skipped.",
        access=Access.SELF,
        scope=ApiScope.READ,
        same_by=attrgetter("state"),
    )


@strawberry.type
class CustodyMutation:
    create_deposit_address: DepositAddressPayload = mutation(
        deposit_resolvers.create_deposit_address,
        "Your address on a chain, made when there is none yet; the same ever after.",
        access=Access.VERIFIED,
    )
    add_withdrawal_address: WithdrawalAddressPayload = mutation(
        withdrawal_resolvers.add_withdrawal_address,
        "Add an address to your address book. It may be used after a waiting time; adding it again changes nothing.",
        access=Access.VERIFIED,
        step_up=StepUpDemanded(),
        alone=True,
    )
    remove_withdrawal_address: WithdrawalAddressPayload = mutation(
        withdrawal_resolvers.remove_withdrawal_address,
        "Take an address out of your address book. What is on its way to it and not signed waits then.",
        access=Access.SESSION,
    )
    request_withdrawal: WithdrawalPayload = mutation(
        withdrawal_resolvers.request_withdrawal,
        "Withdraw to an address of your book. A session confirms it by the link in a mail; an API key needs an address allow-list instead.",
        access=Access.SELF,
        scope=ApiScope.WITHDRAW,
        step_up=StepUpDemanded(by_resolver=True),
        alone=True,
        idempotent="clientWithdrawalId",
    )
    confirm_withdrawal: WithdrawalPayload = mutation(
        withdrawal_resolvers.confirm_withdrawal,
        "Confirm a withdrawal with the token of the mail.",
        access=Access.ANYONE,
        alone=True,
    )
    cancel_withdrawal: WithdrawalPayload = mutation(
        withdrawal_resolvers.cancel_withdrawal,
        "Take a withdrawal back, until it is about to be signed.",
        access=Access.SELF,
        scope=ApiScope.WITHDRAW,
    )
