"""The reviewed data file: chains, assets and markets this server knows, and how they enter the database.

The JSON files beside this module are the reviewed truth for names, networks, provider names and rules; a market's status is the
database's where the exchange's journal ever changed it, and rules refreshed from a provider replace the file's until the file is loaded again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from core.errors import ExpectedError
from core.money import canonical
from core.vocabulary import ChainFamily, MarketStatus, PriceSource
from core.wallet_vocabulary import ChainNetwork
from events.market import MarketRulesChanged
from events.token import TokenState
from integrations.feeds.base import FeedMarket, ProviderRules
from models.asset import AssetEntry, AssetNetworkEntry, all_assets, replace_assets
from models.chain import ChainEntry
from models.market import MarketEntry, all_markets, replace_markets
from models.market_status import all_statuses

_FOLDER = Path(__file__).parent


class UnknownMarket(ExpectedError):
    """No market has this symbol."""

    code = "UNKNOWN_MARKET"


class UnknownAsset(ExpectedError):
    """No asset has this code."""

    code = "UNKNOWN_ASSET"


class UnknownChain(ExpectedError):
    """No chain has this key."""

    code = "UNKNOWN_CHAIN"


class CatalogueInvalid(Exception):
    """The reviewed data file contradicts itself; the message names the entry."""


@dataclass(slots=True)
class Catalogue:
    """The catalogue of one process, by code and symbol, in the file's order. `version` rises with every change."""

    chains: Mapping[str, ChainEntry]
    assets: Mapping[str, AssetEntry]
    markets: dict[str, MarketEntry]
    tokens: Mapping[str, Mapping[str | None, TokenState]] = field(default_factory=dict)
    """By chain and contract, the chain's own coin (None) first: coins and tokens that this server vouches for."""
    version: int = field(default=1)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name != "version" and hasattr(self, "version"):
            object.__setattr__(self, "version", self.version + 1)

    def chain(self, key: str, *, field: Sequence[str] = ("chain",)) -> ChainEntry:
        """The chain of this key. Raises UnknownChain, which names the input `field`."""
        chain = self.chains.get(key)
        if chain is None:
            known = ", ".join(self.chains)
            raise UnknownChain(f"there is no chain {key[:40]!r} here; there are {known}", field=list(field))
        return chain

    def market(self, symbol: str, *, field: Sequence[str] = ("symbol",)) -> MarketEntry:
        """The market of this symbol. Raises UnknownMarket, which names the input `field`."""
        market = self.markets.get(symbol)
        if market is None:
            raise UnknownMarket(
                f"there is no market {symbol[:40]!r}; symbols are BASE-QUOTE in capitals, such as BTC-USDT (see markets)",
                field=list(field),
            )
        return market

    def asset(self, code: str, *, field: Sequence[str] = ("code",)) -> AssetEntry:
        """The asset of this code. Raises UnknownAsset, which names the input `field`."""
        asset = self.assets.get(code)
        if asset is None:
            raise UnknownAsset(
                f"there is no asset {code[:40]!r}; codes are in capitals, such as BTC (see assets)", field=list(field)
            )
        return asset

    def set_status(self, symbol: str, status: MarketStatus) -> None:
        """Take over a status that was decided elsewhere."""
        self.markets[symbol] = self.market(symbol).model_copy(update={"status": status})
        self.version += 1

    def set_rules(self, changed: MarketRulesChanged) -> None:
        """Take over rules that were read elsewhere."""
        market = self.market(changed.symbol)
        rules = market.rules.model_copy(
            update={
                "tick_size": changed.tick_size,
                "lot_size": changed.lot_size,
                "min_quantity": changed.min_quantity,
                "max_quantity": changed.max_quantity,
                "min_notional": changed.min_notional,
            }
        )
        self.markets[changed.symbol] = market.model_copy(update={"rules": rules})
        self.version += 1

    def feed_markets(self) -> dict[PriceSource, list[FeedMarket]]:
        """Which markets each provider is asked for, under its own names."""
        wanted: dict[PriceSource, list[FeedMarket]] = {}
        for market in self.markets.values():
            for source, name in market.providers.items():
                wanted.setdefault(source, []).append(FeedMarket(symbol=market.symbol, provider_symbol=name))
        return wanted


class _ChainFile(BaseModel):
    """A chain as the file has it: what holds for one network of it stands under the network's name."""

    key: str
    name: str
    family: ChainFamily
    native: str
    networks: dict[ChainNetwork, dict[str, object]]

    def entry(self, network: ChainNetwork) -> ChainEntry | None:
        """The chain on this network; None: there is none."""
        if network not in self.networks:
            return None
        common = {"key": self.key, "name": self.name, "family": self.family, "native": self.native}
        return ChainEntry.model_validate({**common, **self.networks[network]})


class _AssetNetworkFile(AssetNetworkEntry):
    """An asset's form on one chain as the file has it: with a token's contract on each network; None: the chain's own coin."""

    contract: dict[ChainNetwork, str] | None = None  # type: ignore[assignment]

    def entry(self, network: ChainNetwork) -> AssetNetworkEntry | None:
        """The form on this network; None: the token is not there."""
        if self.contract is None:
            return AssetNetworkEntry.model_validate(self.model_dump())
        if network not in self.contract:
            return None
        return AssetNetworkEntry.model_validate({**self.model_dump(), "contract": self.contract[network]})


class _AssetFile(AssetEntry):
    """An asset as the file has it."""

    networks: tuple[_AssetNetworkFile, ...] = ()

    def entry(self, network: ChainNetwork, chains: Mapping[str, ChainEntry]) -> AssetEntry:
        """The asset with its forms on the chains of this network."""
        forms = [form.entry(network) for form in self.networks if form.chain in chains]
        return AssetEntry.model_validate(
            {**self.model_dump(), "networks": [form for form in forms if form is not None]}
        )


class _TokenFile(BaseModel):
    """A token that is no asset of its own here, as the file has it: with its contract on each network."""

    chain: str
    symbol: str
    name: str
    decimals: int
    asset: str | None = None
    """What it can be exchanged for one to one, by its contract or its issuer, and is valued as."""
    contract: dict[ChainNetwork, str]


def _tokens(
    network: ChainNetwork,
    chains: Mapping[str, ChainEntry],
    assets: Mapping[str, AssetEntry],
    files: Sequence[_TokenFile],
) -> dict[str, dict[str | None, TokenState]]:
    """Coins, then assets' tokens, then further ones, by chain and contract."""
    found: dict[str, dict[str | None, TokenState]] = {}
    for chain in chains.values():
        forms = [(asset, form) for asset in assets.values() for form in asset.networks if form.chain == chain.key]
        forms.sort(key=lambda each: each[1].contract is not None)
        listed = [
            TokenState(chain.key, form.contract, asset.code, asset.name, form.decimals, asset.code)
            for asset, form in forms
        ]
        listed += [
            TokenState(chain.key, file.contract[network], file.symbol, file.name, file.decimals, file.asset)
            for file in files
            if file.chain == chain.key and network in file.contract
        ]
        found[chain.key] = {token.contract: token for token in listed}
        if len(found[chain.key]) != len(listed):
            raise CatalogueInvalid(f"chain {chain.key}: a contract is named twice")
    return found


def read_files(network: ChainNetwork = ChainNetwork.MAINNET) -> Catalogue:
    """The catalogue as the data files say, with chains and contracts of this network.

    Raises:
        CatalogueInvalid: an asset, chain or rule is missing or contradictory.
    """
    chain_files = TypeAdapter(list[_ChainFile]).validate_json((_FOLDER / "chains.json").read_bytes())
    asset_files = TypeAdapter(list[_AssetFile]).validate_json((_FOLDER / "assets.json").read_bytes())
    markets = TypeAdapter(list[MarketEntry]).validate_json((_FOLDER / "markets.json").read_bytes())
    token_files = TypeAdapter(list[_TokenFile]).validate_json((_FOLDER / "tokens.json").read_bytes())
    known = {chain.key for chain in chain_files}
    for file in asset_files:
        for form in file.networks:
            if form.chain not in known:
                raise CatalogueInvalid(f"asset {file.code}: chain {form.chain} is not in chains.json")
    chains = {chain.key: chain for file in chain_files if (chain := file.entry(network)) is not None}
    assets = {file.code: file.entry(network, chains) for file in asset_files}
    catalogue = Catalogue(
        chains=chains,
        assets=assets,
        markets={market.symbol: market for market in markets},
        tokens=_tokens(network, chains, assets, token_files),
    )
    _check(catalogue)
    return catalogue


async def load(network: ChainNetwork = ChainNetwork.MAINNET) -> Catalogue:
    """Bring the database up to the data files and return what holds now. Safe to run in every process at once."""
    catalogue = read_files(network)
    known = {market.symbol: market for market in await all_markets()}
    changed_markets = [market for market in catalogue.markets.values() if known.get(market.symbol) != market]
    known_assets = {asset.code: asset for asset in await all_assets()}
    changed_assets = [asset for asset in catalogue.assets.values() if known_assets.get(asset.code) != asset]
    await replace_assets(changed_assets)
    await replace_markets(changed_markets)
    for symbol, entry in (await all_statuses()).items():
        if symbol in catalogue.markets:
            catalogue.set_status(symbol, entry.status)
    return catalogue


async def refresh_rules(catalogue: Catalogue, published: Iterable[ProviderRules]) -> list[MarketRulesChanged]:
    """Take over tick, lot and limits as a provider publishes them; returns what changed. Raises PyMongoError, changing nothing."""
    changed = {}
    for rules in published:
        market = catalogue.market(rules.symbol)
        update = {
            name: value
            for name in ("tick_size", "lot_size", "min_quantity", "max_quantity", "min_notional")
            if (value := getattr(rules, name)) is not None and value != getattr(market.rules, name)
        }
        if "lot_size" in update and not _is_whole(update["lot_size"], catalogue.asset(market.base)):
            del update["lot_size"]
        if update:
            changed[market.symbol] = market.model_copy(update={"rules": market.rules.model_copy(update=update)})
    await replace_markets(list(changed.values()))
    events = [
        MarketRulesChanged(
            symbol=market.symbol,
            tick_size=market.rules.tick_size,
            lot_size=market.rules.lot_size,
            min_quantity=market.rules.min_quantity,
            max_quantity=market.rules.max_quantity,
            min_notional=market.rules.min_notional,
        )
        for market in changed.values()
    ]
    for event in events:
        catalogue.set_rules(event)
    return events


def _is_whole(lot: Decimal, base: AssetEntry) -> bool:
    """Whether a lot is a whole number of the asset's ledger units, as the exchange counts."""
    return lot.scaleb(base.decimals) % 1 == 0


def _check(catalogue: Catalogue) -> None:
    for chain in catalogue.chains.values():
        if chain.native not in catalogue.assets:
            raise CatalogueInvalid(f"chain {chain.key}: asset {chain.native} is not in assets.json")
        for token in catalogue.tokens[chain.key].values():
            if token.asset is not None and token.asset not in catalogue.assets:
                raise CatalogueInvalid(
                    f"token {token.symbol} of {chain.key}: asset {token.asset} is not in assets.json"
                )
    for market in catalogue.markets.values():
        if market.symbol != f"{market.base}-{market.quote}":
            raise CatalogueInvalid(f"market {market.symbol}: the symbol must be {market.base}-{market.quote}")
        for code in (market.base, market.quote):
            if code not in catalogue.assets:
                raise CatalogueInvalid(f"market {market.symbol}: asset {code} is not in assets.json")
        rules = market.rules
        for name in ("tick_size", "lot_size", "min_quantity", "min_notional"):
            if getattr(rules, name) <= 0:
                raise CatalogueInvalid(f"market {market.symbol}: {name} must be above 0")
        if not _is_whole(rules.lot_size, catalogue.assets[market.base]):
            raise CatalogueInvalid(
                f"market {market.symbol}: the lot must be a multiple of the unit {market.base} is counted in"
            )
        if rules.min_quantity % rules.lot_size:
            raise CatalogueInvalid(
                f"market {market.symbol}: min_quantity must be a multiple of the lot {canonical(rules.lot_size)}"
            )
