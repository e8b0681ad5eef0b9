"""How a chain's nodes are, and what its fees are."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from events.chain import ChainProviderState, ChainState, FeeOffer, FeeOffers
from graph.scalars import Long


@strawberry.type(description="A node that this server asks about a chain.")
class ChainProvider:
    name: str = strawberry.field(description="What this server calls it; its address is not told.")
    healthy: bool = strawberry.field(description="Whether it is asked now.")
    head: Long | None = strawberry.field(
        description="Its newest block (on Solana its slot); null before it has answered."
    )
    latency_ms: Long | None = strawberry.field(description="How long it took to tell its newest block.")
    error: str | None = strawberry.field(
        description="Why it is not asked, or what went wrong last: no answer, of another chain, behind the others."
    )

    @staticmethod
    def of(state: ChainProviderState) -> "ChainProvider":
        """The node as clients see it."""
        return ChainProvider(
            name=state.name,
            healthy=state.healthy,
            head=None if state.head is None else Long(state.head),
            latency_ms=None if state.latency_ms is None else Long(state.latency_ms),
            error=state.error,
        )


@strawberry.type(description="Whether a chain can be used, as its nodes were a moment ago.")
class ChainStatus:
    healthy: bool = strawberry.field(description="Whether a sound node answers and the chain moves on.")
    head: Long | None = strawberry.field(
        description="The newest block (on Solana the slot); null when no node has told it."
    )
    lag_seconds: int | None = strawberry.field(description="Age of the newest block, by the time written in it.")
    providers: list[ChainProvider] = strawberry.field(description="The nodes, those that are preferred first.")
    error: str | None = strawberry.field(
        description="What is wrong with the chain as a whole; null when it is healthy."
    )

    @staticmethod
    def of(state: ChainState) -> "ChainStatus":
        """The state as clients see it."""
        return ChainStatus(
            healthy=state.healthy,
            head=None if state.head is None else Long(state.head),
            lag_seconds=state.lag_seconds,
            providers=[ChainProvider.of(each) for each in state.providers],
            error=state.error,
        )


@strawberry.type(description="What to offer for a transaction so that it goes at one speed.")
class FeeQuote:
    max_fee_per_gas: Decimal | None = strawberry.field(
        description="EVM: the most a unit of gas may cost, in gwei; on chains without a base fee, the gas price. Null elsewhere."
    )
    max_priority_fee_per_gas: Decimal | None = strawberry.field(
        description="EVM: of it the most that goes to the block's maker, in gwei. Null on chains without a base fee, and elsewhere."
    )
    fee_rate: Decimal | None = strawberry.field(
        description="Bitcoin: satoshi for a virtual byte. Solana: priority fee in micro-lamports for a compute unit. Null elsewhere."
    )
    estimated_seconds: int | None = strawberry.field(description="How long it takes, in most cases.")

    @staticmethod
    def of(offer: FeeOffer) -> "FeeQuote":
        """The offer as clients see it."""
        return FeeQuote(
            max_fee_per_gas=offer.most,
            max_priority_fee_per_gas=offer.priority,
            fee_rate=offer.rate,
            estimated_seconds=offer.seconds,
        )


@strawberry.type(description="What transactions cost on a chain, for three speeds.")
class GasPrice:
    base_fee: Decimal | None = strawberry.field(
        description="EVM: what the next block takes for a unit of gas in any case (EIP-1559), in gwei; null where there is none."
    )
    slow: FeeQuote | None = strawberry.field(description="Cheap; may take several blocks.")
    standard: FeeQuote | None = strawberry.field(description="The next few blocks.")
    fast: FeeQuote | None = strawberry.field(description="The next block, most likely.")
    time: datetime = strawberry.field(description="When it was found out; it is kept for about a block.")

    @staticmethod
    def of(offers: FeeOffers) -> "GasPrice":
        """The offers as clients see them."""
        return GasPrice(
            base_fee=offers.base_fee,
            slow=FeeQuote.of(offers.slow),
            standard=FeeQuote.of(offers.standard),
            fast=FeeQuote.of(offers.fast),
            time=to_datetime(offers.time_ms),
        )
