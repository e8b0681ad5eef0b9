"""Assets and the chains they live on."""

from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import strawberry

from core.ids import encode_id
from core.vocabulary import AssetKind, ChainFamily
from graph.context import Context
from graph.directives import Cost
from graph.public_data import MarketSource, public, public_attributes
from graph.remembered import Remembered
from graph.scalars import URL, Long, link
from graph.types.chain import ChainStatus, GasPrice
from graph.types.node import Node
from graph.types.price import PriceTick
from models.asset import AssetEntry, AssetNetworkEntry
from models.chain import ChainEntry

Info = strawberry.Info[Context, None]


@public_attributes
@strawberry.type(description="A blockchain this server knows.")
class Chain(Node):
    entry: strawberry.Private[ChainEntry]
    key: str = strawberry.field(description="Short name used in arguments, such as `ethereum`.")
    name: str = strawberry.field(description="Name for people.")
    family: ChainFamily = strawberry.field(description="Chains that share addresses and signatures.")
    network: str = strawberry.field(description="Which network of it this server speaks to, such as `Sepolia`.")
    chain_id: Long | None = strawberry.field(description="EIP-155 chain id; null outside EVM.")
    explorer: URL | None = strawberry.field(description="Block explorer; null where there is none.")

    @strawberry.field(description="The asset that pays for transactions.", metadata=public(MarketSource.CATALOGUE))
    def native(self, info: Info) -> "Asset":
        return Asset.of(info.context.catalogue.asset(self.entry.native))

    @strawberry.field(description="How its nodes are, and whether deposits can be credited; asks no node.")
    async def status(self, info: Info) -> ChainStatus | None:
        state = info.context.chains.state(self.key)
        problem = state.error or await info.context.custody.deposit_reads.problem(self.key)
        return ChainStatus.of(state if problem is None else replace(state, healthy=False, error=problem))

    @strawberry.field(
        description="What transactions cost now; null where this server has no node of the chain. With PROVIDER_UNAVAILABLE when no node "
        "answers. Costs 5 points.",
        directives=[Cost(points=5)],
    )
    async def gas(self, info: Info) -> GasPrice | None:
        offers = await info.context.chains.fees(self.key)
        return None if offers is None else GasPrice.of(offers)

    @staticmethod
    def of(chain: ChainEntry) -> "Chain":
        """The chain as clients see it."""
        return Chain(
            id=strawberry.ID(encode_id("Chain", chain.key)),
            entry=chain,
            key=chain.key,
            name=chain.name,
            family=chain.family,
            network=chain.network_name,
            chain_id=None if chain.chain_id is None else Long(chain.chain_id),
            explorer=link(chain.explorer),
        )


@public_attributes
@strawberry.type(description="An asset's form on one chain, and the rules for moving it there. Amounts in the asset.")
class AssetNetwork:
    id: strawberry.ID = strawberry.field(description="Stable per asset and chain.")
    entry: strawberry.Private[AssetNetworkEntry]
    contract: str | None = strawberry.field(description="Token contract; null for the chain's own coin.")
    decimals: int = strawberry.field(description="Decimals on this chain.")
    confirmations_required: int = strawberry.field(description="Blocks before a deposit is credited.")
    deposit_enabled: bool = strawberry.field(description="Whether deposits are taken.")
    min_deposit: Decimal | None = strawberry.field(description="Smaller deposits are reported, not credited.")
    withdrawal_enabled: bool = strawberry.field(description="Whether withdrawals are made.")
    min_withdrawal: Decimal | None = strawberry.field(description="Smallest withdrawal.")
    withdrawal_fee: Decimal | None = strawberry.field(description="Fee of a withdrawal.")
    code: strawberry.Private[str]

    @strawberry.field(description="The chain.", metadata=public(MarketSource.CATALOGUE))
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.entry.chain])

    @strawberry.field(description="The contract in the chain's explorer.", metadata=public(MarketSource.CATALOGUE))
    def explorer_url(self, info: Info) -> URL | None:
        if self.contract is None:
            return None
        return link(info.context.catalogue.chains[self.entry.chain].token_url(self.contract))

    @staticmethod
    def of(code: str, network: AssetNetworkEntry) -> "AssetNetwork":
        """The network as clients see it."""
        return AssetNetwork(
            id=strawberry.ID(encode_id("AssetNetwork", code, network.chain)),
            entry=network,
            code=code,
            contract=network.contract,
            decimals=network.decimals,
            confirmations_required=network.confirmations_required,
            deposit_enabled=network.deposit_enabled,
            min_deposit=network.min_deposit,
            withdrawal_enabled=network.withdrawal_enabled,
            min_withdrawal=network.min_withdrawal,
            withdrawal_fee=network.withdrawal_fee,
        )


@public_attributes
@strawberry.type(description="Something that can be owned and priced.")
class Asset(Node):
    entry: strawberry.Private[AssetEntry]
    code: str = strawberry.field(description="Short name in capitals, such as `BTC`.")
    name: str = strawberry.field(description="Name for people.")
    decimals: int = strawberry.field(description="Digits after the point that amounts may have.")
    kind: AssetKind = strawberry.field(description="What it is.")

    @strawberry.field(
        description="Chains it can be moved on; empty: it cannot be deposited or withdrawn here.",
        metadata=public(MarketSource.CATALOGUE),
    )
    def networks(self) -> list[AssetNetwork]:
        return [AssetNetwork.of(self.code, network) for network in self.entry.networks]

    @strawberry.field(
        description=(
            "Newest reference price. Null with FEED_UNAVAILABLE while no source delivers, "
            "and with UNKNOWN_MARKET when no market quotes it."
        ),
        metadata=public(MarketSource.CATALOGUE, MarketSource.TICK, MarketSource.FEED),
    )
    def price(
        self,
        info: Info,
        quote: Annotated[
            str | None,
            strawberry.argument(
                description="Asset to price in; without it the first of USD, USDT and USDC that is current."
            ),
        ] = None,
    ) -> PriceTick | None:
        tick, stale = info.context.markets.asset_price(self.code, quote=quote)
        return PriceTick.of(tick, stale=stale)

    @staticmethod
    def of(asset: AssetEntry) -> "Asset":
        """The asset as clients see it."""
        return _ASSETS.of(
            asset.code,
            asset,
            lambda: Asset(
                id=strawberry.ID(encode_id("Asset", asset.code)),
                entry=asset,
                code=asset.code,
                name=asset.name,
                decimals=asset.decimals,
                kind=asset.kind,
            ),
        )


_ASSETS: Remembered[AssetEntry, Asset] = Remembered()


@strawberry.type(description="So much of an asset.")
class AssetAmount:
    asset: Asset = strawberry.field(description="The asset.")
    amount: Decimal = strawberry.field(description="How much of it.")
