"""Payloads about the address book; apart, since they show the account."""

import strawberry

from graph.types.errors import ERRORS
from graph.types.user import User
from graph.types.wallet_errors import WalletError, WalletRefusable
from graph.types.withdrawal import WithdrawalAddress


@strawberry.type(description="An entry of the address book after a change.")
class WithdrawalAddressPayload(WalletRefusable):
    address: WithdrawalAddress | None = strawberry.field(default=None, description="The entry.")
    viewer: User | None = strawberry.field(default=None, description="The account.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)
