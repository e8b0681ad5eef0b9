"""From what a client asks for to what the exchange is asked for: exact numbers, named faults, and digests that are the same for the same."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Unreadable
from core.order_vocabulary import OrderErrorCode, OrderType, TimeInForce, TrailingUnit
from core.vocabulary import OrderSide
from events.answers import RefusalState
from services.order_refusals import bracket_refused, refused
from services.order_wishes import WantedBracket, WantedOco, WantedOrder, bracket_wishes, digest_of, oco_wishes, wish_of
from tests.trading import ATTO, BTC

D = Decimal
BAD = Unreadable("NaN", "Decimal: expected a plain decimal number")
LIMIT = WantedOrder(BTC, OrderSide.BUY, OrderType.LIMIT, quantity=D("1.5"), price=D(100))


def digest(wanted: WantedOrder) -> str:
    return digest_of("order", [wish_of(wanted)])


def test_numbers_are_exact() -> None:
    wanted = replace(
        LIMIT,
        quantity=D("0.000000000000000001"),
        price=D("1234567890123456.123456789012345678"),
        max_slippage=D("0.000001"),
    )
    wish = wish_of(wanted)
    assert (wish.quantity, wish.price, wish.max_slippage_ppm) == (1, 1234567890123456123456789012345678, 1)
    assert wish.malformed is None


@pytest.mark.parametrize(
    ("changes", "trail"),
    [
        ({"trailing_delta": D("2.5")}, 5 * ATTO // 2),
        ({"trailing_delta": D("2.5"), "trailing_unit": TrailingUnit.ABSOLUTE}, 5 * ATTO // 2),
        ({"trailing_delta": D("0.015"), "trailing_unit": TrailingUnit.PERCENT}, 15_000),
    ],
)
def test_a_trail_is_a_price_or_millionths(changes: dict[str, Any], trail: int) -> None:
    assert wish_of(replace(LIMIT, type=OrderType.TRAILING_STOP, **changes)).trail == trail


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": BAD}, "quantity"),
        ({"quantity": None, "quote_quantity": BAD}, "quoteQuantity"),
        ({"price": BAD}, "price"),
        ({"stop_price": BAD}, "stopPrice"),
        ({"display_quantity": BAD}, "displayQuantity"),
        ({"activation_price": BAD}, "activationPrice"),
        ({"trailing_delta": BAD}, "trailingDelta"),
        ({"trailing_delta": D("0.0000001"), "trailing_unit": TrailingUnit.PERCENT}, "trailingDelta"),
        ({"max_slippage": D("0.0000001")}, "maxSlippage"),
        ({"quantity": BAD, "price": BAD}, "quantity"),
    ],
)
def test_the_first_number_that_cannot_be_read_is_named(changes: dict[str, Any], field: str) -> None:
    assert wish_of(replace(LIMIT, **changes)).malformed == field


@given(st.decimals(min_value=D("0.000001"), max_value=10**9, places=6), st.integers(0, 9))
def test_a_digest_does_not_see_how_a_number_is_written(quantity: Decimal, zeros: int) -> None:
    longer = D(f"{quantity:f}" + "0" * zeros)
    assert digest(replace(LIMIT, quantity=quantity)) == digest(replace(LIMIT, quantity=longer))


def test_a_digest_sees_everything_else() -> None:
    others = [
        replace(LIMIT, symbol="ETH-USDT"),
        replace(LIMIT, side=OrderSide.SELL),
        replace(LIMIT, type=OrderType.MARKET),
        replace(LIMIT, quantity=D(1)),
        replace(LIMIT, quantity=None, quote_quantity=D("1.5")),
        replace(LIMIT, price=D(101)),
        replace(LIMIT, post_only=True),
        replace(LIMIT, time_in_force=TimeInForce.IOC),
        replace(LIMIT, good_till_ms=1),
    ]
    digests = [digest(LIMIT), *map(digest, others), digest_of("oco", [wish_of(LIMIT)])]
    assert len(set(digests)) == len(digests)
    assert digest(replace(LIMIT, time_in_force=TimeInForce.GTC, post_only=False)) == digest(LIMIT)


def test_digests_are_kept_for_ever() -> None:
    """What this version wrote down must be found by every later one."""
    assert digest(LIMIT) == "e7188bcf4cf89ec5c57bd2a6ecbaedf35e6ead835a66fd80f391b900a3e725c1"


def test_an_oco_is_a_limit_and_a_stop() -> None:
    wanted = WantedOco(BTC, OrderSide.SELL, D(1), D(110), D(90))
    profit, stop = oco_wishes(wanted)
    assert (profit.type, profit.price, profit.quantity) == (OrderType.LIMIT, 110 * ATTO, ATTO)
    assert (stop.type, stop.stop_price, stop.price, stop.quantity) == (OrderType.STOP_LOSS, 90 * ATTO, None, ATTO)
    _, limited = oco_wishes(replace(wanted, stop_limit_price=D(89)))
    assert (limited.type, limited.price) == (OrderType.STOP_LOSS_LIMIT, 89 * ATTO)
    assert oco_wishes(replace(wanted, stop_limit_price=BAD))[0].malformed == "stopLimitPrice"


def test_a_bracket_closes_what_it_opens() -> None:
    wanted = WantedBracket(LIMIT, take_profit_price=D(110), stop_price=D(90))
    entry, exits = bracket_wishes(wanted)
    assert entry == wish_of(LIMIT)
    assert [(each.side, each.type, each.price, each.stop_price) for each in exits] == [
        (OrderSide.SELL, OrderType.LIMIT, 110 * ATTO, None),
        (OrderSide.SELL, OrderType.STOP_LOSS, None, 90 * ATTO),
    ]
    _, trailing = bracket_wishes(WantedBracket(LIMIT, trailing_delta=D("0.1"), trailing_unit=TrailingUnit.PERCENT))
    assert [(each.type, each.trail) for each in trailing] == [(OrderType.TRAILING_STOP, 100_000)]
    assert bracket_wishes(WantedBracket(LIMIT))[1] == ()
    assert bracket_wishes(replace(wanted, stop_price=BAD))[1][0].malformed == "stopPrice"


STOPPED = replace(LIMIT, type=OrderType.STOP_LOSS_LIMIT, stop_price=D(99))


@pytest.mark.parametrize(
    ("entry", "refusal", "path"),
    [
        (LIMIT, RefusalState(OrderErrorCode.PRICE_OFF_TICK, "price"), ["bracket", "entry", "price"]),
        (LIMIT, RefusalState(OrderErrorCode.PRICE_OFF_TICK, "takeProfitPrice"), ["bracket", "takeProfitPrice"]),
        (LIMIT, RefusalState(OrderErrorCode.STOP_WOULD_TRIGGER, "stopPrice", D(1), D(90)), ["bracket", "stopPrice"]),
        (STOPPED, RefusalState(OrderErrorCode.STOP_WOULD_TRIGGER, "stopPrice", D(1), D(99)), ["bracket", "entry", "stopPrice"]),
        (STOPPED, RefusalState(OrderErrorCode.PRICE_OFF_TICK, "stopPrice", D(1), D(90)), ["bracket", "stopPrice"]),
        (LIMIT, RefusalState(OrderErrorCode.IDEMPOTENCY_MISMATCH, "clientGroupId"), ["clientGroupId"]),
        (LIMIT, RefusalState(OrderErrorCode.ACCOUNT_FROZEN), None),
    ],
)  # fmt: skip
def test_refusals_of_a_bracket_name_the_field_of_the_input(
    entry: WantedOrder, refusal: RefusalState, path: list[str] | None
) -> None:
    assert bracket_refused(refusal, wish_of(entry)).field == path


def test_a_moment_is_no_amount() -> None:
    told = refused(RefusalState(OrderErrorCode.EXPIRY_IN_PAST, "goodTillTime", D(1), D(2)), "order")
    assert (told.limit, told.actual, told.field) == (None, None, ["order", "goodTillTime"])


def test_every_code_has_its_sentences() -> None:
    for code in OrderErrorCode:
        plain = refused(RefusalState(code))
        exact = refused(RefusalState(code, "", D("1.50"), D("2")))
        for locale in ("en", "de"):
            assert "{" not in plain.message_in(locale) + exact.message_in(locale)
        if code in (OrderErrorCode.INSUFFICIENT_FUNDS, OrderErrorCode.PRICE_OFF_TICK):
            assert "1.5" in exact.message_in("en")
            assert "1.50" not in exact.message_in("de")
