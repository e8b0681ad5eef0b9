"""Which adapters a configuration makes, and which it refuses."""

from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.settings import Settings
from core.vocabulary import PriceSource
from integrations.feeds.base import Feed, FeedMarket
from integrations.feeds.registry import FeedMisconfigured, build_feeds

NAMES = {
    PriceSource.BINANCE: "BTCUSDT",
    PriceSource.COINBASE: "BTC-USD",
    PriceSource.KRAKEN: "BTC/USD",
    PriceSource.COINGECKO: "bitcoin/usd",
    PriceSource.COINMARKETCAP: "1/USD",
    PriceSource.CHAINLINK: "0xF4030086522a5bEEa4988F8cA5B36dbC97BeE88c",
    PriceSource.REPLAY: "BTC-USDT",
    PriceSource.SIMULATED: "BTC-USDT",
}
MARKETS = {source: [FeedMarket("BTC-USD", name)] for source, name in NAMES.items()}
KEYS = {"coinmarketcap_api_key": "key", "chainlink_rpc_url": "http://127.0.0.1:1/key"}


def build(sources: tuple[PriceSource, ...], markets: Any = MARKETS, **settings: Any) -> list[Feed]:
    return build_feeds(Settings(_env_file=None, price_sources=sources, **settings), markets, ManualClock())


def test_sources_come_in_the_order_asked_for() -> None:
    order = tuple(source for source in reversed(NAMES) if source not in (PriceSource.REPLAY, PriceSource.SIMULATED))
    assert [feed.source for feed in build(order, **KEYS)] == list(order)


def test_a_simulated_market_has_no_provider() -> None:
    assert build((PriceSource.SIMULATED,)) == []


@pytest.mark.parametrize("key", ["infura_api_key", "alchemy_api_key"])
def test_chainlink_may_be_reached_by_a_providers_key(key: str) -> None:
    (feed,) = build((PriceSource.CHAINLINK,), **{key: "key"})
    assert feed.source is PriceSource.CHAINLINK


def test_a_source_without_markets_is_passed_over() -> None:
    markets = {PriceSource.BINANCE: [], PriceSource.KRAKEN: MARKETS[PriceSource.KRAKEN]}
    feeds = build((PriceSource.BINANCE, PriceSource.KRAKEN, PriceSource.COINBASE), markets)
    assert [feed.source for feed in feeds] == [PriceSource.KRAKEN]


@pytest.mark.parametrize(
    ("source", "variable"),
    [(PriceSource.COINMARKETCAP, "COINMARKETCAP_API_KEY"), (PriceSource.CHAINLINK, "CHAINLINK_RPC_URL")],
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_names_the_variable(source: PriceSource, variable: str, value: str | None) -> None:
    with pytest.raises(FeedMisconfigured, match=f"{variable} is not set.*{source}"):
        build((source,), **{variable.lower(): value})


def test_a_market_list_that_cannot_be_served_is_refused() -> None:
    twice = [FeedMarket("BTC-USD", "BTC/USD"), FeedMarket("XBT-USD", "BTC/USD")]
    with pytest.raises(FeedMisconfigured, match="KRAKEN: BTC-USD and XBT-USD both name BTC/USD"):
        build((PriceSource.KRAKEN,), {PriceSource.KRAKEN: twice})
    with pytest.raises(FeedMisconfigured, match="COINGECKO: 'bitcoin': expected NAME/CURRENCY"):
        build((PriceSource.COINGECKO,), {PriceSource.COINGECKO: [FeedMarket("BTC-USD", "bitcoin")]})


def test_keys_are_never_shown(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, binance_api_key="k-e-y", binance_api_secret="k-e-y", coingecko_api_key="k-e-y")
    assert "k-e-y" not in repr(settings)
    assert "k-e-y" not in settings.model_dump_json()
