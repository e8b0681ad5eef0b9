"""The journal's bytes, for ever."""

from pathlib import Path
from typing import get_args

import pytest

from core.order_vocabulary import OrderType
from core.vocabulary import MarketStatus, PriceSource
from events.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    CreditDeposit,
    ForgetKeys,
    FreezeAccount,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    PlaceBracket,
    ReferencePrice,
    ReleaseWithdrawal,
    RepayDebt,
    ReverseDeposit,
    SetCancelTimer,
    SetFeeTier,
    SetMarketStatus,
    SettleWithdrawal,
)
from events.journal import Event, FundsMoved, WriterStarted
from events.journal_codec import FORMAT, UnknownFormat, decode, encode
from exchange.accounts import House, cold_reserve, hot_reserve
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
    newest = GOLDEN.glob(f"format-{FORMAT}-*.json")
    kinds = {type(event) for path in newest for event in decode(path.read_bytes(), written_in=FORMAT)}
    assert kinds == set(get_args(Event))


def make_golden() -> None:
    """Write golden journals of this format: `python -m tests.exchange.test_journal_codec`, once per format or for new events."""
    GOLDEN.mkdir(exist_ok=True)
    for floor in (trading(), funds()):
        floor.collect()
        (GOLDEN / f"format-{FORMAT}-{digest(floor.exchange.state)[:16]}.json").write_bytes(encode(floor.events))


def funds() -> Floor:
    """Deposits, a reversal that leaves a debt, withdrawals that are held, settled and released, and funds of the house that move."""
    floor, hot, cold = Floor("ann"), hot_reserve("ethereum"), cold_reserve("ethereum")
    key = "§{}".format
    commands: tuple[Command, ...] = (
        CreditDeposit("ann", "ETH", 2**70, hot, key(1), "digest 1"),
        CreditDeposit("bob", "ETH", 1_000, hot, key(2), "digest 2"),
        MoveFunds("bob", House.TEST_FUNDS, "ETH", -900, "gone", "digest"),
        ReverseDeposit("bob", "ETH", 1_000, hot, key(3), "digest 3"),
        CreditDeposit("bob", "ETH", 500, hot, key(4), "digest 4"),
        MoveFunds("bob", House.TEST_FUNDS, "ETH", 150, "back", "digest"),
        RepayDebt("bob", "ETH"),
        *[HoldWithdrawal("ann", "ETH", 2**65 + number, f"out-{number}", f"digest {number}") for number in range(3)],
        MoveHouseFunds(cold, hot, "ETH", 2**64, key(5), "digest 5"),
        MoveHouseFunds(House.NETWORK_FEES, hot, "ETH", 21_000, key(6), "digest 6"),
    )
    for command in commands:
        assert floor.exchange.execute(command, floor.now_ms).refusal is None
    settled, released, _ = floor.exchange.state.withdrawals
    floor.exchange.execute(SettleWithdrawal("ann", settled, hot, 7, key("end 1"), "settled"), floor.now_ms)
    floor.exchange.execute(ReleaseWithdrawal("ann", released, key("end 2"), "released"), floor.now_ms)
    return floor


def trading() -> Floor:
    """Orders of all kinds on two markets, and what ends them."""
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
    return floor


if __name__ == "__main__":
    make_golden()
