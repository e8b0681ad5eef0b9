"""What an account owns, valued."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.errors import NotAvailableYet
from core.ids import encode_id
from core.vocabulary import AllocationKey, CostBasisMethod
from events.funds import HoldingState, PortfolioState, SliceState
from graph.context import Context
from graph.directives import Cost
from graph.types.asset import Asset
from graph.types.price import PriceTick
from graph.types.wallet_balance import ChainFailure

Info = strawberry.Info[Context, None]
Method = Annotated[
    CostBasisMethod,
    strawberry.argument(description="Only AVERAGE yet: others are null with NOT_AVAILABLE."),
]
OnChain = Annotated[bool, strawberry.argument(description="With what linked wallets hold.")]
_COSTS = (
    "Costs are kept as what was paid, in the assets it was paid with, and valued at today's rates. "
    "Units whose cost is not known (deposits, test funds) do not count, nor do fiat and stablecoins."
)


def _require_average(method: CostBasisMethod) -> None:
    if method is not CostBasisMethod.AVERAGE:
        raise NotAvailableYet("single lots are not kept yet; ask for AVERAGE", field=["method"])


@strawberry.type(
    description="What is owned of one asset. Values in the portfolio's quote; null while a price is stale or missing."
)
class Holding:
    id: strawberry.ID = strawberry.field(description="Stable per account, asset and quote.")
    state: strawberry.Private[HoldingState]
    quantity: Decimal = strawberry.field(
        description="All of it, in the asset: what is on this exchange, and what linked wallets hold as far as that is asked for and known."
    )
    available: Decimal = strawberry.field(description="What can be traded or moved now, in the asset.")
    held: Decimal = strawberry.field(description="What open orders and withdrawals have set aside, in the asset.")
    on_chain: Decimal | None = strawberry.field(
        description="What linked wallets hold, in the asset; null when that was not asked for, or a chain that may have some of it could not be read."
    )
    value: Decimal | None = strawberry.field(description="What all of it is worth; null where `onChain` is not known.")
    share: Decimal | None = strawberry.field(
        description="Its part of the whole, as a fraction; null while the worth of a part of the whole is not known."
    )

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.asset))

    @strawberry.field(description="What is put to earn, in the asset.")
    def earning(self) -> Decimal:
        return Decimal(0)

    @strawberry.field(description="Newest price in the quote, where a market has that very pair.")
    def price(self) -> PriceTick | None:
        return None if self.state.price is None else PriceTick.of(self.state.price, stale=self.state.price_stale)

    @strawberry.field(description=f"What a unit has cost on average. {_COSTS}")
    def average_cost(self, method: Method = CostBasisMethod.AVERAGE) -> Decimal | None:
        _require_average(method)
        return self.state.average_cost

    @strawberry.field(description=f"What units of known cost are worth beyond it. {_COSTS}")
    def unrealized_pnl(self, method: Method = CostBasisMethod.AVERAGE) -> Decimal | None:
        _require_average(method)
        return self.state.unrealized

    @strawberry.field(description=f"`unrealizedPnl` in percent of the cost. {_COSTS}")
    def unrealized_pnl_percent(self, method: Method = CostBasisMethod.AVERAGE) -> Decimal | None:
        _require_average(method)
        return self.state.unrealized_percent

    @staticmethod
    def of(state: HoldingState) -> "Holding":
        """The holding as its owner sees it."""
        return Holding(
            id=strawberry.ID(encode_id("Holding", state.account, state.asset, state.quote)),
            state=state,
            quantity=state.available + state.held + (state.on_chain or 0),
            available=state.available,
            held=state.held,
            on_chain=state.on_chain,
            value=state.value,
            share=state.share,
        )


@strawberry.type(description="A part of a portfolio.")
class AllocationSlice:
    key: str = strawberry.field(
        description="For programs: the asset's code, the kind, the chain's key, `EXCHANGE` or `WALLETS`."
    )
    label: str = strawberry.field(description="For people.")
    value: Decimal | None = strawberry.field(
        description="What it is worth; null while a price is stale or missing, or a chain could not be read."
    )
    share: Decimal | None = strawberry.field(
        description="Its part of the whole, as a fraction; null while the worth of a part of the whole is not known."
    )

    @staticmethod
    def of(state: SliceState) -> "AllocationSlice":
        """The part as clients see it."""
        return AllocationSlice(key=state.key, label=state.label, value=state.value, share=state.share)


@strawberry.type(
    description="What an account owns, valued in one asset by fresh reference prices, directly or through other markets. A sum of which "
    "a part cannot be valued is null, and `stale` names what is missing. Sums, gains and changes are of what is on this exchange; what linked wallets hold stands "
    "in `onChainValue`, and in `holdings` and `allocation` unless they are asked not to."
)
class Portfolio:
    id: strawberry.ID = strawberry.field(description="Stable per account and quote.")
    state: strawberry.Private[PortfolioState]
    as_of: datetime = strawberry.field(description="When it was valued.")
    total_value: Decimal | None = strawberry.field(description="What everything on this exchange is worth.")
    change24h: Decimal | None = strawberry.field(
        description="What the same holdings are worth beyond what they were worth 24 hours ago."
    )
    change_percent24h: Decimal | None = strawberry.field(description="`change24h` in percent of the value then.")

    @strawberry.field(description="What values are in.")
    def quote(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.quote))

    @strawberry.field(description=f"What the units of known cost have cost; null when there are none. {_COSTS}")
    def cost_basis(self, method: Method = CostBasisMethod.AVERAGE) -> Decimal | None:
        _require_average(method)
        return self.state.cost_basis

    @strawberry.field(
        description=f"What the units of known cost are worth beyond it; null when there are none. {_COSTS}"
    )
    def unrealized_pnl(self, method: Method = CostBasisMethod.AVERAGE) -> Decimal | None:
        _require_average(method)
        return self.state.unrealized

    @strawberry.field(
        description=f"What sales have brought beyond the cost of what was sold, fees taken off, since the beginning. {_COSTS}"
    )
    def realized_pnl(
        self,
        method: Method = CostBasisMethod.AVERAGE,
        from_: Annotated[
            datetime | None,
            strawberry.argument(name="from", description="Not available yet: null with NOT_AVAILABLE."),
        ] = None,
        to: Annotated[
            datetime | None, strawberry.argument(description="Not available yet: null with NOT_AVAILABLE.")
        ] = None,
    ) -> Decimal | None:
        _require_average(method)
        if from_ is not None or to is not None:
            raise NotAvailableYet("gains of a span of time are not kept yet; ask without from and to", field=["from"])
        return self.state.realized

    @strawberry.field(
        description="What is owned, by asset, in the order of the catalogue. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def holdings(self, info: Info, include_on_chain: OnChain = True) -> list[Holding] | None:
        state = self.state
        if include_on_chain:
            funds = await info.context.wallet_views.funds.read(state.account)
            state = info.context.funds.portfolios.with_wallets(state, funds)
        return [Holding.of(each) for each in state.holdings]

    @strawberry.field(
        description="The parts of the whole, largest first, those of unknown worth last. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def allocation(
        self,
        info: Info,
        by: Annotated[AllocationKey, strawberry.argument(description="What it is divided by.")] = AllocationKey.ASSET,
        include_on_chain: OnChain = True,
    ) -> list[AllocationSlice] | None:
        funds = await info.context.wallet_views.funds.read(self.state.account) if include_on_chain else None
        parts = info.context.funds.portfolios.allocation(self.state, by, funds)
        return [AllocationSlice.of(part) for part in parts]

    @strawberry.field(
        description="What linked wallets hold is worth, but for tokens without an asset here. Null when a chain could not be read (see `chainFailures`), and "
        "while a price is stale or missing. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def on_chain_value(self, info: Info) -> Decimal | None:
        funds = await info.context.wallet_views.funds.read(self.state.account)
        return info.context.funds.portfolios.on_chain_value(self.state, funds)

    @strawberry.field(
        description="Chains, or tokens of a chain, of which it could not be found out what linked wallets hold: that is not 0, it is not known. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def chain_failures(self, info: Info) -> list[ChainFailure]:
        funds = await info.context.wallet_views.funds.read(self.state.account)
        return [ChainFailure.of(each, info.context.client.locale) for each in funds.failures]

    @strawberry.field(description="Assets that have no fresh price now and so are not valued.")
    def stale(self, info: Info) -> list[Asset]:
        return [Asset.of(info.context.catalogue.asset(code)) for code in self.state.stale]

    @staticmethod
    def of(state: PortfolioState) -> "Portfolio":
        """The portfolio as its owner sees it."""
        return Portfolio(
            id=strawberry.ID(encode_id("Portfolio", state.account, state.quote)),
            state=state,
            as_of=to_datetime(state.as_of_ms),
            total_value=state.total,
            change24h=state.change_24h,
            change_percent24h=state.change_percent_24h,
        )
