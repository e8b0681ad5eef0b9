"""What operators see: every account once, however many signed up in the same moment; and nobody else sees any of it."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, Role, UserStatus
from core.database import Database
from core.ids import encode_id
from models import user
from models.user import UserDocument
from tests.account_life import log_of, set_status
from tests.accounts import CLIENT, Person, World, world
from tests.attacks.people import as_operator, as_program, codes_of

DAY_MS = 86_400_000
USERS = """query($search: String, $status: UserStatus, $first: Int, $after: String) {
  admin { users(search: $search, status: $status, first: $first, after: $after) {
    nodes { id email status role createdAt } pageInfo { hasNextPage endCursor }
  } }
}"""
USER = """query($id: ID!) { admin { user(id: $id) {
  id email status role auditLog(first: 2) { nodes { action } pageInfo { hasNextPage } }
} } }"""
LOG = """query($userId: ID, $actions: [AuditAction!], $first: Int, $after: String) {
  admin { auditLog(userId: $userId, actions: $actions, first: $first, after: $after) {
    nodes { id action outcome actor ip detail time } pageInfo { hasNextPage endCursor }
  } }
}"""


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def operator(here: World) -> Person:
    """A person of support, signed in with a second factor."""
    return await as_operator(here, await here.signed_up("ops@example.com"), Role.SUPPORT)


async def newcomers(here: World, count: int, *, first: int = 0, ago_ms: int = 0, **changes: Any) -> list[str]:
    """Accounts that were all made in the same millisecond; gives their ids."""
    made = []
    for number in range(first, first + count):
        row = UserDocument(
            id=f"person-{number:03}",
            email=f"person-{number}@example.com",
            email_key=f"person-{number}@example.com",
            locale="en",
            quote_asset="USD",
            created_ms=here.clock.now_ms() - ago_ms,
            authority_ms=here.clock.now_ms(),
        )
        assert await user.insert(row.model_copy(update=changes))
        made.append(row.id)
    return made


async def pages(here: World, person: Person, query: str, path: str, size: int, **given: Any) -> list[dict[str, Any]]:
    """All rows, page by page."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        data = await here.data(query, person, first=size, after=after, **given)
        page = data["admin"][path]
        assert len(page["nodes"]) <= size
        rows += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return rows
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize("size", [1, 7, 500])
async def test_every_account_is_shown_once_though_many_were_made_at_once(
    here: World, operator: Person, size: int
) -> None:
    made = await newcomers(here, 25)
    older = await newcomers(here, 5, first=25, ago_ms=40 * DAY_MS)
    rows = await pages(here, operator, USERS, "users", size)
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert set(ids) == {encode_id("AdminUser", each) for each in (*made, *older, operator.user_id)}
    assert ids[-5:] == [encode_id("AdminUser", each) for each in reversed(older)]


async def test_a_newcomer_does_not_move_the_rest_of_a_list(here: World, operator: Person) -> None:
    made = await newcomers(here, 6)
    first = (await here.data(USERS, operator, first=4))["admin"]["users"]
    here.clock.advance(1)
    await newcomers(here, 3, first=6)
    rest = (await here.data(USERS, operator, first=10, after=first["pageInfo"]["endCursor"]))["admin"]["users"]
    ids = [row["id"] for row in (*first["nodes"], *rest["nodes"])]
    assert sorted(ids) == sorted(encode_id("AdminUser", each) for each in (*made, operator.user_id))


async def test_states_are_told_apart(here: World, operator: Person) -> None:
    await newcomers(here, 2)
    await newcomers(here, 2, first=2, status=UserStatus.SUSPENDED)
    await newcomers(here, 1, first=4, status=UserStatus.DELETED, email=None, email_key=None)
    shown = {row["id"]: row["status"] for row in await pages(here, operator, USERS, "users", 2)}
    assert sorted(shown.values()) == ["ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED", "SUSPENDED"]
    for status, count in (("SUSPENDED", 2), ("DELETED", 1), ("FROZEN", 0), ("ACTIVE", 3)):
        rows = await pages(here, operator, USERS, "users", 2, status=status)
        assert [row["status"] for row in rows] == [status] * count
    (gone,) = await pages(here, operator, USERS, "users", 5, status="DELETED")
    assert gone["email"] is None


async def test_an_account_is_found_by_its_whole_address_or_its_id(here: World, operator: Person) -> None:
    anna = await here.signed_up("anna@example.com")
    for search in ("anna@example.com", " ANNA@Example.com ", anna.user_id):
        (row,) = await pages(here, operator, USERS, "users", 5, search=search)
        assert (row["id"], row["email"]) == (encode_id("AdminUser", anna.user_id), "anna@example.com")
        assert await pages(here, operator, USERS, "users", 5, search=search, status="FROZEN") == []


async def test_a_part_of_an_address_finds_nobody(here: World, operator: Person) -> None:
    await here.signed_up("anna@example.com")
    for search in ("anna", "example.com", "@", "", "%", ".*", "anna@example.co", '{"$ne": ""}'):
        assert await pages(here, operator, USERS, "users", 5, search=search) == [], search


async def test_an_account_is_shown_by_either_of_its_ids(here: World, operator: Person) -> None:
    anna = await here.signed_up("anna@example.com")
    for kind in ("User", "AdminUser"):
        shown = (await here.data(USER, operator, id=encode_id(kind, anna.user_id)))["admin"]["user"]
        assert (shown["id"], shown["email"]) == (encode_id("AdminUser", anna.user_id), "anna@example.com")
        assert [row["action"] for row in shown["auditLog"]["nodes"]] == ["LOG_IN", "EMAIL_VERIFIED"]
        assert shown["auditLog"]["pageInfo"]["hasNextPage"] is True
    assert (await here.data(USER, operator, id=encode_id("User", "nobody")))["admin"]["user"] is None
    for wrong in (encode_id("Session", anna.user_id), "x", anna.user_id):
        assert codes_of(await here.ask(USER, operator, id=wrong)) == ["BAD_USER_INPUT"]


# The audit log


async def test_the_log_of_one_account_is_shown(here: World, operator: Person) -> None:
    anna = await here.signed_up("anna@example.com")
    rows = await pages(here, operator, LOG, "auditLog", 2, userId=encode_id("AdminUser", anna.user_id))
    assert [row["action"] for row in rows] == ["LOG_IN", "EMAIL_VERIFIED", "SIGN_UP"]
    logged_in = await pages(
        here, operator, LOG, "auditLog", 2, userId=encode_id("User", anna.user_id), actions=["LOG_IN"]
    )
    assert [row["action"] for row in logged_in] == ["LOG_IN"]


@pytest.mark.parametrize("size", [1, 4, 500])
async def test_the_logs_of_all_accounts_are_one_list(here: World, operator: Person, size: int) -> None:
    people = [await here.signed_up(f"person-{number}@example.com") for number in range(4)]  # all in one millisecond
    here.clock.advance(3_600)
    for person in people:
        await here.accounts.audit.record(person.user_id, AuditAction.LOG_OUT, client=CLIENT)
    rows = await pages(here, operator, LOG, "auditLog", size)
    expected = {
        encode_id("AuditEvent", person.user_id, row.sequence)
        for person in (*people, operator)
        for row in await log_of(person.user_id)
    }
    ids = [row["id"] for row in rows]
    assert (len(ids), set(ids)) == (len(expected), expected)
    times = [row["time"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert [row["action"] for row in rows[:4]] == ["LOG_OUT"] * 4


@pytest.mark.parametrize("size", [1, 500])
async def test_actions_of_all_accounts_are_picked_out(here: World, operator: Person, size: int) -> None:
    people = [await here.signed_up(f"person-{number}@example.com") for number in range(3)]
    for person in people:
        here.clock.advance(20 * 86_400)
        await here.accounts.audit.record(person.user_id, AuditAction.FROZEN, client=CLIENT)
    rows = await pages(here, operator, LOG, "auditLog", size, actions=["FROZEN", "DELETED"])
    assert [row["id"] for row in rows] == [encode_id("AuditEvent", person.user_id, 4) for person in reversed(people)]
    assert await pages(here, operator, LOG, "auditLog", size, actions=["DELETED"]) == []
    assert await pages(here, operator, LOG, "auditLog", size, actions=[]) == []


async def test_what_is_older_than_ninety_days_is_not_in_the_list_of_all(here: World, operator: Person) -> None:
    anna = await here.signed_up("anna@example.com")
    here.clock.advance(91 * 86_400)
    await here.accounts.audit.record(anna.user_id, AuditAction.LOG_OUT, client=CLIENT)
    assert [row["action"] for row in await pages(here, operator, LOG, "auditLog", 50)] == ["LOG_OUT"]
    assert len(await pages(here, operator, LOG, "auditLog", 50, userId=encode_id("User", anna.user_id))) == 4


NO_PAGES: list[tuple[dict[str, Any], str]] = [
    ({"after": "x"}, "after"),
    ({"after": "9" * 30}, "after"),
    ({"first": -1}, "first"),
    ({"first": 501}, "first"),
]


async def test_a_page_that_is_none_is_refused_by_name(here: World, operator: Person) -> None:
    for query, (given, field) in product((USERS, LOG), NO_PAGES):
        (error,) = (await here.ask(query, operator, **given))["errors"]
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", [field])


# Who may

QUESTIONS = {"users": USERS, "user": USER, "auditLog": LOG}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_nobody_else_sees_it(here: World, question: str) -> None:
    anna = await here.signed_up("anna@example.com")
    ops = await here.signed_up("ops@example.com")
    operator = await as_operator(here, ops, Role.ADMIN)
    without_factor = await here.logged_in("ops@example.com")
    people: dict[str, tuple[Person | None, str]] = {
        "a stranger": (None, "UNAUTHENTICATED"),
        "a person": (anna, "FORBIDDEN"),
        "a person's key": (await as_program(here, anna), "FORBIDDEN"),
        "an operator without a second factor": (without_factor, "FORBIDDEN"),
        "an operator's key": (await as_program(here, operator), "FORBIDDEN"),
    }
    given = {"id": encode_id("User", anna.user_id)} if question == "user" else {}
    for name, (person, code) in people.items():
        body = await here.ask(QUESTIONS[question], person, **given)
        assert codes_of(body) == [code], name
        assert body["data"]["admin"] is None, name
    for role in (Role.SUPPORT, Role.ADMIN):
        body = await here.ask(QUESTIONS[question], await as_operator(here, ops, role), **given)
        assert codes_of(body) == []


async def test_whoever_is_an_operator_no_more_sees_nothing_more(here: World, operator: Person) -> None:
    assert codes_of(await here.ask(USERS, operator)) == []
    demoted = await as_operator(here, operator, Role.USER)
    assert codes_of(await here.ask(USERS, demoted)) == ["FORBIDDEN"]


@pytest.mark.parametrize("name", ["AdminUser", "AuditEvent"])
async def test_objects_of_others_are_found_by_operators_alone(here: World, operator: Person, name: str) -> None:
    anna = await here.signed_up("anna@example.com")
    mallory = await here.signed_up("mallory@example.com")
    parts = (anna.user_id, 1) if name == "AuditEvent" else (anna.user_id,)
    text = "query($id: ID!) { node(id: $id) { id } }"
    assert (await here.data(text, operator, id=encode_id(name, *parts)))["node"] is not None
    for person in (mallory, None, await as_program(here, mallory)):
        assert (await here.ask(text, person, id=encode_id(name, *parts)))["data"]["node"] is None
    assert (await here.data(text, operator, id=encode_id("User", anna.user_id)))["node"] is None


@pytest.mark.parametrize("status", [UserStatus.FROZEN, UserStatus.SUSPENDED])
async def test_an_operator_whose_own_account_is_locked_operates_on_none(
    here: World, operator: Person, status: UserStatus
) -> None:
    """It was locked because somebody else may have it."""
    await set_status(here, operator, status)
    locked = await here.current(operator)
    assert codes_of(await here.ask(USERS, locked)) == ["ACCOUNT_FROZEN"]
    text = "query($id: ID!) { node(id: $id) { id } }"
    assert (await here.data(text, locked, id=encode_id("AdminUser", operator.user_id)))["node"] is None
