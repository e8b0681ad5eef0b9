"""A portfolio's figures, and that none is invented where a price is missing."""

from decimal import Decimal

import pytest

from core.clock import ManualClock
from core.vocabulary import AllocationKey, FeedStatus
from core.wallet_vocabulary import WalletErrorCode
from events.funds import PortfolioState, SliceState
from events.wallet import ChainTrouble, OnChainFunds
from services.balances import balance, balances, wanted_assets
from services.catalogue import UnknownAsset, read_files
from services.portfolio import Portfolios, allocation, same_figures
from services.trading_accounts import TradingAccount
from services.valuation import Valuation
from tests.markets import D, Markets, feed, tick, ticker
from tests.trading_rows import trading_account

CATALOGUE = read_files()


def here() -> Markets:
    """1 BTC is 100 USDT, and was 80; 1 ETH is 10 USDT, and was 8."""
    return Markets().apply(
        *(feed("BTC-USDT"), tick(1, "100"), ticker(opened="80")),
        *(feed("ETH-USDT"), tick(1, "10", "ETH-USDT"), ticker("ETH-USDT", last="10", opened="8")),
    )


def anna() -> TradingAccount:
    return trading_account(
        "anna",
        balances={"BTC": ("2", "1"), "ETH": ("10", "0"), "USDT": ("50", "50"), "SOL": ("0", "0")},
        positions={
            "BTC": ("2", "1", {"USDT": "150"}, {"USDT": "40"}),
            "ETH": ("10", "0", {"BTC": "0.5"}, {"BTC": "0.1", "USDT": "-5"}),
        },
    )


def portfolios(markets: Markets) -> Portfolios:
    return Portfolios(markets.catalogue, markets.view, Valuation(markets.catalogue, markets.view), ManualClock())


def present(markets: Markets, account: TradingAccount, quote: str = "USDT") -> PortfolioState:
    return portfolios(markets).present(account, quote)


def test_every_figure() -> None:
    state = present(here(), anna())
    assert (state.total, state.change_24h, state.change_percent_24h) == (D(500), D(80), D("19.0476190476"))
    assert (state.cost_basis, state.unrealized, state.realized) == (D(200), D(100), D(45))
    assert state.stale == []
    btc, eth, usdt = state.holdings
    assert (btc.value, btc.share, btc.average_cost, btc.unrealized) == (D(300), D("0.6"), D(75), D(50))
    assert btc.unrealized_percent == D("33.3333333333")
    assert (eth.value, eth.average_cost, eth.unrealized) == (D(100), D(5), D(50))
    assert (usdt.value, usdt.average_cost, usdt.unrealized, usdt.price) == (D(100), None, None, None)
    assert btc.price is not None
    assert btc.price.price == 100


def test_in_another_quote() -> None:
    state = present(here(), anna(), "BTC")
    assert (state.total, state.realized) == (D(5), D("0.45"))
    with pytest.raises(UnknownAsset):
        present(here(), anna(), "SHELLS")


def test_what_cannot_be_valued_is_named_and_nothing_is_invented() -> None:
    state = present(here().apply(feed("ETH-USDT", FeedStatus.STALE)), anna())
    assert state.stale == ["ETH"]
    assert (state.total, state.change_24h, state.unrealized) == (None, None, None)
    assert state.cost_basis == 200, "what was paid can be valued"
    btc, eth, _ = state.holdings
    assert (btc.value, btc.share, eth.value, eth.unrealized, eth.price_stale) == (D(300), None, None, None, True)


def test_an_asset_without_an_open_price_takes_only_the_change() -> None:
    markets = here().apply(ticker("ETH-USDT", last="10", opened=None))
    state = present(markets, anna())
    assert (state.total, state.change_24h, state.change_percent_24h) == (D(500), None, None)


def test_an_empty_account() -> None:
    state = present(Markets(), trading_account("anna"))
    assert (state.total, state.change_24h, state.change_percent_24h, state.cost_basis) == (D(0), D(0), None, None)
    assert (state.realized, state.unrealized, state.holdings, state.stale) == (D(0), None, [], [])


def test_the_parts_of_the_whole() -> None:
    state = present(here(), anna())
    assert allocation(state, AllocationKey.KIND, CATALOGUE) == [
        SliceState("NATIVE", "Coins", D(400), D("0.8")),
        SliceState("STABLECOIN", "Stablecoins", D(100), D("0.2")),
    ]
    assert [part.key for part in allocation(state, AllocationKey.ASSET, CATALOGUE)] == ["BTC", "ETH", "USDT"]
    stale = present(here().apply(feed("BTC-USDT", FeedStatus.STALE)), anna())
    assert [part.value for part in allocation(stale, AllocationKey.ASSET, CATALOGUE)] == [
        Decimal(100),
        Decimal(100),
        None,
    ]


def wallets(**unknown: set[str]) -> OnChainFunds:
    """2 BTC on Bitcoin, 5 ETH on Ethereum and 1 on Polygon; of `unknown` chains nothing is known of these assets."""
    amounts = {"bitcoin": {"BTC": D(2)}, "ethereum": {"ETH": D(5)}, "polygon": {"ETH": D(1)}}
    failures = [ChainTrouble(chain, WalletErrorCode.PROVIDER_UNAVAILABLE, "away") for chain in unknown]
    known = {chain: held for chain, held in amounts.items() if chain not in unknown}
    return OnChainFunds(known, {chain: frozenset(assets) for chain, assets in unknown.items()}, failures)


def test_what_wallets_hold_is_part_of_the_whole() -> None:
    service = portfolios(here())
    account = trading_account("anna", balances={"BTC": ("2", "1"), "USDT": ("40", "0")})
    plain = service.present(account, "USDT")
    state = service.with_wallets(plain, wallets())
    assert (plain.total, state.total) == (D(340), D(600))
    assert [(each.asset, each.on_chain, each.value) for each in state.holdings] == [
        ("BTC", D(2), D(500)),
        ("ETH", D(6), D(60)),
        ("USDT", D(0), D(40)),
    ]
    assert [each.share for each in state.holdings] == [D("0.833333333333"), D("0.1"), D("0.0666666666667")]
    assert state.holdings[1].price is not None, "of an asset that wallets alone hold"
    assert service.on_chain_value(plain, wallets()) == 260
    assert service.allocation(plain, AllocationKey.CHAIN, wallets()) == [
        SliceState("EXCHANGE", "On this exchange", D(340), D("0.566666666667")),
        SliceState("bitcoin", "Bitcoin", D(200), D("0.333333333333")),
        SliceState("ethereum", "Ethereum", D(50), D("0.0833333333333")),
        SliceState("polygon", "Polygon", D(10), D("0.0166666666667")),
    ]
    assert [(each.key, each.value) for each in service.allocation(plain, AllocationKey.LOCATION, wallets())] == [
        ("EXCHANGE", D(340)),
        ("WALLETS", D(260)),
    ]
    assert [(each.key, each.value) for each in service.allocation(plain, AllocationKey.ASSET, wallets())] == [
        ("BTC", D(500)),
        ("ETH", D(60)),
        ("USDT", D(40)),
    ]
    for by in (AllocationKey.CHAIN, AllocationKey.LOCATION):
        assert service.allocation(plain, by) == [SliceState("EXCHANGE", "On this exchange", D(340), D(1))]


def test_what_could_not_be_read_of_a_chain_is_not_nothing() -> None:
    service = portfolios(here())
    plain = service.present(trading_account("anna", balances={"BTC": ("2", "1"), "ETH": ("1", "0")}), "USDT")
    funds = wallets(ethereum={"ETH", "USDC"})
    state = service.with_wallets(plain, funds)
    assert (state.total, service.on_chain_value(plain, funds)) == (None, None)
    assert [(each.asset, each.on_chain, each.value, each.share) for each in state.holdings] == [
        ("BTC", D(2), D(500), None),
        ("ETH", None, None, None),
    ]
    assert [(each.key, each.value, each.share) for each in service.allocation(plain, AllocationKey.CHAIN, funds)] == [
        ("EXCHANGE", D(310), None),
        ("bitcoin", D(200), None),
        ("polygon", D(10), None),
        ("ethereum", None, None),
    ]
    (place,) = [each for each in service.allocation(plain, AllocationKey.LOCATION, funds) if each.key == "WALLETS"]
    assert (place.value, place.share) == (None, None)


def test_only_figures_count_as_a_change() -> None:
    state = present(here(), anna())
    assert same_figures(state, present(here(), anna()))
    assert not same_figures(state, None)
    assert not same_figures(state, present(here().apply(tick(2, "101")), anna()))


def test_balances() -> None:
    catalogue = Markets().catalogue
    assert [(each.asset, each.available, each.held) for each in balances(anna(), catalogue, non_zero=True)] == [
        ("BTC", D(2), D(1)),
        ("ETH", D(10), D(0)),
        ("USDT", D(50), D(50)),
    ]
    assert len(balances(anna(), catalogue, non_zero=False)) == len(catalogue.assets)
    assert balance(anna(), catalogue, "ADA").available == 0
    assert wanted_assets(["BTC"], catalogue) == frozenset({"BTC"})
    for unknown in (lambda: balance(anna(), catalogue, "SHELLS"), lambda: wanted_assets(["SHELLS"], catalogue)):
        with pytest.raises(UnknownAsset):
            unknown()
