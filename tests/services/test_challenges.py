"""Questions put to a client: found by their token alone, readable by it alone, and answered once."""

import asyncio
from datetime import UTC

import pytest

from core.clock import ManualClock
from core.database import Database
from core.ids import token_hash
from core.secret_box import SealBroken
from models import challenge
from services.challenges import ChallengeExpired, ChallengeKind, Challenges
from tests.stored import everything, unchanged

FACTS = {"nonce": "a nonce nobody else may read", "list": ["TOTP"], "number": 5}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_790_000_000_000)


@pytest.fixture
async def challenges(database: Database, clock: ManualClock) -> Challenges:
    return Challenges(clock)


async def put(
    challenges: Challenges, kind: ChallengeKind = ChallengeKind.OAUTH, *, tries: int = 1, token: str | None = None
) -> str:
    made, _ = await challenges.put(kind, "anna", FACTS, life_seconds=60, tries=tries, token=token)
    return made


async def test_its_token_gives_back_what_was_remembered(challenges: Challenges) -> None:
    asked = await challenges.take_try(await put(challenges), ChallengeKind.OAUTH, field="state")
    assert (asked.subject, asked.facts) == ("anna", FACTS)
    assert asked.text("nonce") == "a nonce nobody else may read"
    assert (asked.text("list"), asked.text("number"), asked.text("absent")) == ("", "", "")


async def test_tokens_are_random_unless_one_is_given(challenges: Challenges) -> None:
    first, second = await put(challenges), await put(challenges)
    assert first != second
    assert len(first) == len(second) == 43
    assert await put(challenges, token="made elsewhere") == "made elsewhere"
    assert (await challenges.take_try("made elsewhere", ChallengeKind.OAUTH, field="state")).subject == "anna"


async def test_neither_token_nor_facts_can_be_read_in_the_database(challenges: Challenges, database: Database) -> None:
    token = await put(challenges)
    held = str(await everything(database))
    assert token not in held
    assert "nobody else" not in held


async def test_facts_open_for_their_own_token_and_kind_alone(challenges: Challenges) -> None:
    mine, other = await put(challenges), await put(challenges)
    rows = challenge.ChallengeDocument.get_pymongo_collection()
    row = await rows.find_one({"_id": token_hash(mine)})
    assert row is not None
    await rows.update_one({"_id": token_hash(other)}, {"$set": {"facts": row["facts"]}})
    with pytest.raises(SealBroken):
        await challenges.take_try(other, ChallengeKind.OAUTH, field="state")
    await rows.update_one({"_id": token_hash(mine)}, {"$set": {"kind": ChallengeKind.STEP_UP_PROOF.value}})
    with pytest.raises(SealBroken):
        await challenges.take_try(mine, ChallengeKind.STEP_UP_PROOF, field="state")


@pytest.mark.parametrize("kind", [kind for kind in ChallengeKind if kind is not ChallengeKind.OAUTH])
async def test_it_is_no_question_of_another_kind(
    challenges: Challenges, database: Database, kind: ChallengeKind
) -> None:
    token = await put(challenges)
    async with unchanged(database, but=()):
        with pytest.raises(ChallengeExpired) as caught:
            await challenges.take_try(token, kind, field="challenge")
    assert caught.value.field == ["challenge"]
    assert await challenges.take_try(token, ChallengeKind.OAUTH, field="state")


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 101, "x" * 100_000, "ä\u0000", "$ne"], ids=lambda each: each[:5])
async def test_what_was_never_a_token_finds_nothing(challenges: Challenges, database: Database, token: str) -> None:
    await put(challenges)
    async with unchanged(database, but=()):
        with pytest.raises(ChallengeExpired):
            await challenges.take_try(token, ChallengeKind.OAUTH, field="state")


async def test_it_is_over_at_its_end(challenges: Challenges, clock: ManualClock, database: Database) -> None:
    started_ms = clock.now_ms()
    token, expires_ms = await challenges.put(ChallengeKind.OAUTH, "", {}, life_seconds=60, tries=2)
    assert expires_ms == started_ms + 60_000
    clock.advance(59.999)
    assert await challenges.take_try(token, ChallengeKind.OAUTH, field="state")
    clock.advance(0.001)
    async with unchanged(database, but=()):
        with pytest.raises(ChallengeExpired):
            await challenges.take_try(token, ChallengeKind.OAUTH, field="state")


async def test_the_database_forgets_it_an_hour_after_its_end(challenges: Challenges, clock: ManualClock) -> None:
    token, expires_ms = await challenges.put(ChallengeKind.OAUTH, "", {}, life_seconds=60, tries=1)
    row = await challenge.ChallengeDocument.find_one({"_id": token_hash(token)})
    assert row is not None
    assert row.purge_at.replace(tzinfo=UTC).timestamp() * 1000 == expires_ms + 3_600_000


async def test_it_allows_so_many_tries(challenges: Challenges, database: Database) -> None:
    token = await put(challenges, tries=3)
    for _ in range(3):
        await challenges.take_try(token, ChallengeKind.OAUTH, field="state")
    async with unchanged(database, but=()):
        with pytest.raises(ChallengeExpired):
            await challenges.take_try(token, ChallengeKind.OAUTH, field="state")


async def test_twenty_at_once_have_five_tries_between_them(challenges: Challenges) -> None:
    token = await put(challenges, tries=5)
    taken = await asyncio.gather(
        *(challenges.take_try(token, ChallengeKind.OAUTH, field="state") for _ in range(20)), return_exceptions=True
    )
    assert [isinstance(each, ChallengeExpired) for each in taken].count(True) == 15


async def test_it_is_answered_once_by_whoever_is_first(challenges: Challenges, database: Database) -> None:
    token = await put(challenges, tries=5)
    asked = await challenges.take_try(token, ChallengeKind.OAUTH, field="state")
    closed = await asyncio.gather(*(challenges.close(asked, field="state") for _ in range(10)), return_exceptions=True)
    assert closed.count(None) == 1
    assert [isinstance(each, ChallengeExpired) for each in closed].count(True) == 9
    with pytest.raises(ChallengeExpired):
        await challenges.take_try(token, ChallengeKind.OAUTH, field="state")
    assert "challenges" not in await everything(database)
