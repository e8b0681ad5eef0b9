"""Two API processes on one Redis and one database: what is ended or tried in one of them counts in the other, with Redis and without."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from core.account_vocabulary import ApiScope
from core.clock import ManualClock
from core.database import Database
from models import DOCUMENTS, user
from services.api_keys import WantedKey
from tests import components
from tests.accounts import CLIENT, LOG_IN, PASSWORD, RULES, SIGN_UP, build_accounts
from tests.flows.servers import NO_TLS, Server, server
from tests.models import query_guard

WRONG = "a foul day for sailing"
TWO_SECONDS = 2.0
REFRESH = """mutation($token: String!) {
  refreshSession(input: {refreshToken: $token}) { tokens { accessToken refreshToken } errors { code } }
}"""
LOG_OUT = "mutation { logOut { errors { code } } }"
REVOKE = "mutation($id: ID!) { revokeSession(input: {id: $id}) { errors { code } } }"
CHANGE = """mutation($current: String!, $password: String!) {
  changePassword(input: {current: $current, password: $password}) { errors { code } }
}"""
FREEZE = "mutation { freezeAccount(input: {}) { errors { code } } }"
WHO = "{ viewer { email } }"
EVENTS = "subscription { accountEvents { __typename } }"


@dataclass(frozen=True)
class Signed:
    """A session, as its program knows it."""

    access: str
    refresh: str
    id: str

    @property
    def payload(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access}"}


@dataclass
class Pair:
    """The two processes, and the Redis between them."""

    here: Server
    there: Server
    redis: asyncio.subprocess.Process
    http: httpx.AsyncClient
    stack: AsyncExitStack

    @property
    def both(self) -> tuple[Server, Server]:
        return self.here, self.there

    async def ask(self, at: Server, query: str, by: str | None = None, **variables: object) -> httpx.Response:
        """The answer to somebody with this token, or to a stranger."""
        headers = {} if by is None else {"authorization": f"Bearer {by}"}
        body = {"query": query, "variables": variables}
        return await self.http.post(f"{at.base_url}/graphql", json=body, headers=headers)

    async def done(self, at: Server, query: str, by: str | None = None, **variables: object) -> dict[str, Any]:
        """The payload of a mutation that is not refused."""
        body = (await self.ask(at, query, by, **variables)).json()
        assert "errors" not in body, body
        payload: dict[str, Any] = next(iter(body["data"].values()))
        assert payload["errors"] == [], payload
        return payload

    async def sign_up(self, email: str) -> None:
        await self.done(self.here, SIGN_UP, email=email, password=PASSWORD)

    async def logged_in(self, at: Server, email: str) -> Signed:
        payload = await self.done(at, LOG_IN, email=email, password=PASSWORD)
        tokens = payload["tokens"]
        return Signed(tokens["accessToken"], tokens["refreshToken"], payload["session"]["id"])

    async def status(self, at: Server, token: str) -> int:
        return (await self.ask(at, WHO, token)).status_code

    async def sockets(self, payload: dict[str, str]) -> list[ClientConnection]:
        """An acknowledged socket to each process."""
        return [await self.stack.enter_async_context(socket(at, payload)) for at in self.both]


@asynccontextmanager
async def socket(at: Server, payload: dict[str, str]) -> AsyncIterator[ClientConnection]:
    url = at.base_url.replace("http:", "ws:") + "/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None) as raw:
        await send(raw, {"type": "connection_init", "payload": payload})
        assert await receive(raw) == {"type": "connection_ack"}
        if payload:
            await send(raw, {"id": "events", "type": "subscribe", "payload": {"query": EVENTS}})
        yield raw


async def send(raw: ClientConnection, message: object) -> None:
    await raw.send(orjson.dumps(message).decode())


async def receive(raw: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        message: dict[str, Any] = orjson.loads(await raw.recv())
        return message


async def assert_open(raw: ClientConnection) -> None:
    """It answers a ping; events that were streamed meanwhile are passed over."""
    await send(raw, {"type": "ping"})
    while (await receive(raw))["type"] != "pong":
        pass


async def assert_closed(sockets: list[ClientConnection], since: float) -> None:
    """All are closed with the right code within two seconds of that moment."""
    for raw in sockets:
        async with asyncio.timeout(max(0.0, since + TWO_SECONDS - time.monotonic())):
            await raw.wait_closed()
        assert raw.close_code == 4403
        assert (raw.close_reason or "").startswith("Forbidden: ")


@pytest.fixture
async def pair(database: Database, embedded_database: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        redis, redis_url = await stack.enter_async_context(components.redis(tmp_path))
        settings = {
            "MONGO_URL": embedded_database,
            "MONGO_DATABASE": database.handle.name,
            "REDIS_URL": redis_url,
            "BREACHED_PASSWORD_CHECK": "false",
        }
        folders = (tmp_path / "here", tmp_path / "there")
        starting = [stack.enter_async_context(server(folder, "api", settings=settings)) for folder in folders]
        here, there = await asyncio.gather(*starting)
        query_guard.RECORDER.shared(database.handle.name, (document.get_collection_name() for document in DOCUMENTS))
        http = await stack.enter_async_context(httpx.AsyncClient(verify=NO_TLS, timeout=20))
        async with AsyncExitStack() as sockets:
            yield Pair(here, there, redis, http, sockets)


async def timed(deed: Coroutine[Any, Any, object]) -> float:
    """Do it; the moment in which it was begun."""
    began = time.monotonic()
    await deed
    return began


async def test_what_ends_or_is_tried_in_one_process_counts_in_the_other(pair: Pair) -> None:
    """One after the other on the same two processes, which take their time to start."""
    published = [(await pair.http.get(f"{at.base_url}/.well-known/jwks.json")).json() for at in pair.both]
    assert published[0] == published[1]
    assert len(published[0]["keys"]) == 1, "started at once on an empty database, they agree on their first key"
    await sockets_end_in_both(pair, "alice@example.com")
    await tabs_and_reuse_count_together(pair, "bob@example.com")
    await guesses_count_together(pair, "carol@example.com")
    await sockets_end_without_redis(pair, "dave@example.com")


async def sockets_end_in_both(pair: Pair, email: str) -> None:
    await pair.sign_up(email)
    one, two, three = [await pair.logged_in(at, email) for at in (pair.here, pair.there, pair.here)]
    payloads: list[dict[str, str]] = [one.payload, two.payload, three.payload, {}]
    ones, twos, threes, nobodys = [await pair.sockets(payload) for payload in payloads]
    for at in pair.both:
        assert [await pair.status(at, each.access) for each in (one, two, three)] == [200] * 3

    await assert_closed(ones, await timed(pair.done(pair.there, REVOKE, two.access, id=one.id)))
    for at in pair.both:
        assert [await pair.status(at, each.access) for each in (one, two, three)] == [401, 200, 200]
    changing = pair.done(pair.here, CHANGE, three.access, current=PASSWORD, password="another day for sailing")
    await assert_closed(twos, await timed(changing))
    for raw in [*threes, *nobodys]:
        await assert_open(raw)
    assert await refusal(pair, pair.there, two.refresh) == "TOKEN_INVALID"

    program = await new_key(email)
    programs = await pair.sockets({"apiKey": program})
    began = await timed(pair.done(pair.there, FREEZE, three.access))
    await assert_closed([*threes, *programs], began)
    for at in pair.both:
        assert [await pair.status(at, text) for text in (three.access, program)] == [401, 401]
    for raw in nobodys:
        await assert_open(raw)


async def refusal(pair: Pair, at: Server, refresh_token: str) -> str:
    """The code with which a refresh token is refused."""
    payload = (await pair.ask(at, REFRESH, token=refresh_token)).json()["data"]["refreshSession"]
    assert payload["tokens"] is None
    return str(payload["errors"][0]["code"])


async def new_key(email: str) -> str:
    """An API key of this person, made by a third process without Redis."""
    person = await user.by_email_key(email)
    assert person is not None
    accounts = build_accounts(
        clock=ManualClock(time.time_ns() // 1_000_000), rules=replace(RULES, issuer="http://localhost:8000")
    )
    await accounts.load()
    token, _ = accounts.tokens.issue(person.id, "a session of this test", not_after_ms=2**52)
    viewer = await accounts.authority.viewer_of(token, CLIENT)
    _, secret = await accounts.api_keys.create(viewer, WantedKey("a program", [ApiScope.READ], [], None), CLIENT)
    return secret


async def tabs_and_reuse_count_together(pair: Pair, email: str) -> None:
    await pair.sign_up(email)
    one, other = await pair.logged_in(pair.here, email), await pair.logged_in(pair.there, email)
    answers = await asyncio.gather(
        *(pair.done(pair.both[number % 2], REFRESH, token=one.refresh) for number in range(20))
    )
    (successor,) = {answer["tokens"]["refreshToken"] for answer in answers}
    third = (await pair.done(pair.there, REFRESH, token=successor))["tokens"]
    sockets = await pair.sockets({"token": third["accessToken"]})
    began = time.monotonic()
    assert await refusal(pair, pair.there, one.refresh) == "REFRESH_REUSED"
    await assert_closed(sockets, began)
    for at in pair.both:
        assert await pair.status(at, third["accessToken"]) == 401
        assert await pair.status(at, other.access) == 200


async def guesses_count_together(pair: Pair, email: str) -> None:
    await pair.sign_up(email)
    bodies = await asyncio.gather(
        *(pair.ask(pair.both[number % 2], LOG_IN, email=email, password=f"{WRONG} {number}") for number in range(20))
    )
    codes = [code_of(body.json()) for body in bodies]
    assert codes.count("INVALID_CREDENTIALS") in (5, 6), "one more than five for the second process"
    assert codes.count("RATE_LIMITED") <= 10, (
        "ten tries in five minutes; more where a busy Redis leaves each process alone"
    )
    assert set(codes) <= {"INVALID_CREDENTIALS", "ACCOUNT_LOCKED", "RATE_LIMITED"}


def code_of(body: dict[str, Any]) -> str:
    if "errors" in body:
        return str(body["errors"][0]["extensions"]["code"])
    return str(body["data"]["logIn"]["errors"][0]["code"])


async def sockets_end_without_redis(pair: Pair, email: str) -> None:
    await pair.sign_up(email)
    one, other = await pair.logged_in(pair.here, email), await pair.logged_in(pair.here, email)
    ones, others = await pair.sockets(one.payload), await pair.sockets(other.payload)
    pair.redis.kill()
    await pair.redis.wait()
    await assert_closed(ones, await timed(pair.done(pair.here, LOG_OUT, one.access)))
    for at in pair.both:
        assert await pair.status(at, one.access) == 401
        assert await pair.status(at, other.access) == 200
    for raw in others:
        await assert_open(raw)
