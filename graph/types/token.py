"""Coins and tokens of chains."""

import strawberry

from core.ids import encode_id
from events.token import TokenState
from graph.context import Context
from graph.scalars import URL, link
from graph.types.asset import Asset, Chain

Info = strawberry.Info[Context, None]


@strawberry.type(description="A chain's own coin, or a token on it.")
class Token:
    id: strawberry.ID = strawberry.field(description="Stable per chain and contract.")
    state: strawberry.Private[TokenState]
    contract: str | None = strawberry.field(
        description="Its contract (on Solana its mint); null for the chain's own coin."
    )
    symbol: str = strawberry.field(
        description="Short name. Of a token that this server does not vouch for it is the contract's word: show it together with `spam`."
    )
    name: str = strawberry.field(description="Name for people, under the same reserve.")
    decimals: int = strawberry.field(description="Digits after the point.")
    spam: bool = strawberry.field(
        description="Whether its words look like bait: they lead to a page, promise a reward, hide letters, or look like a coin it is not."
    )

    @strawberry.field(description="The chain it is on.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.state.chain])

    @strawberry.field(
        description="Its contract in the chain's explorer; null for the chain's own coin, and where the chain has none."
    )
    def explorer_url(self, info: Info) -> URL | None:
        if self.contract is None:
            return None
        return link(info.context.catalogue.chains[self.state.chain].token_url(self.contract))

    @strawberry.field(
        description="The asset here that it is a form of, or can be exchanged for one to one; null: it has no price here."
    )
    def asset(self, info: Info) -> Asset | None:
        code = self.state.asset
        return None if code is None else Asset.of(info.context.catalogue.asset(code))

    @staticmethod
    def of(state: TokenState) -> "Token":
        """The token as clients see it."""
        return Token(
            id=strawberry.ID(encode_id("Token", state.chain, state.contract or "coin")),
            state=state,
            contract=state.contract,
            symbol=state.symbol,
            name=state.name,
            decimals=state.decimals,
            spam=state.spam,
        )
