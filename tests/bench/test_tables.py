"""Medians, ratios and goals, and what the command line refuses."""

from dataclasses import replace

import pytest

from bench import compare, tables
from bench.clients import Measured
from bench.measuring import Sample
from bench.rows import FanRow, Goal, Measure, QueryRow
from bench.shape import Query

ROW = FanRow(
    key="row",
    title="A row",
    operations=1,
    symbols=1,
    options=(),
    contenders=("cryptovault", "uvloop", "mercurius"),
    goals=(
        Goal(Measure.PER_CPU, 0.5, "uvloop"),
        Goal(Measure.PER_CPU, 4, "mercurius"),
        Goal(Measure.P99, 2, "uvloop", at_most=True),
        Goal(Measure.PER_SECOND, 1000),
    ),
)


def sample(per_cpu: float, p99: float, lost: int = 0) -> Sample:
    return Sample(
        Measured(
            seconds=2.0,
            per_second=per_cpu / 2,
            per_server_cpu_second=per_cpu,
            cpu={"server": 1.0},
            client_cpu=0.25,
            latency_ms={"p50": 1.0, "p90": 1.0, "p99": p99, "most": p99},
            lost=lost,
        )
    )


SAMPLES = {
    "cryptovault": [sample(500, 3), sample(700, 9, lost=4), sample(600, 4, lost=2)],
    "uvloop": [sample(1000, 2)],
}


def test_table_shows_medians_ratios_and_faults() -> None:
    lines = tables.table(ROW, SAMPLES).splitlines()
    assert lines[0] == "### A row"
    assert lines[4] == "| CryptoVault | 600 | 0.60 |  | 300 | 1.0 | 4.0 | server 50% | 25% | 6 lost |"
    assert lines[5] == "| limit: uvloop, prepared bytes | 1,000 | 1.00 |  | 500 | 1.0 | 2.0 | server 50% | 25% | none |"
    assert len(lines) == 6


def test_queries_are_also_shown_less_what_ticks_cost_and_with_the_hit_rate() -> None:
    row = QueryRow(key="q", title="Q", query=Query("{ a }", {}), goals=(), contenders=("cryptovault",))
    busy = replace(sample(600, 4), ticks_alone=0.25, counted={"cache_hits_total": 30.0, "cache_misses_total": 10.0})
    lines = tables.table(row, {"cryptovault": [busy]}).splitlines()
    assert lines[4] == (
        "| CryptoVault | 600 |  |  | 1,200 | 300 | 1.0 | 4.0 | server 50%; ticks alone 25% | 25% | none |"
    )
    assert lines[6] == (
        "Counted by CryptoVault meanwhile: `cache_hits_total` 30, `cache_misses_total` 10, hit rate 75.0%."
    )


def test_goals_say_what_was_reached_of_what_was_measured() -> None:
    assert tables.goals([(ROW, SAMPLES)]).splitlines()[2:] == [
        "| row | per server CPU s ≥ 0.5 × uvloop | 0.60 | met |",
        "| row | p99 ms ≤ 2 × uvloop | 2.00 | met |",
        "| row | per s ≥ 1,000 | 300.00 | missed |",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "fan-one,slow"], "no row 'slow'; there are fan-one, "),
        (["--only", "express"], "no contender 'express'; there are cryptovault, cryptovault-straight, uvloop, "),
        (["--rounds", "0"], "expected a whole number from 1, got '0'"),
        (["--secs", "soon"], "expected seconds from 0.1 to 600, got 'soon'"),
        (["--server-core", "4096"], "core 4096 may not be used; there are "),
        (["--server-core", "0", "--client-core", "0"], "the server needs a core of its own"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        compare.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_goal_may_be_anothers() -> None:
    goal = Goal(Measure.PER_CPU, 0.5, "uvloop", who="cryptovault-straight")
    row = replace(ROW, goals=(goal,))
    assert tables.goals([(row, SAMPLES)]).count("\n") == 1
    found = tables.goals([(row, {**SAMPLES, "cryptovault-straight": [sample(800, 3)]})])
    assert found.splitlines()[2:] == ["| row | per server CPU s ≥ 0.5 × uvloop, cryptovault-straight | 0.80 | met |"]
