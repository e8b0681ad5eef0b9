"""Quotes for swaps: what may be asked, who is asked, and what is believed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import decode
from structlog.testing import capture_logs

from core.account_vocabulary import Role, UserStatus
from core.clock import ManualClock
from core.database import Database
from core.errors import RateLimited
from core.rate_limits import MemoryRateLimits
from core.refusals import WalletRefused
from core.wallet_vocabulary import SwapProvider
from core.wallet_vocabulary import WalletErrorCode as Code
from integrations.chains.errors import ChainUnavailable
from integrations.swaps.base import (
    ProviderFee,
    ProviderQuote,
    ProviderStep,
    ProviderToken,
    SwapAsk,
    SwapCall,
    SwapRefused,
    SwapSourceError,
    SwapUnavailable,
    SwapUntrue,
)
from integrations.swaps.lifi_calls import DIAMOND
from integrations.swaps.zerox_calls import ALLOWANCE_HOLDER, REGISTRY
from models.swap_quote import QuoteEntry, SwapQuoteDocument
from services import catalogue
from services.chains import Chains
from services.swap_offers import quote_of
from services.swap_quotes import SwapQuotes, transaction_of
from services.swap_settlers import Settlers
from services.swap_wishes import CheckedWish, SwapWish, checked
from services.throttles import Throttles
from services.viewer import Viewer
from tests.accounts import CLIENT, NoLimits
from tests.chains import ANVIL_ADDRESSES
from tests.custody import worth
from tests.stored import unchanged
from tests.swap_servers import BRIDGED_USDT, MALLORY, SETTLER, USDC, USDT, WETH

KNOWN = catalogue.read_files()
ALICE = ANVIL_ADDRESSES[0]
WISH = SwapWish("ethereum", "ethereum", "USDC", USDT, Decimal(1000), ALICE)
OF_COINS = replace(WISH, from_token="ETH", to_token="USDC", amount=Decimal(1))
OVER_CHAINS = replace(WISH, to_chain="bsc", to_token="USDT")
THOUSAND = 1_000_000_000
SOLD = ProviderToken(1, USDC, "USDC", "USD Coin", 6)
BOUGHT = ProviderToken(1, USDT, "USDT", "Tether", 6)
COINS = ProviderToken(1, None, "ETH", "Ether", 18)
OFFER = ProviderQuote(
    provider=SwapProvider.LIFI,
    amount_out=990_000_000,
    minimum_out=985_050_000,
    spender=DIAMOND,
    call=SwapCall(DIAMOND, b"\1\2\3\4", 0, 300_000),
    fees=(ProviderFee(SOLD, 2_500_000, on_top=False),),
    steps=(ProviderStep("1inch", SOLD, BOUGHT, 5),),
    valid_seconds=60,
)


def viewer(user_id: str) -> Viewer:
    return Viewer(user_id, Role.USER, UserStatus.ACTIVE, email_verified=True, locale="en", expires_ms=0)


@dataclass
class Aggregator:
    """Answers what a test says."""

    offer: ProviderQuote | SwapSourceError | None = OFFER
    provider: SwapProvider = SwapProvider.LIFI
    crosses_chains: bool = True
    asked: list[SwapAsk] = field(default_factory=list)
    together: asyncio.Barrier | None = None

    async def quote(self, ask: SwapAsk) -> ProviderQuote | None:
        self.asked.append(ask)
        if self.together is not None:
            await self.together.wait()
        if isinstance(self.offer, SwapSourceError):
            raise self.offer
        return self.offer

    async def close(self) -> None:
        """Nothing to close."""


def zerox(offer: ProviderQuote | SwapSourceError | None) -> Aggregator:
    return Aggregator(offer, SwapProvider.ZEROX, crosses_chains=False)


def by_zerox(**changes: Any) -> ProviderQuote:
    changes = {"call": SwapCall(ALLOWANCE_HOLDER, b"\1\2\3\4", 0, None), "spender": ALLOWANCE_HOLDER, **changes}
    return replace(OFFER, provider=SwapProvider.ZEROX, valid_seconds=30, **changes)


@dataclass
class OneChain:
    """The registry of 0x on a chain."""

    current: str = SETTLER
    before: str = SETTLER
    is_down: bool = False
    asked: int = 0

    async def call(self, to: str, data: bytes) -> bytes:
        assert to == REGISTRY
        self.asked += 1
        if self.is_down:
            raise ChainUnavailable("ethereum", {})
        return bytes(12) + bytes.fromhex((self.current if data[:4].hex() == "6352211e" else self.before)[2:])


class ChainsOf(Chains):
    """One chain only."""

    def __init__(self, chain: OneChain) -> None:
        super().__init__(KNOWN.chains, {}, ManualClock())
        self._chain = chain

    def evm(self, key: str, **_options: Any) -> Any:
        return self._chain


def quotes(
    *sources: Aggregator, chain: OneChain | None = None, clock: ManualClock | None = None, throttled: bool = False
) -> SwapQuotes:
    clock = clock or ManualClock(1_790_000_000_000)
    return SwapQuotes(
        sources,
        catalogue=KNOWN,
        settlers=Settlers(ChainsOf(chain or OneChain()), clock),
        worth=worth,
        throttles=Throttles(MemoryRateLimits(clock) if throttled else NoLimits()),
        clock=clock,
    )


async def refusal(asked: SwapQuotes, wish: SwapWish = WISH) -> WalletRefused:
    with pytest.raises(WalletRefused) as refused:
        await asked.ask(viewer("alice"), CLIENT, wish)
    return refused.value


BAD = [
    ({"from_chain": "dogecoin"}, Code.UNKNOWN_CHAIN, "fromChain"),
    ({"to_chain": ""}, Code.UNKNOWN_CHAIN, "toChain"),
    ({"from_chain": "bitcoin"}, Code.NOT_ENABLED, "fromChain"),
    ({"to_chain": "solana"}, Code.NOT_ENABLED, "toChain"),
    ({"from_token": "usdc"}, Code.UNKNOWN_ASSET, "from"),
    ({"from_token": MALLORY}, Code.UNKNOWN_ASSET, "from"),
    ({"to_token": BRIDGED_USDT}, Code.UNKNOWN_ASSET, "to"),
    ({"to_token": ""}, Code.UNKNOWN_ASSET, "to"),
    ({"to_token": "UЅDC"}, Code.UNKNOWN_ASSET, "to"),
    ({"to_token": USDC.lower()}, Code.INVALID_INPUT, "to"),
    ({"amount": Decimal(0)}, Code.AMOUNT_INVALID, "amount"),
    ({"amount": Decimal(-1)}, Code.AMOUNT_INVALID, "amount"),
    ({"amount": Decimal("0.0000001")}, Code.AMOUNT_INVALID, "amount"),
    ({"amount": Decimal(10**28)}, Code.AMOUNT_INVALID, "amount"),
    ({"address": ALICE[:-1]}, Code.ADDRESS_INVALID, "address"),
    ({"address": "0x" + "0" * 40}, Code.ADDRESS_INVALID, "address"),
    ({"address": ALICE.swapcase().replace("X", "x")}, Code.ADDRESS_INVALID, "address"),
    ({"max_slippage": Decimal(0)}, Code.INVALID_INPUT, "maxSlippage"),
    ({"max_slippage": Decimal("0.0501")}, Code.INVALID_INPUT, "maxSlippage"),
    ({"max_slippage": Decimal("0.00015")}, Code.INVALID_INPUT, "maxSlippage"),
]


@pytest.mark.parametrize(("changes", "code", "named"), BAD)
async def test_what_cannot_be_asked_for_is_named_and_nobody_is_asked(
    database: Database, changes: Mapping[str, Any], code: Code, named: str
) -> None:
    source = Aggregator()
    async with unchanged(database, but=()):
        refused = await refusal(quotes(source), replace(WISH, **changes))
    assert (refused.reason, refused.field) == (code, [named])
    assert source.asked == []


@pytest.mark.usefixtures("database")
async def test_a_wish_is_asked_in_the_smallest_units_with_half_a_percent_of_slippage() -> None:
    source = Aggregator()
    await quotes(source).ask(viewer("alice"), CLIENT, WISH)
    assert source.asked == [SwapAsk(1, 1, USDC, USDT, THOUSAND, ALICE, 50)]


@pytest.mark.usefixtures("database")
async def test_everybody_is_asked_at_once_and_what_gives_most_comes_first() -> None:
    together = asyncio.Barrier(2)
    better = by_zerox(amount_out=991_000_000, minimum_out=990_000_000, settler=SETTLER)
    sources = [Aggregator(together=together), replace(zerox(better), together=together)]
    async with asyncio.timeout(30):
        rows = await quotes(*sources).ask(viewer("alice"), CLIENT, WISH)
    assert [(row.quote.provider, row.quote.amount_out) for row in rows] == [
        (SwapProvider.ZEROX, Decimal("991")),
        (SwapProvider.LIFI, Decimal("990")),
    ]
    assert [row.quote.expires_ms for row in rows] == [1_790_000_030_000, 1_790_000_060_000]


@pytest.mark.usefixtures("database")
async def test_a_quote_says_what_it_costs_in_worth_and_fees() -> None:
    (row,) = await quotes(Aggregator()).ask(viewer("alice"), CLIENT, WISH)
    quote = row.quote
    assert (quote.amount_in, quote.minimum_out, quote.price_impact) == (
        Decimal(1000),
        Decimal("985.05"),
        Decimal("0.01"),
    )
    assert [(fee.asset, fee.amount) for fee in quote.fees] == [("USDC", Decimal("2.5"))]
    assert [(step.tool, step.from_token.symbol, step.to_token.asset) for step in quote.steps] == [
        ("1inch", "USDC", "USDT")
    ]
    assert (quote.from_token.contract, quote.to_token.contract, quote.address) == (USDC, USDT, ALICE)


@pytest.mark.usefixtures("database")
async def test_only_who_crosses_chains_is_asked_to() -> None:
    over = ProviderToken(56, BRIDGED_USDT, "USDT", "Tether", 18)
    offer = replace(
        OFFER, amount_out=10**21, minimum_out=10**21, steps=(ProviderStep("across", SOLD, over, 60),), bridge="across"
    )
    crossing, staying = Aggregator(offer), zerox(by_zerox())
    (row,) = await quotes(crossing, staying).ask(viewer("alice"), CLIENT, OVER_CHAINS)
    assert staying.asked == []
    assert (row.quote.amount_out, row.quote.to_token.chain, row.quote.bridge) == (Decimal(1000), "bsc", "across")


AWAY, UNTRUE, REFUSED = SwapUnavailable("away"), SwapUntrue("it lies"), SwapRefused("INPUT_INVALID")


@pytest.mark.parametrize(
    ("offers", "code"),
    [
        ((None, None), Code.NO_ROUTE),
        ((None, REFUSED), Code.NO_ROUTE),
        ((None, AWAY), Code.NO_ROUTE),
        ((AWAY, AWAY), Code.PROVIDER_UNAVAILABLE),
        ((AWAY, UNTRUE), Code.PROVIDER_UNAVAILABLE),
    ],
)
async def test_nothing_is_told_by_its_reason(
    database: Database, offers: tuple[SwapSourceError | None, SwapSourceError | None], code: Code
) -> None:
    async with unchanged(database, but=()):
        assert (await refusal(quotes(Aggregator(offers[0]), zerox(offers[1])))).reason is code


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("failure", [AWAY, UNTRUE, REFUSED])
async def test_one_that_fails_is_left_out_and_logged(failure: SwapSourceError) -> None:
    with capture_logs() as logs:
        rows = await quotes(Aggregator(), zerox(failure)).ask(viewer("alice"), CLIENT, WISH)
    assert [row.quote.provider for row in rows] == [SwapProvider.LIFI]
    assert [(line["provider"], line["reason"]) for line in logs] == [(SwapProvider.ZEROX, str(failure))]


async def test_without_aggregators_swaps_are_not_enabled() -> None:
    assert (await refusal(quotes())).reason is Code.NOT_ENABLED


@pytest.mark.usefixtures("database")
async def test_who_asks_to_be_left_alone_is() -> None:
    clock = ManualClock(1_790_000_000_000)
    source = Aggregator(SwapUnavailable("asked to be left alone", retry_after_seconds=30))
    asked = quotes(source, clock=clock)
    for _ in range(2):
        assert (await refusal(asked)).reason is Code.PROVIDER_UNAVAILABLE
    assert len(source.asked) == 1
    clock.advance(31)
    source.offer = OFFER
    assert len(await asked.ask(viewer("alice"), CLIENT, WISH)) == 1


@pytest.mark.usefixtures("database")
async def test_nobody_asks_too_often() -> None:
    asked = quotes(Aggregator(), throttled=True)
    for _ in range(60):
        await asked.ask(viewer("alice"), CLIENT, WISH)
    with pytest.raises(RateLimited):
        await asked.ask(viewer("alice"), CLIENT, WISH)
    assert await asked.ask(viewer("bob"), CLIENT, WISH)


UNTRUE_OFFERS = {
    "no minimum": replace(OFFER, minimum_out=0),
    "a minimum below what is allowed": replace(OFFER, minimum_out=985_049_999),
    "a minimum above what is offered": replace(OFFER, minimum_out=990_000_001),
    "more than anybody would give": replace(OFFER, amount_out=1_300_000_000, minimum_out=1_300_000_000),
    "nothing": replace(OFFER, amount_out=0, minimum_out=0),
    "an approval of another contract than it calls": replace(OFFER, spender=MALLORY),
    "no approval of what it takes": replace(OFFER, spender=None),
    "fees worth more than the goods": replace(OFFER, fees=(ProviderFee(COINS, 51 * 10**16, on_top=True),)),
}


@pytest.mark.parametrize("offer", UNTRUE_OFFERS.values(), ids=UNTRUE_OFFERS)
async def test_an_offer_that_breaks_its_own_terms_becomes_no_quote(database: Database, offer: ProviderQuote) -> None:
    async with unchanged(database, but=()):
        assert (await refusal(quotes(Aggregator(offer)))).reason is Code.PROVIDER_UNAVAILABLE


async def test_coins_that_want_an_approval_become_no_quote(database: Database) -> None:
    async with unchanged(database, but=()):
        assert (await refusal(quotes(Aggregator(OFFER)), OF_COINS)).reason is Code.PROVIDER_UNAVAILABLE


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("chain", [OneChain(), OneChain(current=MALLORY), OneChain(before=MALLORY)])
async def test_a_settler_that_is_or_was_current_is_genuine(chain: OneChain) -> None:
    asked = quotes(zerox(by_zerox(settler=SETTLER)), chain=chain)
    for _ in range(2):
        assert len(await asked.ask(viewer("alice"), CLIENT, WISH)) == 1
    assert chain.asked == 2, "the registry's answers are kept for a while"


@pytest.mark.parametrize("chain", [OneChain(MALLORY, MALLORY), OneChain(is_down=True)])
async def test_another_settler_and_one_that_cannot_be_proven_are_refused(database: Database, chain: OneChain) -> None:
    async with unchanged(database, but=()):
        found = await refusal(quotes(zerox(by_zerox(settler=SETTLER)), chain=chain))
    assert found.reason is Code.PROVIDER_UNAVAILABLE


def wanted(wish: SwapWish = WISH) -> CheckedWish:
    return checked(KNOWN, wish)


def quoted(offer: ProviderQuote = OFFER, wish: SwapWish = WISH) -> QuoteEntry:
    return quote_of(offer, wanted(wish), KNOWN, worth, now_ms=0)


def test_steps_over_tokens_that_nobody_can_count_are_shown_as_one() -> None:
    odd = ProviderToken(1, MALLORY, "ODD", "Odd", None)
    steps = (ProviderStep("Uniswap V3", SOLD, odd, None), ProviderStep("Curve", odd, BOUGHT, None))
    (step,) = quoted(replace(OFFER, steps=steps)).steps
    assert (step.tool, step.from_token.symbol, step.to_token.symbol, step.seconds) == (
        "Uniswap V3, Curve",
        "USDC",
        "USDT",
        12,
    )


def test_a_token_that_nobody_vouches_for_is_shown_by_its_own_words_and_marked_as_bait() -> None:
    fake = ProviderToken(1, MALLORY, "USDC", "claim at usdc.example", 6)
    steps = (ProviderStep("a", SOLD, fake, 1), ProviderStep("b", fake, BOUGHT, 1))
    first, _ = quoted(replace(OFFER, steps=steps)).steps
    assert (first.to_token.contract, first.to_token.asset, first.to_token.spam) == (MALLORY, None, True)


def test_fees_of_tokens_that_are_no_assets_are_not_told() -> None:
    odd = ProviderToken(1, MALLORY, "ODD", "Odd", 18)
    assert quoted(replace(OFFER, fees=(ProviderFee(odd, 5, on_top=False),))).fees == ()


def test_fees_of_one_asset_are_added_up() -> None:
    (fee,) = quoted(replace(OFFER, fees=(*OFFER.fees, ProviderFee(SOLD, 500_000, on_top=False)))).fees
    assert (fee.asset, fee.amount) == ("USDC", Decimal(3))


def test_a_gain_is_below_zero_and_without_prices_there_is_no_impact() -> None:
    assert quoted(replace(OFFER, amount_out=1_010_000_000, minimum_out=1_010_000_000)).price_impact == Decimal("-0.01")
    assert quoted(OFFER, replace(WISH, to_token="EURC")).price_impact is None


def approvals(calls: tuple[SwapCall, ...]) -> list[tuple[str, str, int]]:
    found = []
    for call in calls:
        assert call.data[:4].hex() == "095ea7b3"
        spender, amount = decode(["address", "uint256"], call.data[4:])
        found.append((call.to, spender, amount))
    return found


def test_an_approval_of_exactly_what_is_sold_comes_first_where_it_is_needed() -> None:
    quote = quoted()
    swap = SwapCall(DIAMOND, b"\1\2\3\4", 0, 300_000)
    assert transaction_of(quote, THOUSAND) == (swap,)
    *before, last = transaction_of(quote, 0)
    assert last == swap
    assert approvals(tuple(before)) == [(USDC, DIAMOND.lower(), THOUSAND)]
    *before, last = transaction_of(quote, THOUSAND - 1)
    assert last == swap
    assert approvals(tuple(before)) == [(USDC, DIAMOND.lower(), 0), (USDC, DIAMOND.lower(), THOUSAND)]


def test_coins_are_sold_without_an_approval() -> None:
    offer = replace(OFFER, spender=None, call=SwapCall(DIAMOND, b"\1\2\3\4", 10**18, None))
    assert transaction_of(quoted(offer, OF_COINS), 0) == (offer.call,)


@pytest.mark.usefixtures("database")
async def test_a_quote_is_its_owners_and_holds_until_its_end() -> None:
    clock = ManualClock(1_790_000_000_000)
    asked = quotes(Aggregator(), clock=clock)
    (row,) = await asked.ask(viewer("alice"), CLIENT, WISH)
    assert (await asked.current("alice", row.id)).quote == row.quote
    assert await asked.own("mallory", row.id) is None
    for user_id, quote_id in (("mallory", row.id), ("alice", "another")):
        await expect_expired(asked, user_id, quote_id)
    clock.advance(59.999)
    assert (await asked.current("alice", row.id)).quote == row.quote
    clock.advance(0.001)
    await expect_expired(asked, "alice", row.id)
    kept = await asked.own("alice", row.id)
    assert kept is not None
    assert kept.quote == row.quote


async def expect_expired(asked: SwapQuotes, user_id: str, quote_id: str) -> None:
    with pytest.raises(WalletRefused) as refused:
        await asked.current(user_id, quote_id)
    assert refused.value.reason is Code.QUOTE_EXPIRED


async def test_quotes_are_forgotten_by_the_database(database: Database) -> None:
    (row,) = await quotes(Aggregator()).ask(viewer("alice"), CLIENT, WISH)
    indexes = await SwapQuoteDocument.get_pymongo_collection().index_information()
    assert indexes["purge_at_1"]["expireAfterSeconds"] == 0
    assert (row.purge_at.timestamp() * 1000) - row.quote.expires_ms == 3_600_000
    assert WETH not in str(row)
