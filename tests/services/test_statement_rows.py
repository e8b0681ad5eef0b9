"""Statement lines survive their packs."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.order_vocabulary import TransactionKind
from events.trading import StatementLine
from services.statement_rows import decode, encode

_amounts = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**12), max_value=10**12)
_numbers = st.integers(1, 2**53)
_lines = st.builds(
    StatementLine,
    number=_numbers,
    entry=_numbers,
    kind=st.sampled_from(TransactionKind),
    asset=st.sampled_from(("BTC", "USDT")),
    amount=_amounts,
    balance_after=_amounts,
    symbol=st.none() | st.just("BTC-USDT"),
    fill=st.none() | _numbers,
    order=st.none() | _numbers,
    time_ms=_numbers,
    transfer=st.none() | st.just("deposit:ethereum:0x12:coins"),
)


@given(st.lists(_lines))
def test_lines_survive(lines: list[StatementLine]) -> None:
    assert decode(encode(lines)) == lines


def test_amounts_are_plain_text() -> None:
    line = StatementLine(
        1, 2, TransactionKind.FEE, "BTC", Decimal("-1E-8"), Decimal("1E+2"), "BTC-USDT", 5, 6, 1700000000000
    )
    assert encode([line]) == b'[[1,2,"FEE","BTC","-0.00000001","100","BTC-USDT",5,6,1700000000000,null]]'


def test_packs_of_before_lines_named_their_transfer_are_read() -> None:
    (line,) = decode(b'[[1,2,"FEE","BTC","-0.1","100","BTC-USDT",5,6,1700000000000]]')
    assert (line.time_ms, line.transfer) == (1700000000000, None)
