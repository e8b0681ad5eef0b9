"""What an account has of an asset, and test funds to begin with."""

from decimal import Decimal
from typing import Annotated

import strawberry

from core.ids import encode_id
from events.trading import BalanceState
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Asset
from graph.types.errors import ERRORS
from graph.types.order_errors import OrderError, OrderRefusable

Info = strawberry.Info[Context, None]
Quote = Annotated[
    str | None,
    strawberry.argument(description="Asset to value in, such as `USD`; without it the account's own `quoteAsset`."),
]


@strawberry.type(description="What an account has of an asset. Amounts in the asset.")
class Balance:
    id: strawberry.ID = strawberry.field(description="Stable per account and asset.")
    state: strawberry.Private[BalanceState]
    available: Decimal = strawberry.field(description="What can be traded or moved now.")
    held: Decimal = strawberry.field(description="What open orders and withdrawals have set aside.")
    debt: Decimal = strawberry.field(
        description="What is owed after a deposit was reversed. It is no part of `total`; what comes in of the asset repays it first, and nothing "
        "can be withdrawn while anything is owed."
    )
    sequence: Long = strawberry.field(
        description="The place in the exchange's journal this is true at: of two states of a balance the higher one is newer."
    )

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.asset))

    @strawberry.field(description="What is put to earn.")
    def earning(self) -> Decimal:
        return Decimal(0)

    @strawberry.field(description="Available, held and earning together.")
    def total(self) -> Decimal:
        return self.state.available + self.state.held

    @strawberry.field(
        description="What `total` is worth by fresh reference prices, directly or through other markets, rounded half-even to "
        "8 digits after the point. Null while a price on the way is stale or missing."
    )
    async def value(self, info: Info, quote: Quote = None) -> Decimal | None:
        context = info.context
        into = await context.quote_of(self.state.account, quote)
        return context.funds.valuation.value(self.state.asset, self.state.available + self.state.held, into)

    @staticmethod
    def of(state: BalanceState) -> "Balance":
        """The balance as clients see it."""
        return Balance(
            id=strawberry.ID(encode_id("Balance", state.account, state.asset)),
            state=state,
            available=state.available,
            held=state.held,
            debt=state.debt,
            sequence=Long(state.sequence),
        )


@strawberry.input(description="Test funds that are asked for.")
class ClaimTestFundsInput:
    client_claim_id: str = strawberry.field(
        description="Your key for this claim, 1 to 64 printable ASCII characters, for ever; in one space with those of orders."
    )
    asset: str = strawberry.field(description="Code of the asset.")
    amount: Decimal = strawberry.field(description="How much, in the asset.")


@strawberry.type(description="Balances after a change.")
class BalancesPayload(OrderRefusable):
    balances: list[Balance] = strawberry.field(default_factory=list, description="The balances that changed.")
    replayed: bool = strawberry.field(default=False, description="Whether this key had done it before.")
    errors: list[OrderError] = strawberry.field(default_factory=list, description=ERRORS)
