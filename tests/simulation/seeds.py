"""Runs seeds: a storm, a calm, the audit."""

from collections import Counter
from dataclasses import dataclass

from core.money import use_wide_context
from tests.simulation import audit, virtual_time
from tests.simulation.processes import Sabotage
from tests.simulation.world import World

COMMANDS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened in a run, and what two runs of one seed have in common."""

    counts: Counter[str]
    fingerprint: str


def simulate(seed: int, commands: int = COMMANDS, sabotage: Sabotage | None = None) -> Outcome:
    """One seed. Raises AssertionError that names it when anything is not as it should be."""
    use_wide_context()
    outcomes: list[Outcome] = []

    async def run() -> None:
        world = World(seed, commands=commands, sabotage=sabotage or Sabotage())
        with world.installed() as logs:
            try:
                await world.run(commands)
                await audit.check(world)
            except BaseException as error:
                error.add_note(f"seed {seed}: repeat it with `python -m tests.simulation {seed} {commands}`")
                error.add_note("\n".join(map(str, logs[-25:])))
                raise
            finally:
                await world.end()
        outcomes.append(Outcome(world.counts, world.fingerprint()))

    virtual_time.run(run())
    return outcomes[0]
