"""The simulation notices what it is there for: parts that are broken on purpose do not get through."""

import pytest
from pymongo.errors import PyMongoError

from core.errors import InvariantBroken
from events.journal import Event
from models import journal
from models.journal import Batch
from models.projection import Watermark
from services.exchange_inbox import Answered, Asked
from services.journal_feed import JournalDamaged
from services.projection_view import Changes
from tests.simulation.processes import Sabotage, WatchedProjector, WatchedWriter
from tests.simulation.seeds import simulate

SEEDS = 12
"""One of so many notices."""


class AnswersTooEarly(WatchedWriter):
    """Says what it has decided before it is durable."""

    async def _finish(self, events: list[Event], answers: list[tuple[Asked, Answered]], now_ms: int) -> None:  # type: ignore[override]
        for asked, answer in answers:
            asked.reply(answer)
        await super()._finish(events, [], now_ms)


class TakesAnyBatchForItsOwn(WatchedWriter):
    """Does not look whose batch stands where its own should."""

    async def _is_appended(self, batch: Batch) -> bool:
        try:
            return await journal.append(batch) or True
        except PyMongoError:
            return await super()._is_appended(batch)


class RetriesWithOtherContent(WatchedWriter):
    """Gives an append up whose outcome it does not know, and uses its number again."""

    async def _is_appended(self, batch: Batch) -> bool:
        try:
            return await journal.append(batch)
        except PyMongoError:
            return True


class ForgetsKeys(WatchedWriter):
    """Does not look up the keys that it has forgotten."""

    async def _stored_keys(self, wanted: object) -> dict[tuple[str, str], tuple[str, int]]:
        return {}


class SkipsAFlush(WatchedProjector):
    """Passes over what one flush was to write."""

    _flushes = 0

    async def _store(self, changes: Changes, accounts: object, mark: Watermark) -> None:
        self._flushes += 1
        if self._flushes == 4:
            changes = Changes(changes.sequence, changes.time_ms)
            accounts = []
        await super()._store(changes, accounts, mark)  # type: ignore[arg-type]


class WritesOldStates(WatchedProjector):
    """Renews no order that it finds stored already."""

    def _order_row(self, changes: Changes, order_id: int) -> dict[str, object]:
        row = super()._order_row(changes, order_id)
        return row if order_id in changes.placed else {**row, "sequence": int(row["sequence"]) - 1}


@pytest.mark.parametrize(
    "sabotage",
    [
        Sabotage(writer=AnswersTooEarly),
        Sabotage(writer=TakesAnyBatchForItsOwn),
        Sabotage(writer=RetriesWithOtherContent),
        Sabotage(writer=ForgetsKeys),
        Sabotage(projector=SkipsAFlush),
        Sabotage(projector=WritesOldStates),
    ],
    ids=lambda sabotage: (sabotage.writer or sabotage.projector).__name__,
)
def test_what_is_broken_on_purpose_is_noticed(sabotage: Sabotage) -> None:
    noticed: list[str] = []
    for seed in range(SEEDS):
        try:
            simulate(seed, sabotage=sabotage)
        except (AssertionError, JournalDamaged, InvariantBroken, ExceptionGroup, TimeoutError) as error:
            noticed.append(str(error))
            break
    assert noticed


def test_a_seed_gives_the_same_run_every_time() -> None:
    assert [simulate(seed).fingerprint for seed in (1, 3)] == [simulate(seed).fingerprint for seed in (1, 3)]
