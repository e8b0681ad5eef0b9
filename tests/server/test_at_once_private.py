"""Private operations that do not wait are answered at once as well: for whoever asks, as they are now, or by the application."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from structlog.testing import capture_logs

from core.account_vocabulary import ApiScope
from core.database import Database
from core.request_id import current_request_id
from graph.types.market import MarketRules
from models.market import MarketRulesEntry
from models.user import Profile
from services.api_keys import WantedKey
from tests.accounts import CLIENT, Person, World, build_accounts, world
from tests.graph import sample
from tests.markets import BTC, Markets
from tests.server.front import Front, Kept, Reply, front
from tests.server.serving import eventually
from tests.server.test_at_once import same_head

WHO = "{ viewer { email displayName } }"
RENAME = "mutation($n: String) { updateProfile(input: {displayName: $n}) { errors { code } } }"
ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def server(vault: World) -> AsyncIterator[Front]:
    async with front(vault.pipeline, vault.accounts.authority) as running:
        yield running


def shows(person: Person, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {person.access}", **headers}


def email_in(reply: Reply) -> object:
    assert reply.status == 200, reply.body
    viewer = orjson.loads(reply.body)["data"]["viewer"]
    return viewer and viewer["email"]


@pytest.mark.parametrize(
    "headers", [{}, {"accept": "application/graphql-response+json"}, {"origin": "https://evil.example"}]
)
async def test_everybody_is_shown_their_own_under_the_applications_head(
    vault: World, server: Front, kept: Kept, headers: dict[str, str]
) -> None:
    ann, bob = await vault.signed_up(ANN), await vault.signed_up(BOB)
    own = await kept.post(WHO, shows(ann, **headers))
    for person, email in ((ann, ANN), (bob, BOB), (ann, ANN)):
        at_once = await kept.post(WHO, shows(person, **headers))
        assert email_in(at_once) == email
        assert same_head(own, at_once)
        first, second = (orjson.loads(each.body)["extensions"]["cost"] for each in (own, at_once))
        assert {**first, "remaining": None} == {**second, "remaining": None}
    assert server.given == [False, True, True, True]


async def test_strangers_and_people_are_told_apart(vault: World, server: Front, kept: Kept) -> None:
    ann = await vault.signed_up(ANN)
    for _ in range(2):
        assert email_in(await kept.post(WHO)) is None
    for _ in range(2):
        assert email_in(await kept.post(WHO, shows(ann))) == ANN
    assert email_in(await kept.post(WHO)) is None
    assert server.given == [False, True, False, True, True]


async def left(kept: Kept, person: Person | None) -> int:
    """The points of this caller after one request."""
    reply = await kept.post(WHO, {} if person is None else shows(person))
    return int(orjson.loads(reply.body)["extensions"]["cost"]["remaining"])


async def test_each_request_is_charged_to_whom_it_is_from(vault: World, server: Front, kept: Kept) -> None:
    ann, bob = await vault.signed_up(ANN), await vault.signed_up(BOB)

    full = vault.pipeline.budget.capacity
    assert [await left(kept, each) for each in (ann, ann, bob, ann, None, None)] == [
        full - spent for spent in (1, 2, 1, 3, 1, 2)
    ]
    assert server.given == [False, True, True, True, False, True]


async def test_what_cannot_be_given_at_once_after_all_is_charged_once(
    vault: World, server: Front, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, full = await vault.signed_up(ANN), vault.pipeline.budget.capacity
    assert [await left(kept, ann) for _ in range(2)] == [full - 1, full - 2]
    monkeypatch.setattr(vault.pipeline, "answered_now", lambda *_: None)
    assert await left(kept, ann) == full - 3
    assert server.given == [False, True, False]


async def test_authority_is_judged_at_each_request(vault: World, server: Front, kept: Kept) -> None:
    ann, bob = await vault.signed_up(ANN), await vault.signed_up(BOB)
    for _ in range(2):
        assert email_in(await kept.post(WHO, shows(ann))) == ANN
    await vault.accounts.sessions.log_out(ann.viewer, CLIENT, everywhere=False)
    assert (await kept.post(WHO, shows(ann))).status == 401
    assert email_in(await kept.post(WHO, shows(bob))) == BOB
    vault.clock.advance(900)
    assert (await kept.post(WHO, shows(bob))).status == 401
    assert server.given == [False, True, False, True, False]


async def test_a_token_is_verified_again_after_a_minute(vault: World, server: Front, kept: Kept) -> None:
    ann = await vault.signed_up(ANN)
    for seconds in (0, 29, 29, 3, 1):
        vault.clock.advance(seconds)
        assert email_in(await kept.post(WHO, shows(ann))) == ANN
    assert server.given == [False, True, False, False, True]  # the account's state is read again after half a minute


@pytest.mark.parametrize("scheme", ["Bearer  ", "Token ", "bearer", ""])
async def test_what_is_no_token_is_the_applications(vault: World, server: Front, kept: Kept, scheme: str) -> None:
    ann = await vault.signed_up(ANN)
    await kept.post(WHO, shows(ann))
    reply = await kept.post(WHO, {"authorization": f"{scheme}{ann.access}"})
    assert reply.status == (200 if scheme.strip() == "Bearer" else 401)
    assert server.given == [False, False]


async def test_keys_and_cookies_are_the_applications(vault: World, server: Front, kept: Kept) -> None:
    ann = await vault.signed_up(ANN)
    _, secret = await vault.accounts.api_keys.create(
        ann.viewer, WantedKey("a program", [ApiScope.READ], [], None), CLIENT
    )
    for _ in range(2):
        await kept.post(WHO, shows(ann))
    for headers in ({"x-api-key": secret}, {"authorization": f"Bearer {secret}"}, shows(ann, cookie="a=b")):
        assert email_in(await kept.post(WHO, headers)) == ANN
    assert server.given == [False, True, False, False, False]


async def test_a_change_is_seen_by_the_next_request(vault: World, server: Front, kept: Kept) -> None:
    ann = await vault.signed_up(ANN)
    await kept.post(WHO, shows(ann))
    for name in ("Ann", "Anna", None):
        await vault.data(RENAME, ann, n=name)
        assert orjson.loads((await kept.post(WHO, shows(ann))).body)["data"]["viewer"]["displayName"] == name
    assert server.given == [False, True, True, True]


async def test_what_waits_is_the_applications_and_is_not_left_half_done(
    vault: World, server: Front, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await vault.signed_up(ANN)
    for _ in range(2):
        await kept.post(WHO, shows(ann))
    gate, begun, done = asyncio.Event(), 0, 0
    real = vault.accounts.reads.profile

    async def slow(user_id: str) -> Profile | None:
        nonlocal begun, done
        begun += 1
        async with asyncio.timeout(10):  # as drivers do, who ask for the task they run in
            await gate.wait()
        done += 1
        return await real(user_id)

    monkeypatch.setattr(vault.accounts.reads, "profile", slow)
    kept.send(WHO, shows(ann))
    await eventually(lambda: begun == 2)
    gate.set()
    assert email_in(await kept.reply()) == ANN
    await eventually(lambda: done == 2)
    for _ in range(2):
        assert email_in(await kept.post(WHO, shows(ann))) == ANN
    assert server.given == [False, True, False, False, True]  # it did not wait any more, and was learnt again


async def test_an_error_is_the_applications(
    vault: World, server: Front, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await vault.signed_up(ANN)
    for _ in range(2):
        await kept.post(WHO, shows(ann))

    async def broken(_user_id: str) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(vault.accounts.reads, "profile", broken)
    with capture_logs() as logs:
        for _ in range(2):
            reply = await kept.post(WHO, shows(ann))
            assert b"INTERNAL" in reply.body
            assert b"hunter2" not in reply.body
    assert [line["log_level"] for line in logs].count("error") == 2
    assert server.given == [False, True, False, False]


async def test_it_is_counted_and_logged_as_any_other(
    vault: World, server: Front, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await vault.signed_up(ANN)
    real, seen = vault.accounts.reads.profile, []

    async def profile(user_id: str) -> Profile | None:
        seen.append(current_request_id())
        return await real(user_id)

    monkeypatch.setattr(vault.accounts.reads, "profile", profile)
    with capture_logs() as logs:
        for number in range(2):
            reply = await kept.post(WHO, shows(ann, **{"x-request-id": f"request-{number}"}))
            assert reply.header("x-request-id") == f"request-{number}"
    assert seen == ["request-0", "request-1"]
    assert current_request_id() is None
    assert server.given == [False, True]
    labels = {"method": "POST", "path": "/graphql", "status": "200"}
    assert server.metric("cryptovault_http_requests_total", **labels) == 2
    assert server.metric("graphql_operation_seconds_count", transport="http", operation="query viewer") == 2
    lines = [line for line in logs if line["event"] == "http.answered"]
    assert [(line["status"], line["path"]) for line in lines] == [(200, "/graphql")] * 2


async def test_who_is_signed_in_gets_public_data_at_once_as_well(vault: World, server: Front, kept: Kept) -> None:
    ann = await vault.signed_up(ANN)
    rules = f'{{ market(symbol: "{BTC}") {{ symbol rules {{ tickSize }} }} }}'
    own, at_once = [await kept.post(rules, shows(ann)) for _ in range(2)]
    assert same_head(own, at_once)
    assert server.given == [False, True]


async def test_public_data_beside_ones_own_is_made_once_and_ones_own_for_each(
    vault: World, server: Front, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await vault.signed_up(ANN), await vault.signed_up(BOB)
    made: list[str] = []
    real = MarketRules.of

    def counted(symbol: str, rules: MarketRulesEntry) -> MarketRules:
        made.append(symbol)
        return real(symbol, rules)

    monkeypatch.setattr(MarketRules, "of", staticmethod(counted))
    mixed = f'{{ market(symbol: "{BTC}") {{ symbol rules {{ tickSize }} }} viewer {{ email }} }}'
    for person, email in ((ann, ANN), (bob, BOB), (ann, ANN)):
        assert email_in(await kept.post(mixed, shows(person))) == email
    for _ in range(2):
        reply = await kept.post(mixed)
        assert email_in(reply) is None
        assert orjson.loads(reply.body)["data"]["market"]["symbol"] == BTC
    assert server.given == [False, True, True, False, True]
    assert made == [BTC]


async def test_only_public_data_is_compressed() -> None:
    markets = Markets()
    query = "{ markets(first: 34) { nodes { id symbol watched } } }"
    async with front(markets.pipeline, build_accounts().authority) as server:
        kept = await server.connect()
        replies = [await kept.post(query, {"accept-encoding": "gzip"}) for _ in range(2)]
        kept.close()
    assert server.given == [False, True]
    assert [len(each.body) > 1_400 for each in replies] == [True, True]
    assert [each.header("content-encoding") for each in replies] == [None, None]


async def test_what_changes_something_is_done_once(vault: World) -> None:
    probe = sample.Probe()
    async with front(sample.build_pipeline(probe=probe), vault.accounts.authority) as server:
        kept = await server.connect()
        for _ in range(3):
            assert (await kept.post("mutation { place }")).status == 200
        kept.close()
    assert probe.mutations == 3
    assert server.given == [False] * 3
