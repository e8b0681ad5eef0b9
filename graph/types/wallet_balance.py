"""What wallets hold on their chains."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.translations import translated
from core.wallet_vocabulary import WalletErrorCode
from events.wallet import ChainTrouble, TokenHolding, WalletHoldings
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Chain
from graph.types.balance import Quote
from graph.types.token import Token

Info = strawberry.Info[Context, None]


@strawberry.type(description="What a wallet has of a coin or token.")
class ChainBalance:
    id: strawberry.ID = strawberry.field(description="Stable per wallet and token.")
    holding: strawberry.Private[TokenHolding]
    token: Token = strawberry.field(description="What it is of.")
    quantity: Decimal = strawberry.field(description="How much, in whole units of the token.")
    block_number: Long | None = strawberry.field(
        description="The block it is true at (on Solana the slot); the same for all balances of a chain in one answer."
    )
    time: datetime = strawberry.field(description="When that was, by the time in the block.")

    @strawberry.field(
        description="What `quantity` is worth by fresh reference prices, rounded half-even to 8 digits after the point. Null for a token without "
        "an asset here, and while a price on the way is stale or missing."
    )
    async def value(self, info: Info, quote: Quote = None) -> Decimal | None:
        asset = self.holding.token.asset
        if asset is None:
            return None
        return info.context.funds.valuation.value(asset, self.quantity, await info.context.quote_of_viewer(quote))

    @staticmethod
    def of(address: str, holding: TokenHolding) -> "ChainBalance":
        """The balance as clients see it."""
        token = holding.token
        return ChainBalance(
            id=strawberry.ID(encode_id("ChainBalance", token.chain, address, token.contract or "coin")),
            holding=holding,
            token=Token.of(token),
            quantity=_quantity(holding),
            block_number=None if holding.block is None else Long(holding.block),
            time=to_datetime(holding.time_ms),
        )


@strawberry.type(description="Something that is not known of a chain, and why.")
class ChainFailure:
    key: strawberry.Private[str]
    code: WalletErrorCode = strawberry.field(description="For programs; the same in every language.")
    message: str = strawberry.field(description="For people, in their language.")

    @strawberry.field(description="The chain.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.key])

    @staticmethod
    def of(trouble: ChainTrouble, locale: str) -> "ChainFailure":
        """The trouble in the reader's language."""
        message = translated(trouble.text, locale).format_map(trouble.values)
        return ChainFailure(key=trouble.chain, code=trouble.code, message=message)


@strawberry.type(description="What a wallet holds on its chains: what is known, and beside it what is not.")
class WalletBalances:
    holdings: strawberry.Private[WalletHoldings]
    items: list[ChainBalance] = strawberry.field(
        description="Every chain's own coin, also when there is none of it, and the tokens of which there is something. Tokens of EVM chains are "
        "looked for among those that this server knows."
    )
    failures: list[ChainFailure] = strawberry.field(
        description="Chains, or tokens of a chain, that could not be read. What is missing for this is not 0: it is not known. Items of a chain that does "
        "not answer are what it last told, at most five minutes ago: see their `time`."
    )

    @strawberry.field(
        description="What all items are worth together, but for tokens without an asset here. Null when a chain could not be read, and while a "
        "price is stale or missing."
    )
    async def total_value(self, info: Info, quote: Quote = None) -> Decimal | None:
        amounts: dict[str, Decimal] = {}
        for item in self.items:
            asset = item.holding.token.asset
            if asset is not None:
                amounts[asset] = amounts.get(asset, Decimal(0)) + item.quantity
        into = await info.context.quote_of_viewer(quote)
        return None if self.holdings.failures else info.context.funds.valuation.total(amounts, into)

    @staticmethod
    def of(holdings: WalletHoldings, *, include_spam: bool, locale: str) -> "WalletBalances":
        """What is held as clients see it."""
        shown = [item for item in holdings.items if include_spam or not item.token.spam]
        return WalletBalances(
            holdings=holdings,
            items=[ChainBalance.of(holdings.address, item) for item in shown],
            failures=[ChainFailure.of(each, locale) for each in holdings.failures],
        )


def _quantity(holding: TokenHolding) -> Decimal:
    return Decimal(holding.units).scaleb(-holding.token.decimals)
