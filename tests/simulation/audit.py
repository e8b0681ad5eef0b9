"""What must be true when everything has been killed: the journal, everybody's answers, the money, and the snapshots.

Asserts of its own, not the program's: what is checked here is read from storage row by row.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events import journal
from events.commands import (
    MOVEMENTS,
    CancelGroup,
    Command,
    CreditDeposit,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    ReleaseWithdrawal,
    ReverseDeposit,
    SettleWithdrawal,
)
from events.journal import Event
from events.journal_codec import decode
from exchange import snapshot
from exchange.engine import fold
from exchange.state import State
from models.journal import NO_HASH, JournalDocument, batch_of
from models.projection import SnapshotChunkDocument, SnapshotDocument
from services.leases import Holding
from tests.exchange.test_properties import check_books, check_groups, check_money
from tests.simulation import audit_documents
from tests.simulation.people import KEYED, Attempt, Code, ended_by
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.memory_mongo import MemoryMongo
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Told:
    """The journal: its events, the first of which has sequence 1, and where its batches end."""

    events: list[Event]
    ends: dict[int, int]


async def check(world: "World") -> None:
    """All of it. Raises AssertionError."""
    told = read_journal(world.mongo)
    _count(world, told)
    check_answers(world, told)
    _check_writers(world, told)
    writer = Process(world.ground, "auditor", "auditor", (), world.rules(), is_remote=False)
    with_writer = writer.new_writer(writer.parts, Holding(writer.clock))
    await with_writer.open()
    told = read_journal(world.mongo)
    state = fold(told.events)
    check_money(state)
    check_groups(state)
    check_books(state)
    assert snapshot.digest(with_writer.exchange.state) == snapshot.digest(state), "a fresh writer knows something else"
    assert [state.markets[rules.symbol].rules for rules in writer.parts.rules()] == list(writer.parts.rules())
    check_snapshots(world.mongo, told, snapshot.digest(state))
    await audit_documents.check(world, state, told.events)


def read_journal(mongo: "MemoryMongo") -> Told:
    """The journal, which has no gap, whose hashes are right, and whose epochs and times never fall."""
    events: list[Event] = []
    ends: dict[int, int] = {}
    before, epoch, time_ms = NO_HASH, 0, 0
    rows = sorted(mongo.collection(JournalDocument).rows(), key=lambda row: int(row["_id"]))
    for number, row in enumerate(rows, 1):
        batch = decode(bytes(row["payload"]), written_in=row["format"])
        assert row["_id"] == number, f"batch {number} is missing"
        assert (row["first_seq"], row["last_seq"]) == (len(events) + 1, len(events) + len(batch))
        assert row["time_ms"] >= time_ms, "time went backwards"
        assert row["epoch"] >= epoch, "an older writer went on"
        assert isinstance(batch[0], journal.WriterStarted) is (row["epoch"] > epoch)
        again = batch_of(
            number=number, epoch=row["epoch"], first_seq=row["first_seq"], last_seq=row["last_seq"], time_ms=row["time_ms"],
            written_in=row["format"], prev_hash=before, payload=bytes(row["payload"]),
        )  # fmt: skip
        assert (row["prev_hash"], row["hash"]) == (before, again.hash), f"batch {number} is not what was written"
        events += batch
        before, epoch, time_ms = row["hash"], row["epoch"], row["time_ms"]
        ends[number] = len(events)
    return Told(events, ends)


Key = tuple[str, str]


def used_keys(told: Told) -> dict[Key, tuple[int, str]]:
    """What every client's key led to; never two things."""
    used: dict[Key, tuple[int, str]] = {}
    for sequence, event in enumerate(told.events, 1):
        match event:
            case journal.OrderAccepted(group=0) | journal.GroupAccepted():
                key = (event.account, event.client_id)
            case journal.HouseFundsMoved():
                key = (MOVEMENTS, event.key)
            case (
                journal.FundsMoved() | journal.DepositCredited() | journal.DepositReversed()
                | journal.WithdrawalHeld() | journal.WithdrawalSettled() | journal.WithdrawalReleased()
            ):  # fmt: skip
                key = (event.account, event.key)
            case _:
                continue
        assert key not in used, f"{key} made {used[key][0]} and {sequence}"
        used[key] = (sequence, event.digest)
    return used


def key_of(command: Command) -> tuple[str, str, str] | None:
    """Account, key and digest of a command that has a key."""
    match command:
        case PlaceOrder() | PlaceOco() | PlaceBracket():
            return command.account, command.client_id, command.digest
        case MoveHouseFunds():
            return MOVEMENTS, command.key, command.digest
        case (
            MoveFunds()
            | CreditDeposit()
            | ReverseDeposit()
            | HoldWithdrawal()
            | SettleWithdrawal()
            | ReleaseWithdrawal()
        ):
            return command.account, command.key, command.digest
        case _:
            return None


def check_answers(world: "World", told: Told) -> None:
    """What was acknowledged is there once, what was refused is not, and acknowledged cancels hold."""
    used = used_keys(told)
    asked: dict[tuple[str, str, str], list[Attempt]] = defaultdict(list)
    for attempt in world.records.attempts:
        if (keyed := key_of(attempt.command)) is not None:
            asked[keyed].append(attempt)
    for (account, key, digest), attempts in asked.items():
        made = {each.answer.made for each in attempts if each.answer is not None and each.code is None}
        sequence, stored_digest = used.get((account, key), (0, ""))
        there = stored_digest == digest
        if made:
            assert there, f"{key} of {account} was answered with {made} and is not there"
            assert made == {sequence}, f"{key} of {account} was answered with {made}, the journal has {sequence}"
        if there and not made:
            assert any(each.is_open for each in attempts), (
                f"refused for good and done all the same: {'; '.join(map(str, attempts))}"
            )
        if any(each.code is Code.IDEMPOTENCY_MISMATCH for each in attempts):
            assert stored_digest != digest
            assert sequence, f"{key} of {account} was never used"
    known = {(account, key) for account, key, _ in asked}
    assert used.keys() <= known, "something that nobody asked for"
    _check_cancels(world, told)
    _check_withdrawals(told)


def _check_cancels(world: "World", told: Told) -> None:
    ended = {event.order: place for place, event in enumerate(told.events, 1) if isinstance(event, journal.OrderEnded)}
    for attempt in world.records.attempts:
        order = ended_by(attempt)
        if order and not isinstance(attempt.command, CancelGroup):
            assert attempt.answer is not None
            assert order in ended, f"the cancel of {order} was acknowledged and did not happen"
            assert ended[order] <= attempt.answer.sequence


def _check_withdrawals(told: Told) -> None:
    """Every withdrawal was held once, and settled or released once at most, after that."""
    held: set[int] = set()
    for sequence, event in enumerate(told.events, 1):
        if isinstance(event, journal.WithdrawalHeld):
            held.add(sequence)
        elif isinstance(event, journal.WithdrawalSettled | journal.WithdrawalReleased):
            assert event.withdrawal in held, f"{event} ends what is not there"
            held.remove(event.withdrawal)


def _check_writers(world: "World", told: Told) -> None:
    """A writer that stands quiet has the state that its part of the journal leads to."""
    for writer in world.quiet:
        sequence, digest = writer
        assert digest == snapshot.digest(fold(told.events[:sequence])), "a serving writer knows something else"


def check_snapshots(mongo: "MemoryMongo", told: Told, digest: str) -> None:
    """Every complete snapshot leads to the same state, with what the journal says after it."""
    chunks = {row["_id"]: bytes(row["payload"]) for row in mongo.collection(SnapshotChunkDocument).rows()}
    for row in mongo.collection(SnapshotDocument).rows():
        pieces = [chunks[f"{row['_id']}:{place}"] for place in range(1, row["chunks"])]
        state: State = snapshot.restore(pieces)
        assert state.sequence == row["sequence"] == told.ends[row["_id"]]
        restored = fold(told.events[row["sequence"] :], state)
        assert snapshot.digest(restored) == digest, f"the snapshot of batch {row['_id']} leads elsewhere"


_COUNTED = {
    journal.OrderTriggered: "did.triggered",
    journal.TrailStarted: "did.trail_started",
    journal.ReferenceExtreme: "did.trailed",
    journal.GroupAccepted: "did.group",
    journal.GroupGrown: "did.bracket_filled",
    journal.Traded: "did.traded",
    journal.OrderAmended: "did.amended",
    journal.OrderEnded: "did.ended",
    journal.KeysForgotten: "did.keys_forgotten",
    journal.AccountFrozen: "did.frozen",
    journal.MarketStatusChanged: "did.status",
    journal.CancelTimerSet: "did.timer",
    journal.WriterStarted: "did.writer_started",
    journal.DepositCredited: "did.deposit",
    journal.DepositReversed: "did.reversal",
    journal.DebtRepaid: "did.debt_repaid",
    journal.WithdrawalHeld: "did.withdrawal",
    journal.WithdrawalSettled: "did.settled",
    journal.WithdrawalReleased: "did.released",
    journal.HouseFundsMoved: "did.house_moved",
}


def _count(world: "World", told: Told) -> None:
    for event in told.events:
        world.counts["did.events"] += 1
        if name := _COUNTED.get(type(event)):
            world.counts[name] += 1
        if isinstance(event, journal.OrderEnded):
            world.counts[f"did.ended.{event.code}"] += 1
        if isinstance(event, journal.DepositReversed) and event.owed:
            world.counts["did.debt"] += 1
        if isinstance(event, journal.DepositCredited) and event.repaid:
            world.counts["did.repaid_by_deposit"] += 1
        if isinstance(event, journal.Traded) and not (event.maker and event.taker):
            world.counts["did.traded_with_house"] += 1
    world.counts["keys"] += sum(isinstance(attempt.command, KEYED) for attempt in world.records.attempts)
