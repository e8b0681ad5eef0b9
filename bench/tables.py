"""Medians, ratios and the Markdown of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from bench.contenders import DESCRIBED, MERCURIUS, MERCURIUS_JIT, UVLOOP, VAULT
from bench.measuring import Sample
from bench.rows import Goal, Measure, QueryRow, Row

Samples = Mapping[str, Sequence[Sample]]
"""Of one row, by contender."""
FAULTS = (
    *("lost", "missed", "repeated", "wrong_id", "binary", "errors", "closed", "stalled"),
    *("not_2xx", "with_errors"),
)
HIT_AND_MISS = (("hits", "misses"), ("used", "missed"))
"""What counters of the two are called."""


def median(samples: Sequence[Sample], measure: Measure) -> float:
    """Over the rounds."""
    return statistics.median([_value(sample, measure) for sample in samples])


def _value(sample: Sample, measure: Measure) -> float:
    measured = sample.measured
    match measure:
        case Measure.PER_CPU:
            return measured["per_server_cpu_second"]
        case Measure.PER_SECOND:
            return measured["per_second"]
        case Measure.P50:
            return measured["latency_ms"]["p50"]
        case Measure.P99:
            return measured["latency_ms"]["p99"]


def table(row: Row, samples: Samples) -> str:
    """Every contender of a row."""
    columns = _columns(row, samples)
    lines = [f"### {row.title}", "", f"| {' | '.join(columns)} |", f"|---{'|---:' * (len(columns) - 2)}|---|"]
    for name in row.contenders:
        if found := samples.get(name):
            lines.append(f"| {' | '.join(cell(name, found) for cell in columns.values())} |")
    if counted := _counted(samples.get(VAULT, ())):
        lines += ["", f"Counted by CryptoVault meanwhile: {counted}."]
    return "\n".join(lines)


def _columns(row: Row, samples: Samples) -> dict[str, Callable[[str, Sequence[Sample]], str]]:
    """Heads, and what makes a contender's cells."""

    def of(measure: Measure) -> Callable[[str, Sequence[Sample]], str]:
        return lambda _, found: _figure(median(found, measure), measure)

    mercurius = MERCURIUS_JIT if isinstance(row, QueryRow) else MERCURIUS
    net: dict[str, Callable[[str, Sequence[Sample]], str]] = {"less ticks": lambda _, found: _less_ticks(found)}
    return {
        "contender": lambda name, _: DESCRIBED[name],
        Measure.PER_CPU: of(Measure.PER_CPU),
        f"of {UVLOOP}": lambda name, _: _ratio(samples, name, UVLOOP),
        f"of {mercurius}": lambda name, _: _ratio(samples, name, mercurius),
        **(net if isinstance(row, QueryRow) else {}),
        Measure.PER_SECOND: of(Measure.PER_SECOND),
        Measure.P50: of(Measure.P50),
        Measure.P99: of(Measure.P99),
        "CPU": lambda _, found: _cpu(found),
        "client CPU": lambda _, found: f"{statistics.median([each.measured['client_cpu'] for each in found]):.0%}",
        "faults": lambda _, found: faults(found) or "none",
    }


def _less_ticks(samples: Sequence[Sample]) -> str:
    """Per second of the server's CPU time that it did not spend on ticks: on a machine that others use, they would weigh more than they do."""
    nets = []
    for sample in samples:
        measured = sample.measured
        spent = measured["cpu"]["server"] - (sample.ticks_alone or 0.0) * measured["seconds"]
        if spent > 0:
            nets.append(measured["per_second"] * measured["seconds"] / spent)
    return f"{statistics.median(nets):,.0f}" if nets else ""


def _figure(value: float, measure: Measure) -> str:
    return f"{value:,.0f}" if measure in {Measure.PER_CPU, Measure.PER_SECOND} else f"{value:,.1f}"


def _ratio(samples: Samples, name: str, other: str) -> str:
    ratio = _times(samples, name, Measure.PER_CPU, other)
    return "" if ratio is None else f"{ratio:.2f}"


def _times(samples: Samples, name: str, measure: Measure, other: str) -> float | None:
    if not samples.get(name) or not samples.get(other):
        return None
    divisor = median(samples[other], measure)
    return median(samples[name], measure) / divisor if divisor else None


def _cpu(samples: Sequence[Sample]) -> str:
    """Of each watched process, as shares of a core."""
    names = samples[0].measured["cpu"]
    shares = {
        name: statistics.median([each.measured["cpu"][name] / each.measured["seconds"] for each in samples])
        for name in names
    }
    text = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    alone = [each.ticks_alone for each in samples if each.ticks_alone is not None]
    return f"{text}; ticks alone {statistics.median(alone):.0%}" if alone else text


def faults(samples: Sequence[Sample]) -> str:
    """What should not have happened, summed over the rounds."""
    sums: dict[str, int] = {}
    for sample in samples:
        for name, value in sample.measured.items():
            if name in FAULTS and isinstance(value, int) and value:
                sums[name] = sums.get(name, 0) + value
    return ", ".join(f"{value:,} {name}" for name, value in sums.items())


def _counted(samples: Sequence[Sample]) -> str:
    sums: dict[str, float] = {}
    for sample in samples:
        for name, value in sample.counted.items():
            sums[name] = sums.get(name, 0.0) + value
    texts = [f"`{name}` {value:,.0f}" for name, value in sums.items()]
    for name, hits in sums.items():
        for hit, miss in HIT_AND_MISS:
            if hit in name:
                texts.append(f"hit rate {hits / (hits + sums.get(name.replace(hit, miss), 0.0)):.1%}")
    return ", ".join(texts)


def goals(measured: Sequence[tuple[Row, Samples]]) -> str:
    """Every goal and what was reached."""
    lines = ["| row | goal | reached | |", "|---|---|---:|---|"]
    for row, samples in measured:
        for goal in row.goals:
            reached = _reached(goal, samples)
            if reached is not None:
                met = reached <= goal.bound if goal.at_most else reached >= goal.bound
                lines.append(f"| {row.key} | {goal} | {reached:,.2f} | {'met' if met else 'missed'} |")
    return "\n".join(lines)


def _reached(goal: Goal, samples: Samples) -> float | None:
    if goal.of is not None:
        return _times(samples, goal.who, goal.measure, goal.of)
    return median(samples[goal.who], goal.measure) if samples.get(goal.who) else None
