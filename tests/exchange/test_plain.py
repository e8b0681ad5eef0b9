"""What is judged in one go comes to what a close look comes to."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderType, SelfTradePrevention, TimeInForce
from core.vocabulary import OrderSide, PriceSource
from events.commands import OrderWish, ReferencePrice
from exchange.accounts import Account
from exchange.checks import admission, fees_of, terms_of
from exchange.plain import plain_limit
from exchange.refusal import Refusal
from tests.exchange.floor import BUY, EXACT, ROUNDING, SELL, Floor, wish
from tests.exchange.test_properties import wishes

PLAIN = st.builds(
    wish,
    st.sampled_from(OrderSide),
    st.just(OrderType.LIMIT),
    rules=st.sampled_from((EXACT, ROUNDING)),
    lots=st.one_of(st.integers(-1, 40), st.integers(10**8, 10**10)),
    price=st.one_of(st.integers(-1, 120), st.integers(10**8, 10**10)),
    time_in_force=st.sampled_from((TimeInForce.GTC, TimeInForce.IOC)),
    self_trade=st.sampled_from(SelfTradePrevention),
)


def judged(floor: Floor, account: Account, asked: OrderWish) -> tuple[object, object]:
    """What a glance and a close look say."""
    market = floor.exchange.state.markets[asked.symbol]
    references = floor.exchange.references(asked.symbol)
    newest = references.newest(asked.source)
    maker_ppm, taker_ppm = fees_of(account, market)
    glance = plain_limit(market, account, asked, newest.price if newest else market.last, (maker_ppm, taker_ppm))
    terms = terms_of(market, asked, references, floor.now_ms)
    if isinstance(terms, Refusal):
        return glance, terms
    fees = {"maker_ppm": maker_ppm, "taker_ppm": taker_ppm}
    return glance, admission(market, account, terms, asked, references=references, house=None, **fees)


@given(st.one_of(PLAIN, wishes()), st.booleans(), st.integers(0, 110), st.sampled_from((0, 49, 50)))
@settings(max_examples=500, deadline=None)
def test_a_glance_never_says_other_than_a_close_look(asked: OrderWish, known: bool, price: int, open_here: int) -> None:
    floor = Floor("ann")
    if known and price:
        for rules in (EXACT, ROUNDING):
            command = ReferencePrice(rules.symbol, price * rules.tick, PriceSource.KRAKEN, 0)
            floor.exchange.execute(command, floor.now_ms)
    account = floor.exchange.state.accounts["ann"]
    account.open_in[asked.symbol] = open_here
    glance, close = judged(floor, account, asked)
    assert glance is None or glance == close


def test_it_is_glanced_at_where_it_is_plain() -> None:
    floor = Floor("ann")
    account = floor.exchange.state.accounts["ann"]
    for side in (BUY, SELL):
        for force in (TimeInForce.GTC, TimeInForce.IOC):
            glance, close = judged(floor, account, wish(side, OrderType.LIMIT, lots=10, price=100, time_in_force=force))
            assert glance is not None
            assert glance == close
    assert judged(floor, Account("stranger"), wish(BUY, OrderType.LIMIT, lots=10, price=100))[0] is None
