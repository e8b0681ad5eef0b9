"""The adapters that a configuration asks for."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import SecretStr

from core.clock import Clock
from core.settings import Settings
from core.vocabulary import PriceSource
from integrations.feeds.base import Feed, FeedMarket
from integrations.feeds.binance import BinanceFeed
from integrations.feeds.chainlink import ChainlinkFeed
from integrations.feeds.coinbase import CoinbaseFeed
from integrations.feeds.coingecko import CoinGeckoFeed
from integrations.feeds.coinmarketcap import CoinMarketCapFeed
from integrations.feeds.kraken import KrakenFeed

Build = Callable[[Settings, Sequence[FeedMarket], Clock], Feed]


class FeedMisconfigured(ValueError):
    """A source is asked for that cannot run; the message names the setting and what would be right."""


def build_feeds(settings: Settings, markets: Mapping[PriceSource, Sequence[FeedMarket]], clock: Clock) -> list[Feed]:
    """One adapter for every provider in PRICE_SOURCES that has markets, in that order.

    REPLAY and SIMULATED are no providers and are made elsewhere: they are passed over here.

    Raises:
        FeedMisconfigured: a key or address is missing, or a provider symbol is malformed.
    """
    feeds: list[Feed] = []
    for source in settings.price_sources:
        build = _BUILDERS.get(source)
        wanted = markets.get(source, ())
        if build is None or not wanted:
            continue
        try:
            feeds.append(build(settings, wanted, clock))
        except FeedMisconfigured:
            raise
        except ValueError as error:
            raise FeedMisconfigured(f"the markets of {source}: {error}") from error
    return feeds


def _binance(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    return BinanceFeed(
        markets,
        clock=clock,
        ws_url=settings.binance_ws_url,
        rest_url=settings.binance_rest_url,
        api_key=_optional(settings.binance_api_key),
    )


def _coinbase(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    return CoinbaseFeed(markets, clock=clock, ws_url=settings.coinbase_ws_url)


def _kraken(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    return KrakenFeed(markets, clock=clock, ws_url=settings.kraken_ws_url)


def _coingecko(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    return CoinGeckoFeed(
        markets, clock=clock, url=settings.coingecko_url, api_key=_optional(settings.coingecko_api_key)
    )


def _coinmarketcap(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    api_key = _required(settings.coinmarketcap_api_key, "COINMARKETCAP_API_KEY", PriceSource.COINMARKETCAP)
    return CoinMarketCapFeed(markets, clock=clock, url=settings.coinmarketcap_url, api_key=api_key)


def _chainlink(settings: Settings, markets: Sequence[FeedMarket], clock: Clock) -> Feed:
    rpc_url = _required(settings.ethereum_mainnet_url, "CHAINLINK_RPC_URL", PriceSource.CHAINLINK)
    return ChainlinkFeed(markets, clock=clock, rpc_url=rpc_url)


def _optional(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _required(secret: SecretStr | None, variable: str, source: PriceSource) -> str:
    if not secret:
        raise FeedMisconfigured(
            f"{variable} is not set; PRICE_SOURCES names {source}, which needs it: set it, or drop {source}"
        )
    return secret.get_secret_value()


_BUILDERS: Mapping[PriceSource, Build] = {
    PriceSource.BINANCE: _binance,
    PriceSource.COINBASE: _coinbase,
    PriceSource.KRAKEN: _kraken,
    PriceSource.COINGECKO: _coingecko,
    PriceSource.COINMARKETCAP: _coinmarketcap,
    PriceSource.CHAINLINK: _chainlink,
}
