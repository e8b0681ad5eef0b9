"""Quotes for swaps."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.wallet_vocabulary import FeeSpeed, SwapProvider, SwapStatus
from events.token import TokenState
from graph.context import Context
from graph.directives import Cost
from graph.types.asset import Asset, AssetAmount, Chain
from graph.types.chain_transaction import ChainTransaction
from graph.types.node import Node
from graph.types.token import Token
from models.swap import SwapDocument
from models.swap_quote import FeeEntry, QuoteEntry, StepEntry, SwapQuoteDocument, TokenEntry

Info = strawberry.Info[Context, None]


@strawberry.type(description="An exchange or bridge on the way of a swap.")
class SwapStep:
    entry: strawberry.Private[StepEntry]
    tool: str = strawberry.field(description="Its name; several, with commas, where they are not told apart.")
    from_: Token = strawberry.field(name="from", description="What goes in.")
    to: Token = strawberry.field(description="What comes out.")
    estimated_seconds: int | None = strawberry.field(
        description="How long it takes, in most cases; null: nobody says. Steps on one chain share one transaction."
    )

    @strawberry.field(description="Where it begins.")
    def from_chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.entry.from_token.chain])

    @strawberry.field(description="Where it ends.")
    def to_chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.entry.to_token.chain])

    @staticmethod
    def of(entry: StepEntry) -> "SwapStep":
        """The step as clients see it."""
        return SwapStep(
            entry=entry,
            tool=entry.tool,
            from_=_token(entry.from_token),
            to=_token(entry.to_token),
            estimated_seconds=entry.seconds,
        )


@strawberry.type(description="What an aggregator offers for a swap. Amounts in whole units of the token.")
class SwapQuote(Node):
    fee_entries: strawberry.Private[tuple[FeeEntry, ...]]
    provider: SwapProvider = strawberry.field(description="Whose offer it is.")
    from_: Token = strawberry.field(name="from", description="What is sold.")
    to: Token = strawberry.field(description="What is bought.")
    amount_in: Decimal = strawberry.field(description="So much is sold.")
    amount_out: Decimal = strawberry.field(description="So much arrives if prices stay, fees taken off.")
    minimum_out: Decimal = strawberry.field(description="If less would arrive, the swap does not happen.")
    price_impact: Decimal | None = strawberry.field(
        description="The part of the worth that is lost by this server's reference prices, as a fraction of one; below 0: something is gained. "
        "Null where one of the tokens has no price here."
    )
    steps: list[SwapStep] = strawberry.field(description="The way it takes.")
    expires_at: datetime = strawberry.field(description="Until when it can be prepared.")

    @strawberry.field(
        description="What the aggregator, exchanges and bridges take, by asset, without the chain's own fee. Fees in tokens that are no asset here are not shown."
    )
    def fees(self, info: Info) -> list[AssetAmount]:
        catalogue = info.context.catalogue
        return [AssetAmount(asset=Asset.of(catalogue.asset(fee.asset)), amount=fee.amount) for fee in self.fee_entries]

    @staticmethod
    def of(row: SwapQuoteDocument) -> "SwapQuote":
        """The quote as clients see it."""
        return SwapQuote.offered(row.id, row.quote)

    @staticmethod
    def offered(quote_id: str, quote: QuoteEntry) -> "SwapQuote":
        """An offer under its id."""
        return SwapQuote(
            id=strawberry.ID(encode_id("SwapQuote", quote_id)),
            fee_entries=quote.fees,
            provider=quote.provider,
            from_=_token(quote.from_token),
            to=_token(quote.to_token),
            amount_in=quote.amount_in,
            amount_out=quote.amount_out,
            minimum_out=quote.minimum_out,
            price_impact=quote.price_impact,
            steps=[SwapStep.of(step) for step in quote.steps],
            expires_at=to_datetime(quote.expires_ms),
        )


@strawberry.type(description="A swap that was prepared from a quote, over one chain or two.")
class Swap(Node):
    row: strawberry.Private[SwapDocument]
    status: SwapStatus = strawberry.field(description="How far it is.")

    @strawberry.field(description="What it was prepared from, as it was offered then.")
    def quote(self) -> SwapQuote:
        return SwapQuote.offered(self.row.quote_id, self.row.quote)

    @strawberry.field(
        description="Its transaction on the chain of what is sold; null until it was sent. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def source(self, info: Info) -> ChainTransaction | None:
        return await _transaction(info, self.row.quote.from_token.chain, self.row.source)

    @strawberry.field(
        description="The transaction that brought what was bought to the other chain; null until then, and for swaps on one chain. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def destination(self, info: Info) -> ChainTransaction | None:
        return await _transaction(info, self.row.quote.to_token.chain, self.row.destination)

    @staticmethod
    def of(row: SwapDocument) -> "Swap":
        """The swap as clients see it."""
        return Swap(id=strawberry.ID(encode_id("Swap", row.id)), row=row, status=row.status)


@strawberry.input(description="A swap to prepare.")
class PrepareSwapInput:
    quote_id: strawberry.ID = strawberry.field(description="A quote of yours that still holds.")
    speed: FeeSpeed = strawberry.field(default=FeeSpeed.STANDARD, description="How much of a hurry the fee buys.")


@strawberry.input(description="A swap to ask for.")
class SwapQuoteInput:
    from_chain: str = strawberry.field(description="Key of the chain of what is sold; an EVM chain.")
    to_chain: str = strawberry.field(description="Key of the chain where it is to arrive; an EVM chain.")
    from_: str = strawberry.field(
        name="from",
        description="What is sold: a token's contract, or the symbol of a coin or token that this server lists.",
    )
    to: str = strawberry.field(description="What is bought, likewise.")
    amount: Decimal = strawberry.field(description="How much is sold, in whole units.")
    address: str = strawberry.field(description="The wallet that pays and is paid, on both chains.")
    max_slippage: Decimal | None = strawberry.field(
        default=None,
        description="How far below the quote the outcome may be, as a fraction of one: 0.0001 to 0.05 in steps of 0.0001; without it 0.005.",
    )


async def _transaction(info: Info, chain: str, hash_: str | None) -> ChainTransaction | None:
    if hash_ is None:
        return None
    state = await info.context.transfers.transactions.read(chain, hash_)
    return None if state is None else ChainTransaction.of(state)


def _token(entry: TokenEntry) -> Token:
    return Token.of(
        TokenState(
            chain=entry.chain,
            contract=entry.contract,
            symbol=entry.symbol,
            name=entry.name,
            decimals=entry.decimals,
            asset=entry.asset,
            spam=entry.spam,
        )
    )
