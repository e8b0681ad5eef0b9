from decimal import Decimal

import pytest
from eth_utils.address import to_checksum_address

from core.database import Database
from core.vocabulary import ChainFamily, MarketStatus, PriceSource
from core.wallet_vocabulary import ChainNetwork
from integrations.feeds.base import ProviderRules
from models.market import all_markets, replace_markets
from models.market_status import MarketStatusEntry, store_status
from services import catalogue


def test_the_files_hold_enough_assets_and_markets() -> None:
    known = catalogue.read_files()
    assert len(known.assets) >= 20
    assert len(known.markets) >= 20
    assert {"BTC-USD", "BTC-USDT"} <= known.markets.keys()


def test_every_market_has_a_provider_that_streams() -> None:
    streaming = {PriceSource.BINANCE, PriceSource.COINBASE, PriceSource.KRAKEN}
    assert [m.symbol for m in catalogue.read_files().markets.values() if not streaming & m.providers.keys()] == []


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btc-usdt", "", "BTC-USDT ", "x" * 500])
def test_an_unknown_symbol_is_refused_by_name(symbol: str) -> None:
    with pytest.raises(catalogue.UnknownMarket, match="BASE-QUOTE") as refusal:
        catalogue.read_files().market(symbol)
    assert refusal.value.code == "UNKNOWN_MARKET"
    assert len(refusal.value.message) < 200


async def test_loading_renews_what_is_stored(database: Database) -> None:
    first = await catalogue.load()
    await replace_markets([first.market("BTC-USD").model_copy(update={"simulated_price": Decimal(1)})])
    again = await catalogue.load()
    assert again.market("BTC-USD").simulated_price == first.market("BTC-USD").simulated_price
    assert {market.symbol: market for market in await all_markets()} == again.markets


async def test_a_status_is_what_the_journal_said_last(database: Database) -> None:
    await store_status(MarketStatusEntry(symbol="BTC-USD", status=MarketStatus.HALTED, since_ms=1))
    await store_status(MarketStatusEntry(symbol="GO-NE", status=MarketStatus.HALTED, since_ms=1))
    loaded = await catalogue.load()
    assert loaded.market("BTC-USD").status is MarketStatus.HALTED
    assert {market.status for market in loaded.markets.values() if market.symbol != "BTC-USD"} == {MarketStatus.TRADING}


async def test_rules_are_refreshed_from_a_provider(database: Database) -> None:
    known = await catalogue.load()
    before = known.market("BTC-USDT")
    rules = ProviderRules(
        symbol="BTC-USDT",
        tick_size=Decimal("0.1"),
        lot_size=None,
        min_quantity=before.rules.min_quantity,
        max_quantity=None,
        min_notional=None,
        trading=True,
    )
    (changed,) = await catalogue.refresh_rules(known, [rules])
    assert (changed.symbol, changed.tick_size) == ("BTC-USDT", Decimal("0.1"))
    assert known.market("BTC-USDT").rules == before.rules.model_copy(update={"tick_size": Decimal("0.1")})
    stored = {market.symbol: market for market in await all_markets()}
    assert stored["BTC-USDT"] == known.market("BTC-USDT")
    assert await catalogue.refresh_rules(known, [rules]) == []


@pytest.mark.parametrize("network", list(ChainNetwork))
def test_tokens_have_real_contracts_and_a_coin_comes_first(network: ChainNetwork) -> None:
    known = catalogue.read_files(network)
    assert known.tokens.keys() == known.chains.keys()
    for key, tokens in known.tokens.items():
        chain = known.chains[key]
        assert next(iter(tokens)) is None
        assert tokens[None].symbol == chain.native
        for contract, token in tokens.items():
            assert (token.chain, token.contract) == (key, contract)
            assert not token.spam
            if contract is not None and chain.family is ChainFamily.EVM:
                assert to_checksum_address(contract) == contract, token
