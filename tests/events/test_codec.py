"""Events as bytes: what may be missing, and what may not."""

from decimal import Decimal

import orjson
import pytest

from core.wallet_vocabulary import ChainTxStatus, SwapStatus
from events.chain_transaction import ChainTransactionState
from events.codec import UnknownEvent, decode, encode
from events.market import BookChanged, BooksConfirmed
from events.swap import SwapChanged
from events.trading import AccountLogged, BalanceState, LoggedBalance

CHANGED = BookChanged("BTC-USDT", 7, ((Decimal("1.50"), Decimal(2)),), (), 1_700_000_000_000, (3,), ())


SENT = ChainTransactionState(
    "ethereum", "0xa", ChainTxStatus.FAILED, 2, 7, Decimal("0.01"), "why: {said}", {"said": "no"}, version=3
)
SWAPPED = SwapChanged("s1", 2, SwapStatus.SENT, "0xa", None)


@pytest.mark.parametrize("event", [CHANGED, BooksConfirmed(5), SENT, SWAPPED])
def test_an_event_comes_back_as_it_was(event: object) -> None:
    assert decode(encode(event)) == event


def without(name: str) -> bytes:
    body = orjson.loads(encode(CHANGED))
    del body[name]
    return orjson.dumps(body)


def test_a_field_with_a_default_may_be_missing() -> None:
    known = decode(without("bid_orders"))
    assert isinstance(known, BookChanged)
    assert (known.sequence, known.bid_orders) == (7, ())


def test_a_log_that_was_stored_before_debts_reads_as_one_without() -> None:
    logged = AccountLogged(
        "ann",
        1,
        1,
        (),
        (),
        (LoggedBalance(1, BalanceState("ann", "BTC", Decimal(1), Decimal(2), 3, 4, Decimal(5))),),
        4,
        3,
    )
    assert decode(encode(logged)) == logged
    body = orjson.loads(encode(logged))
    del body["balances"][0]["balance"]["debt"]
    known = decode(orjson.dumps(body))
    assert isinstance(known, AccountLogged)
    assert known.balances[0].balance == BalanceState("ann", "BTC", Decimal(1), Decimal(2), 3, 4)
    del body["balances"][0]["balance"]["held"]
    with pytest.raises(UnknownEvent):
        decode(orjson.dumps(body))


def test_any_other_field_may_not() -> None:
    with pytest.raises(UnknownEvent):
        decode(without("time_ms"))
