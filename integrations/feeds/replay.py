"""Plays a recorded trades file into one market, as it was: every row is one trade with its recorded time.

The file is a CSV with a header and the columns time_ms, trade_id, price, quantity, buyer_maker (True: the buyer's order rested, so the
taker sold), in any order, others are ignored; rows ascend in time. It is read twice: once as a whole before anything plays, so
that a bad row is known at the start, and once row by row while it plays, so that its size does not matter.
It holds no quotes and no book, so this feed gives none.
"""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TextIO

from core.clock import Clock
from core.errors import ExpectedError, InvalidInput
from core.money import MalformedNumber, canonical, parse_decimal, provider_decimal
from core.vocabulary import OrderSide, PriceSource
from events.feed import FeedConnected, FeedDisconnected, FeedTrade
from integrations.feeds.base import Emit

COLUMNS = ("time_ms", "trade_id", "price", "quantity", "buyer_maker")
BATCH = 16
ENDED = "the replay has ended"
MAX_FACTOR = 1_000_000
_TAKER_SIDE = {"true": OrderSide.SELL, "false": OrderSide.BUY}

Sleep = Callable[[float], Awaitable[None]]
Pace = Callable[[], Awaitable[None]]


class ReplayFileInvalid(ExpectedError):
    """The file cannot be played; the message names file, line and what would be right."""

    code = "REPLAY_FILE_INVALID"


@dataclass(frozen=True, slots=True)
class ReplaySpeed:
    """How fast a recording plays. `factor`: recorded gaps are divided by it; None: as fast as its readers take it."""

    factor: Decimal | None

    @classmethod
    def parse(cls, text: str) -> "ReplaySpeed":
        """Read ``max`` or a factor such as ``1``, ``10`` or ``0.5``. Raises InvalidInput."""
        if text == "max":
            return cls(factor=None)
        try:
            factor = parse_decimal(text)
        except MalformedNumber:
            factor = Decimal(0)
        if not 0 < factor <= MAX_FACTOR:
            raise InvalidInput(
                f"REPLAY_SPEED must be max or a factor above 0 and at most {MAX_FACTOR}, such as 1 or 10, not {text[:40]!r}",
                field=["REPLAY_SPEED"],
            )
        return cls(factor=factor)

    def __str__(self) -> str:
        return "max" if self.factor is None else canonical(self.factor)


class ReplayFeed:
    """One recording, played once.

    At a factor, time passes through `clock` and `sleep`. At `max`, `pace` is awaited before every batch of at most 16 trades: it
    returns when every reader has taken what was played so far.
    """

    source = PriceSource.REPLAY

    def __init__(
        self, path: Path, *, symbol: str, speed: ReplaySpeed, clock: Clock, pace: Pace, sleep: Sleep = asyncio.sleep
    ) -> None:
        """Reads the whole file. Raises ReplayFileInvalid."""
        self.rows = sum(1 for _ in _trades(path, symbol))
        if not self.rows:
            raise ReplayFileInvalid(f"{path}: line 2: expected at least one trade below the header")
        self._trades = _trades(path, symbol)
        self._speed = speed
        self._clock = clock
        self._pace = pace
        self._sleep = sleep
        self._finished = False

    @property
    def finished(self) -> bool:
        """Whether every row has been played."""
        return self._finished

    async def run(self, emit: Emit) -> None:
        """Play every row, say that it has ended, and stay until cancelled. Call it once."""
        await emit(FeedConnected(self.source))
        if self._speed.factor is None:
            await self._play_paced(emit)
        else:
            await self._play_timed(emit, self._speed.factor)
        self._finished = True
        await emit(FeedDisconnected(self.source, ENDED))
        await asyncio.Event().wait()

    async def _play_paced(self, emit: Emit) -> None:
        while batch := list(islice(self._trades, BATCH)):
            await self._pace()
            for trade in batch:
                await emit(trade)

    async def _play_timed(self, emit: Emit, factor: Decimal) -> None:
        started = first_ms = None
        for trade in self._trades:
            if started is None or first_ms is None:
                started, first_ms = self._clock.monotonic(), trade.time_ms
            due = started + float((trade.time_ms - first_ms) / factor) / 1000
            delay = due - self._clock.monotonic()
            if delay > 0:
                await self._sleep(delay)
            await emit(trade)


def _trades(path: Path, symbol: str) -> Iterator[FeedTrade]:
    """The file's trades, one by one. Raises ReplayFileInvalid."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _parse(file, path, symbol)
    except OSError as error:
        raise ReplayFileInvalid(
            f"{path}: cannot be read ({error.strerror}); REPLAY_FILE must name a readable CSV of trades"
        ) from error
    except UnicodeDecodeError as error:
        raise ReplayFileInvalid(f"{path}: expected a CSV in UTF-8, found other bytes") from error


def _parse(file: TextIO, path: Path, symbol: str) -> Iterator[FeedTrade]:
    reader = csv.reader(file, strict=True)
    try:
        header = next(reader, [])
        places = _places(header)
        before: FeedTrade | None = None
        for row in filter(None, reader):
            if len(row) != len(header):
                raise _Wrong(f"expected {len(header)} fields as in the header, found {len(row)}")
            trade = _trade([row[place] for place in places], symbol)
            if before is not None:
                _check_order(before, trade)
            yield trade
            before = trade
    except (_Wrong, csv.Error) as error:
        raise ReplayFileInvalid(f"{path}: line {max(1, reader.line_num)}: {error}") from error


class _Wrong(ValueError):
    """What is wrong with a row, and what would be right."""


def _places(header: list[str]) -> list[int]:
    names = [name.strip() for name in header]
    absent = [name for name in COLUMNS if name not in names]
    if absent:
        raise _Wrong(f"the header has no column {', '.join(absent)}; expected {','.join(COLUMNS)}")
    return [names.index(name) for name in COLUMNS]


def _check_order(before: FeedTrade, trade: FeedTrade) -> None:
    if trade.time_ms < before.time_ms:
        raise _Wrong(f"time_ms {trade.time_ms} is before {before.time_ms} on the row above; rows must ascend in time")
    if trade.trade_id == before.trade_id:
        raise _Wrong(f"trade_id {trade.trade_id} stands on the row above already; every trade has its own")


def _trade(fields: list[str], symbol: str) -> FeedTrade:
    time_ms, trade_id, price, quantity, buyer_maker = fields
    if not (time_ms.isascii() and time_ms.isdigit() and len(time_ms) <= 15):
        raise _Wrong(f"time_ms must be milliseconds since 1970 such as 1610064000278, not {time_ms[:40]!r}")
    if not trade_id or len(trade_id) > 64:
        raise _Wrong("trade_id must be a text of 1 to 64 characters")
    taker_side = _TAKER_SIDE.get(buyer_maker.lower())
    if taker_side is None:
        raise _Wrong(f"buyer_maker must be True or False, not {buyer_maker[:40]!r}")
    return FeedTrade(
        source=PriceSource.REPLAY,
        symbol=symbol,
        trade_id=trade_id,
        price=_positive("price", price),
        quantity=_positive("quantity", quantity),
        taker_side=taker_side,
        time_ms=int(time_ms),
    )


def _positive(column: str, text: str) -> Decimal:
    try:
        value = provider_decimal(text)
    except MalformedNumber as error:
        raise _Wrong(f"{column} must be a decimal number above 0, not {text[:40]!r}") from error
    if value <= 0:
        raise _Wrong(f"{column} must be above 0, not {text[:40]!r}")
    return value
