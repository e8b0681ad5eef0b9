"""A recorded file played in virtual time."""

import asyncio
import csv
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import InvalidInput
from core.vocabulary import OrderSide, PriceSource
from events.feed import FeedConnected, FeedDisconnected, FeedMessage, FeedTrade
from events.market import TickAccepted
from integrations.feeds.base import Feed
from integrations.feeds.replay import BATCH, ENDED, ReplayFeed, ReplayFileInvalid, ReplaySpeed
from services.price_sources import PriceLimits
from services.prices import PriceAggregator

HEADER = "time_ms,trade_id,price,quantity,buyer_maker\n"
ROWS = "1000,1,10.5,2,True\n1500,2,10.6,1,False\n1500,3,10.7,1e-7,False\n4000,4,10.4,1,True\n"


class Stage:
    """Virtual time, a pace that is counted, and everything the feed said with when it said it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.started = self.clock.monotonic()
        self.said: list[FeedMessage] = []
        self.at: list[float] = []
        self.paces: list[int] = []
        self.ended = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def pace(self) -> None:
        self.paces.append(len(self.trades))

    async def emit(self, message: FeedMessage) -> None:
        self.said.append(message)
        if isinstance(message, FeedTrade):
            self.at.append(self.clock.monotonic() - self.started)
        if isinstance(message, FeedDisconnected):
            self.ended.set()

    @property
    def trades(self) -> list[FeedTrade]:
        return [message for message in self.said if isinstance(message, FeedTrade)]

    def feed(self, path: Path, speed: str, pace: Callable[[], Awaitable[None]] | None = None) -> ReplayFeed:
        return ReplayFeed(
            path,
            symbol="BTC-USDT",
            speed=ReplaySpeed.parse(speed),
            clock=self.clock,
            pace=pace or self.pace,
            sleep=self.sleep,
        )

    async def play(self, feed: ReplayFeed) -> None:
        """Until it has ended; fails when it plays again or returns."""
        task = asyncio.create_task(feed.run(self.emit))
        try:
            async with asyncio.timeout(20):
                await self.ended.wait()
            count = len(self.said)
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done(), "it stays"
            assert len(self.said) == count, "it never loops"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "trades.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("speed", ["max", "10", "1"])
async def test_the_recorded_trades_come_out_row_by_row(shared_data: Path, speed: str) -> None:
    path = shared_data / "market" / "binance-btcusdt-trades-2021-01-08.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2001
    stage = Stage()
    feed = stage.feed(path, speed)
    assert (feed.rows, feed.finished) == (2001, False)
    await stage.play(feed)
    assert feed.finished
    assert stage.said[0] == FeedConnected(PriceSource.REPLAY)
    assert stage.said[-1] == FeedDisconnected(PriceSource.REPLAY, ENDED)
    assert stage.trades == [
        FeedTrade(
            PriceSource.REPLAY,
            "BTC-USDT",
            row["trade_id"],
            Decimal(row["price"]),
            Decimal(row["quantity"]),
            OrderSide.SELL if row["buyer_maker"] == "True" else OrderSide.BUY,
            int(row["time_ms"]),
        )
        for row in rows
    ]
    gap_s = (int(rows[-1]["time_ms"]) - int(rows[0]["time_ms"])) / 1000
    assert stage.at[-1] == pytest.approx(0 if speed == "max" else gap_s / int(speed), abs=0.001)


async def test_every_recorded_trade_is_a_tick(shared_data: Path) -> None:
    path = shared_data / "market" / "binance-btcusdt-trades-2021-01-08.csv"
    stage = Stage()
    await stage.play(stage.feed(path, "max"))
    prices = PriceAggregator(
        "BTC-USDT", (PriceSource.REPLAY,), PriceLimits(max_deviation=Decimal("0.05"), stale_ms=15_000)
    )
    ticks = [
        event
        for message in stage.said
        for event in prices.apply(message, stage.clock.now_ms()).events
        if isinstance(event, TickAccepted)
    ]
    assert [(tick.price, tick.time_ms, tick.sequence) for tick in ticks] == [
        (trade.price, trade.time_ms, number) for number, trade in enumerate(stage.trades, 1)
    ]


@pytest.mark.parametrize(
    ("speed", "expected"), [("1", [0, 0.5, 0.5, 3]), ("10", [0, 0.05, 0.05, 0.3]), ("0.5", [0, 1, 1, 6])]
)
async def test_gaps_are_the_recorded_ones_over_the_factor(tmp_path: Path, speed: str, expected: list[float]) -> None:
    stage = Stage()
    await stage.play(stage.feed(written(tmp_path, HEADER + ROWS), speed))
    assert stage.at == pytest.approx(expected, abs=0.001)
    assert stage.paces == []


@pytest.mark.parametrize("count", [1, 15, 16, 17, 32, 50])
async def test_at_max_readers_are_asked_before_every_batch(tmp_path: Path, count: int) -> None:
    rows = "".join(f"{1000 + number},{number},1,1,True\n" for number in range(count))
    stage = Stage()
    await stage.play(stage.feed(written(tmp_path, HEADER + rows), "max"))
    assert stage.paces == list(range(0, count, BATCH))
    assert len(stage.trades) == count


async def test_at_max_nothing_plays_while_the_readers_are_not_ready(tmp_path: Path) -> None:
    ready = asyncio.Event()

    async def pace() -> None:
        await ready.wait()

    stage = Stage()
    feed = stage.feed(written(tmp_path, HEADER + ROWS), "max", pace)
    task = asyncio.create_task(feed.run(stage.emit))
    for _ in range(10):
        await asyncio.sleep(0)
    assert stage.said == [FeedConnected(PriceSource.REPLAY)]
    ready.set()
    async with asyncio.timeout(30):
        await stage.ended.wait()
    assert len(stage.trades) == 4
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_it_is_a_feed(tmp_path: Path) -> None:
    feed: Feed = Stage().feed(written(tmp_path, HEADER + ROWS), "1")
    assert feed.source is PriceSource.REPLAY


async def test_columns_may_stand_in_any_order_with_others_and_blank_lines(tmp_path: Path) -> None:
    text = "\ufeffbuyer_maker,note,price,quantity,trade_id,time_ms\r\nfalse,hello,10.5,2,x-1,1000\r\n\r\n"
    stage = Stage()
    await stage.play(stage.feed(written(tmp_path, text), "max"))
    assert stage.trades == [
        FeedTrade(PriceSource.REPLAY, "BTC-USDT", "x-1", Decimal("10.5"), Decimal(2), OrderSide.BUY, 1000)
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "no column time_ms, trade_id, price, quantity, buyer_maker"),
        (HEADER, 2, "at least one trade"),
        ("time_ms,trade_id,price,quantity\n1,1,1,1\n", 1, "no column buyer_maker"),
        ("time,id,price,quantity,buyer_maker\n1,1,1,1,True\n", 1, "no column time_ms, trade_id"),
        (ROWS, 1, "no column"),
        (HEADER + ROWS + "4001,5,10\n", 6, "expected 5 fields as in the header, found 3"),
        (HEADER + "1000.5,1,10,1,True\n", 2, "time_ms must be milliseconds since 1970"),
        (HEADER + "-5,1,10,1,True\n", 2, "time_ms must be"),
        (HEADER + "٣,1,10,1,True\n", 2, "time_ms must be"),
        (HEADER + "1000,,10,1,True\n", 2, "trade_id must be"),
        (HEADER + "1000,1,ten,1,True\n", 2, "price must be a decimal number above 0, not 'ten'"),
        (HEADER + "1000,1,NaN,1,True\n", 2, "price must be"),
        (HEADER + "1000,1,1e400,1,True\n", 2, "price must be"),
        (HEADER + "1000,1,0,1,True\n", 2, "price must be above 0"),
        (HEADER + "1000,1,10,-1,True\n", 2, "quantity must be above 0"),
        (HEADER + "1000,1,10,1,yes\n", 2, "buyer_maker must be True or False, not 'yes'"),
        (HEADER + ROWS + "3999,5,10,1,True\n", 6, "time_ms 3999 is before 4000"),
        (HEADER + ROWS + "4000,4,10,1,True\n", 6, "trade_id 4 stands on the row above"),
        (HEADER + '1000,1,"10,1,True\n', 2, "unexpected end of data"),
    ],
)
def test_a_bad_file_is_refused_before_anything_plays(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ReplayFileInvalid) as refused:
        Stage().feed(path, "1")
    assert refused.value.code == "REPLAY_FILE_INVALID"
    assert refused.value.message.startswith(f"{path}: line {line}: ")
    assert says in refused.value.message


def test_an_absent_file_a_folder_and_other_bytes_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(ReplayFileInvalid, match="REPLAY_FILE must name a readable CSV") as refused:
            Stage().feed(path, "1")
        assert str(path) in refused.value.message
    with pytest.raises(ReplayFileInvalid, match="UTF-8"):
        Stage().feed(written(tmp_path, b"\x1f\x8b\x08\xff\xfe"), "1")


@pytest.mark.parametrize(("text", "factor"), [("1", 1), ("10", 10), ("0.5", Decimal("0.5")), ("max", None)])
def test_speeds(text: str, factor: Decimal | int | None) -> None:
    speed = ReplaySpeed.parse(text)
    assert speed.factor == factor
    assert str(speed) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "MAX", "1e3", "NaN", "inf", "1000001", " 1", "10x"])
def test_other_speeds_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="REPLAY_SPEED must be max or a factor above 0"):
        ReplaySpeed.parse(text)
