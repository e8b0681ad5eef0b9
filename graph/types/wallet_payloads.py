"""What mutations about linked wallets answer."""

import strawberry

from graph.types.errors import ERRORS
from graph.types.user import User
from graph.types.wallet import LinkChallenge, Wallet
from graph.types.wallet_errors import WalletError, WalletRefusable


@strawberry.type(description="A message to be signed by a wallet.")
class LinkChallengePayload(WalletRefusable):
    challenge: LinkChallenge | None = strawberry.field(default=None, description="What is to be signed.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.type(description="A wallet after a change.")
class WalletPayload(WalletRefusable):
    wallet: Wallet | None = strawberry.field(
        default=None, description="The wallet as it is, or, when it was unlinked, as it was."
    )
    viewer: User | None = strawberry.field(default=None, description="The account.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)
