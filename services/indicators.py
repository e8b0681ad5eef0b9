"""Technical indicators over candles, computed by talipp (https://nardew.github.io/talipp) in floating point.

They are figures to look at, never money: values leave as Decimals, half-even to 12 significant digits. Prices are closes but for ATR,
STOCHASTIC, ADX and VWAP, which use high, low and close. A point is None while its indicator warms up.

| kind | parameters and defaults | lines |
|---|---|---|
| SMA, EMA, WMA | period 20 | value |
| RSI (Wilder) | period 14, at least 2 | value |
| MACD | fast 12, slow 26, signal 9 | macd, signal, histogram |
| BOLLINGER | period 20, deviations 2 (population standard deviation) | upper, middle, lower |
| ATR (Wilder) | period 14 | value |
| STOCHASTIC | period 14 (%K), signal 3 (%D, a simple average of %K) | k, d |
| ADX (Wilder) | period 14 | adx, plusDi, minusDi |
| OBV, VWAP | none; both accumulate from the first candle asked for | value |

So that the first value asked for is warm, candles before it are read: as many as the window needs, and for the recursive kinds (EMA, RSI,
MACD, ATR, ADX) ten times the period, at which the start weighs less than 0.005 %; never more than 2,000.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from talipp.indicators import ADX, ATR, BB, EMA, MACD, OBV, RSI, SMA, VWAP, WMA, Stoch
from talipp.ohlcv import OHLCV

from core.errors import InvalidInput
from core.money import canonical, figure
from core.paging import MAX_CANDLE_PAGE_SIZE, PageRequest
from core.vocabulary import CandleInterval, IndicatorKind, Series
from events.market import CandleChanged
from services import candle_history
from services.window_paging import MAX_WINDOW

MAX_REQUESTS = 10
MAX_PERIOD = 500
MAX_DEVIATIONS = Decimal(10)
MAX_POINTS = MAX_CANDLE_PAGE_SIZE
DEFAULT_POINTS = 100
MAX_WARM_UP = MAX_WINDOW
RECURSIVE_FACTOR = 10

Parameter = int | Decimal


@dataclass(frozen=True, slots=True)
class IndicatorRequest:
    """One indicator; None takes the default. A parameter its kind does not use is refused."""

    kind: IndicatorKind
    period: int | None = None
    fast: int | None = None
    slow: int | None = None
    signal: int | None = None
    deviations: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: open times of candles with their values, oldest first."""

    name: str
    points: Sequence[tuple[int, Decimal | None]]


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator's curves; `name` is its kind with its parameters, such as SMA(20)."""

    kind: IndicatorKind
    name: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is computed. `compute` gives one raw value per candle; `lines` read it; `warm_up` counts candles."""

    defaults: Mapping[str, Parameter]
    compute: Callable[[Mapping[str, Any], Sequence[OHLCV]], Iterable[Any]]
    lines: Mapping[str, Callable[[Any], float | None]]
    warm_up: Callable[[Mapping[str, Any]], int]


def _closes(candles: Sequence[OHLCV]) -> list[float | None]:
    return [candle.close for candle in candles]


_VALUE: Mapping[str, Callable[[Any], float | None]] = {"value": lambda value: value}
_WINDOW: Callable[[Mapping[str, Any]], int] = lambda p: p["period"] - 1  # noqa: E731
_RECURSIVE: Callable[[Mapping[str, Any]], int] = lambda p: RECURSIVE_FACTOR * p["period"]  # noqa: E731
_KINDS: Mapping[IndicatorKind, _Kind] = {
    IndicatorKind.SMA: _Kind({"period": 20}, lambda p, c: SMA(p["period"], _closes(c)), _VALUE, _WINDOW),
    IndicatorKind.EMA: _Kind({"period": 20}, lambda p, c: EMA(p["period"], _closes(c)), _VALUE, _RECURSIVE),
    IndicatorKind.WMA: _Kind({"period": 20}, lambda p, c: WMA(p["period"], _closes(c)), _VALUE, _WINDOW),
    IndicatorKind.RSI: _Kind({"period": 14}, lambda p, c: RSI(p["period"], _closes(c)), _VALUE, _RECURSIVE),
    IndicatorKind.MACD: _Kind(
        {"fast": 12, "slow": 26, "signal": 9},
        lambda p, c: MACD(p["fast"], p["slow"], p["signal"], _closes(c)),
        {"macd": lambda v: v.macd, "signal": lambda v: v.signal, "histogram": lambda v: v.histogram},
        lambda p: RECURSIVE_FACTOR * (p["slow"] + p["signal"]),
    ),
    IndicatorKind.BOLLINGER: _Kind(
        {"period": 20, "deviations": Decimal(2)},
        lambda p, c: BB(p["period"], float(p["deviations"]), _closes(c)),
        {"upper": lambda v: v.ub, "middle": lambda v: v.cb, "lower": lambda v: v.lb},
        _WINDOW,
    ),
    IndicatorKind.ATR: _Kind({"period": 14}, lambda p, c: ATR(p["period"], list(c)), _VALUE, _RECURSIVE),
    IndicatorKind.STOCHASTIC: _Kind(
        {"period": 14, "signal": 3},
        lambda p, c: Stoch(p["period"], p["signal"], list(c)),
        {"k": lambda v: v.k, "d": lambda v: v.d},
        lambda p: p["period"] + p["signal"] - 2,
    ),
    IndicatorKind.ADX: _Kind(
        {"period": 14},
        lambda p, c: ADX(p["period"], p["period"], list(c)),
        {"adx": lambda v: v.adx, "plusDi": lambda v: v.plus_di, "minusDi": lambda v: v.minus_di},
        lambda p: 2 * RECURSIVE_FACTOR * p["period"],
    ),
    IndicatorKind.OBV: _Kind({}, lambda _, c: OBV(list(c)), _VALUE, lambda _: 0),
    IndicatorKind.VWAP: _Kind({}, lambda _, c: VWAP(list(c)), _VALUE, lambda _: 0),
}


async def indicators(
    series: Series,
    symbol: str,
    interval: CandleInterval,
    requests: Sequence[IndicatorRequest],
    *,
    live: Sequence[CandleChanged],
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> list[Indicator]:
    """Indicators at the candles with from_ms <= open time < to_ms, at most 1,000; without `from_ms`, at the newest 100.

    Raises:
        InvalidInput: too many requests or candles, or a parameter that is out of range or not used by its kind.
    """
    if len(requests) > MAX_REQUESTS:
        raise InvalidInput(
            f"expected at most {MAX_REQUESTS} indicators", field=["requests"], limit=MAX_REQUESTS, actual=len(requests)
        )
    parameters = [checked(request, place) for place, request in enumerate(requests)]
    wanted = await _wanted(series, symbol, interval, live=live, from_ms=from_ms, to_ms=to_ms)
    warm_up = max((warm_up_candles(r.kind, p) for r, p in zip(requests, parameters, strict=True)), default=0)
    earlier: list[CandleChanged] = []
    if wanted and warm_up:
        earlier = await candle_history.newest(
            series, symbol, interval, warm_up, live=live, to_ms=wanted[0].open_time_ms
        )
    return [
        await asyncio.to_thread(compute, request.kind, values, earlier, wanted)
        for request, values in zip(requests, parameters, strict=True)
    ]


async def _wanted(
    series: Series,
    symbol: str,
    interval: CandleInterval,
    *,
    live: Sequence[CandleChanged],
    from_ms: int | None,
    to_ms: int | None,
) -> Sequence[CandleChanged]:
    if from_ms is None:
        return await candle_history.newest(series, symbol, interval, DEFAULT_POINTS, live=live, to_ms=to_ms)
    request = PageRequest(first=MAX_POINTS, max_size=MAX_POINTS)
    page = await candle_history.page(series, symbol, interval, request, live=live, from_ms=from_ms, to_ms=to_ms)
    if page.has_next:
        raise InvalidInput(
            f"the range holds more than {MAX_POINTS} candles; narrow it or take a longer interval",
            field=["from"],
            limit=MAX_POINTS,
        )
    return page.items


def checked(request: IndicatorRequest, place: int = 0) -> dict[str, Parameter]:
    """The parameters of a request, defaults filled in. Raises InvalidInput with the path of the wrong one."""
    defaults = _KINDS[request.kind].defaults
    parameters = dict(defaults)
    for name in ("period", "fast", "slow", "signal", "deviations"):
        value: Parameter | None = getattr(request, name)
        if value is None:
            continue
        path = ["requests", str(place), name]
        if name not in defaults:
            used = " and ".join(defaults) or "no parameters"
            raise InvalidInput(f"{request.kind} does not use {name}; it takes {used}", field=path)
        _check_range(request.kind, name, value, path)
        parameters[name] = value
    if request.kind is IndicatorKind.MACD and parameters["fast"] >= parameters["slow"]:
        raise InvalidInput("fast must be below slow", field=["requests", str(place), "fast"])
    return parameters


def _check_range(kind: IndicatorKind, name: str, value: Parameter, path: list[str]) -> None:
    if name == "deviations":
        if not 0 < value <= MAX_DEVIATIONS:
            raise InvalidInput(f"deviations must be above 0 and at most {MAX_DEVIATIONS}", field=path)
        return
    least = 2 if kind is IndicatorKind.RSI else 1
    if not least <= value <= MAX_PERIOD:
        raise InvalidInput(f"{name} must be from {least} to {MAX_PERIOD}", field=path, limit=MAX_PERIOD)


def warm_up_candles(kind: IndicatorKind, parameters: Mapping[str, Parameter]) -> int:
    """Candles read before the first one asked for."""
    return min(_KINDS[kind].warm_up(parameters), MAX_WARM_UP)


def compute(
    kind: IndicatorKind,
    parameters: Mapping[str, Parameter],
    earlier: Sequence[CandleChanged],
    wanted: Sequence[CandleChanged],
) -> Indicator:
    """An indicator at the candles `wanted`; of `earlier`, the candles before them, it takes as many as it needs to be warm."""
    how = _KINDS[kind]
    count = warm_up_candles(kind, parameters)
    before = earlier[-count:] if count else ()
    raw = list(how.compute(parameters, [_ohlcv(candle) for candle in (*before, *wanted)]))[len(before) :]
    name = ",".join(canonical(Decimal(parameters[parameter])) for parameter in how.defaults)
    return Indicator(
        kind=kind,
        name=f"{kind}({name})" if name else str(kind),
        lines=[
            Line(line, [(c.open_time_ms, _value(value, read)) for c, value in zip(wanted, raw, strict=True)])
            for line, read in how.lines.items()
        ],
    )


def _ohlcv(candle: CandleChanged) -> OHLCV:
    return OHLCV(float(candle.open), float(candle.high), float(candle.low), float(candle.close), float(candle.volume))


def _value(raw: Any, read: Callable[[Any], float | None]) -> Decimal | None:
    value = None if raw is None else read(raw)
    return None if value is None or not math.isfinite(value) else figure(Decimal(str(value)))
