"""The journal's bytes, for ever."""

from pathlib import Path
from typing import get_args

import pytest

from core.order_vocabulary import OrderType
from core.vocabulary import MarketStatus, PriceSource
from events.commands import (
    AmendOrder,
    CancelOrder,
    ForgetKeys,
    FreezeAccount,
    PlaceBracket,
    ReferencePrice,
    SetCancelTimer,
    SetFeeTier,
    SetMarketStatus,
)
from events.journal import Event, FundsMoved, WriterStarted
from events.journal_codec import FORMAT, UnknownFormat, decode, encode
from exchange.engine import fold
from exchange.snapshot import digest
from tests.exchange.floor import BUY, EXACT, ROUNDING, SELL, Floor, wish

GOLDEN = Path(__file__).parent / "golden"


def test_integers_beyond_63_bits_are_kept() -> None:
    events = [
        FundsMoved("ann", "house:test-funds", "ETH", units, "key", "digest")
        for units in (2**63 - 1, 2**63, -(2**80), 0)
    ]
    assert decode(encode(events), written_in=FORMAT) == events
    assert b'"9223372036854775808"' in encode(events)


@pytest.mark.parametrize("payload", [b"", b"[", b"1", b"[[]]", b'[["no-such-event"]]', b'[["writer-started","x"]]', b'[["writer-started"]]', b"[1]"])  # fmt: skip
def test_what_is_no_journal_is_refused(payload: bytes) -> None:
    with pytest.raises(UnknownFormat):
        decode(payload, written_in=FORMAT)


@pytest.mark.parametrize("version", [0, FORMAT + 1])
def test_a_newer_format_is_refused(version: int) -> None:
    with pytest.raises(UnknownFormat, match="format"):
        decode(encode([WriterStarted(1)]), written_in=version)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_old_journals_give_what_they_gave(path: Path) -> None:
    written_in, expected = path.stem.split("-")[1:]
    assert digest(fold(decode(path.read_bytes(), written_in=int(written_in)))).startswith(expected)


def test_there_is_a_golden_journal_of_every_format_with_every_event_in_use() -> None:
    newest = next(path for path in GOLDEN.glob(f"format-{FORMAT}-*.json"))
    kinds = {type(event) for event in decode(newest.read_bytes(), written_in=FORMAT)}
    assert kinds == set(get_args(Event))


def make_golden() -> None:
    """Write a golden journal of this format: `python -m tests.exchange.test_journal_codec`, once per format."""
    floor = Floor("ann", "bob")
    floor.exchange.start_writer(7)
    floor.exchange.execute(SetFeeTier("ann", 0, 500), floor.now_ms)
    for number in range(30):
        rules = (EXACT, ROUNDING)[number % 2]
        floor.place(
            "ann",
            wish(
                SELL,
                OrderType.LIMIT,
                lots=10 + number,
                price=1000 + number,
                rules=rules,
                display=3 if number % 5 == 0 else None,
            ),
        )
        floor.place("bob", wish(BUY, OrderType.LIMIT, lots=7 + number, price=1008 - number % 3, rules=rules))
    last = floor.place("ann", wish(SELL, OrderType.STOP_LOSS, lots=20, stop=900)).made
    other = floor.place("ann", wish(SELL, OrderType.STOP_LOSS_LIMIT, lots=20, stop=890, price=880)).made
    floor.exchange.execute(
        ReferencePrice(EXACT.symbol, 895 * EXACT.tick, PriceSource.KRAKEN, floor.now_ms), floor.now_ms
    )
    floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=20, trail=5))
    floor.place("ann", wish(SELL, OrderType.TRAILING_STOP, lots=20, trail=5, activation=910))
    floor.exchange.execute(
        ReferencePrice(EXACT.symbol, 899 * EXACT.tick, PriceSource.KRAKEN, floor.now_ms), floor.now_ms
    )
    floor.exchange.execute(AmendOrder("ann", other, price=1200 * EXACT.tick), floor.now_ms)
    floor.exchange.execute(CancelOrder("ann", other), floor.now_ms)
    protection = (wish(SELL, OrderType.LIMIT, price=1100), wish(SELL, OrderType.STOP_LOSS, stop=800))
    floor.exchange.execute(
        PlaceBracket("bob", "bracket", "digest", wish(BUY, OrderType.LIMIT, lots=5, price=1300), protection),
        floor.now_ms,
    )
    floor.exchange.execute(ForgetKeys(last), floor.now_ms)
    floor.exchange.execute(SetCancelTimer("ann", "session", 5000, (EXACT.symbol,)), floor.now_ms)
    floor.exchange.execute(FreezeAccount("bob", True), floor.now_ms)
    floor.exchange.execute(SetMarketStatus(ROUNDING.symbol, MarketStatus.HALTED, f"after {last}"), floor.now_ms)
    floor.collect()
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"format-{FORMAT}-{digest(floor.exchange.state)[:16]}.json").write_bytes(encode(floor.events))


if __name__ == "__main__":
    make_golden()
