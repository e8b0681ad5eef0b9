"""On whose authority a socket acts, and that it ends within two seconds of it, in the process that ends it and in others."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from core.account_vocabulary import ApiScope, AuthFactor, SessionMethod, UserStatus
from core.bus import MemoryBus
from core.cache import MemoryCache
from core.client_address import ClientAddresses
from core.clock import ManualClock
from core.database import Database
from core.ids import random_id, random_token
from core.rate_limits import MemoryRateLimits, RateLimits
from graph.request import Caller
from models import one_time_token, user
from models.user import UserDocument
from server.authentication import Authentication, Handshake
from server.open_connections import OpenConnections
from server.origins import Origins
from server.socket_authority import SocketAuthority
from server.ws_messages import CloseCode, CloseSocket
from services import revocations
from services.account_services import AccountServices
from services.api_keys import WantedKey
from services.one_time_tokens import TokenPurpose, stored_token
from services.sessions import OpenedSession
from services.viewer import Viewer
from tests.accounts import CLIENT, LOG_IN, PASSWORD, NoLimits, World, build_accounts, world
from tests.server.realtime.transports import stream
from tests.server.serving import ORIGIN, WAIT, Client, Served, eventually, served

STREAM = 'subscription { ticks(symbols: ["A"]) { symbol } }'
WHO = "{ rememberContext }"
TWO_SECONDS = 2.0
NEW_PASSWORD = "another day for sailing"


@dataclass(frozen=True)
class Signed:
    """A session: who it is, and the tokens it is shown by."""

    opened: OpenedSession
    viewer: Viewer

    @property
    def token(self) -> str:
        return self.opened.tokens.access

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


async def signed_in(accounts: AccountServices, user_id: str = "alice") -> Signed:
    """A session of this person, who is made when needed."""
    person = await user.by_id(user_id)
    if person is None:
        person = UserDocument(
            id=user_id,
            email=f"{user_id}@example.com",
            email_key=f"{user_id}@example.com",
            email_verified_ms=0,
            locale="en",
            quote_asset="USD",
            password_hash=await accounts.log_in._hasher.hash(PASSWORD),
            created_ms=0,
            authority_ms=0,
        )
        await user.insert(person)
    opened = await accounts.sessions.open(
        person, SessionMethod.PASSWORD, [AuthFactor.PASSWORD], CLIENT, device_name=None, device_hash=None
    )
    return Signed(opened, await accounts.authority.viewer_of(opened.tokens.access, CLIENT))


async def key_of(accounts: AccountServices, signed: Signed, **wanted: Any) -> tuple[str, str]:
    """The id and the text of a new API key."""
    key = replace(WantedKey("a program", [ApiScope.READ], [], None), **wanted)
    row, secret = await accounts.api_keys.create(signed.viewer, key, CLIENT)
    return row.id, secret


@dataclass
class Process:
    """A process' accounts, hearing and looking, and its server."""

    accounts: AccountServices
    server: Served

    @asynccontextmanager
    async def socket(self, payload: Mapping[str, object] | None = None, **options: Any) -> AsyncIterator[Client]:
        """An acknowledged socket that shows this."""
        async with self.server.raw_socket(**options) as raw:
            client = Client(raw)
            await client.send({"type": "connection_init", "payload": payload or {}})
            assert await client.receive() == {"type": "connection_ack"}
            yield client

    async def refusal(self, payload: Mapping[str, object], **options: Any) -> tuple[int, str]:
        """Code and reason with which a socket that shows this is closed."""
        async with self.server.raw_socket(**options) as raw:
            client = Client(raw)
            await client.send({"type": "connection_init", "payload": payload})
            return await closed(client)


@dataclass
class Site:
    """Two processes on one database and one bus."""

    clock: ManualClock
    here: Process
    there: Process
    stack: AsyncExitStack = field(repr=False)

    @property
    def processes(self) -> tuple[Process, Process]:
        return self.here, self.there

    async def streaming(self, payload: Mapping[str, object] | None = None) -> list[Client]:
        """A socket to each process, with a subscription under way."""
        found = []
        for process in self.processes:
            client = await self.stack.enter_async_context(process.socket(payload))
            await client.subscribe("stream", STREAM)
            assert (await client.receive())["type"] == "next"
            found.append(client)
        return found


@pytest.fixture
async def accounts(database: Database) -> AccountServices:
    """The accounts of one process, without a server."""
    accounts = build_accounts(clock=ManualClock(time.time_ns() // 1_000_000))
    await accounts.load()
    return accounts


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    """Accounts go by a clock that stands still at the machine's own time, with which sockets count."""
    clock = ManualClock(time.time_ns() // 1_000_000)
    bus, cache = MemoryBus(), MemoryCache(clock)
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(2):
            accounts = build_accounts(clock=clock, bus=bus, cache=cache)
            await accounts.load()
            hearing = asyncio.create_task(accounts.revocations.run())
            stack.callback(hearing.cancel)
            server = await stack.enter_async_context(served(authority=accounts.authority))
            processes.append(Process(accounts, server))
        async with AsyncExitStack() as sockets:
            yield Site(clock, processes[0], processes[1], sockets)


async def closed(client: Client) -> tuple[int, str]:
    """Code and reason with which the server closes the socket within two seconds."""
    async with asyncio.timeout(TWO_SECONDS):
        await client.raw.wait_closed()
    return client.raw.close_code or 0, client.raw.close_reason or ""


async def assert_open(*clients: Client) -> None:
    """Their subscriptions go on, and they are served."""
    for number, client in enumerate(clients):
        await client.subscribe(f"again {number} {random_id()}", "{ sequence }")
        assert (await client.receive())["type"] == "next"
        assert (await client.receive())["type"] == "complete"


# Who a socket is from


def judge(
    accounts: AccountServices, headers: Mapping[str, str], *, limits: RateLimits | None = None, most: int = 100
) -> SocketAuthority:
    """The authority of a socket that was opened with these headers."""
    authentication = Authentication(
        accounts.authority, origins=Origins([ORIGIN]), addresses=ClientAddresses(), limits=limits or NoLimits()
    )
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return SocketAuthority(
        authentication,
        Handshake(raw, "192.0.2.1", "request-1"),
        clock=ManualClock(time.time_ns() // 1_000_000),
        open_by_account=Counter(),
        most_by_account=most,
    )


async def caller_of(accounts: AccountServices, headers: Mapping[str, str], payload: Mapping[str, object]) -> Caller:
    authority = judge(accounts, headers)
    await authority.admit(payload)
    return await authority.current()


async def refusal_of(
    accounts: AccountServices, headers: Mapping[str, str], payload: Mapping[str, object], **options: Any
) -> tuple[int, str]:
    with pytest.raises(CloseSocket) as refused:
        await judge(accounts, headers, **options).admit(payload)
    return int(refused.value.code), refused.value.reason


async def test_a_credential_may_stand_in_connection_init_under_many_names(accounts: AccountServices) -> None:
    alice = await signed_in(accounts)
    _, key = await key_of(accounts, alice)
    as_session: list[dict[str, object]] = [
        {"authorization": f"Bearer {alice.token}"},
        {"Authorization": f"bearer {alice.token}"},
        {"accessToken": alice.token},
        {"access_token": alice.token},
        {"token": alice.token},
        {"headers": {"Authorization": f"Bearer {alice.token}"}},
        {"something": 1, "authorization": None, "headers": {"authorization": f"Bearer {alice.token}"}},
    ]
    for payload in as_session:
        caller = await caller_of(accounts, {}, payload)
        assert caller.viewer == alice.viewer, payload
        assert (caller.transport, caller.outgoing, caller.cookies.refresh_token) == ("websocket", None, None)
    as_program: list[dict[str, object]] = [
        {"apiKey": key},
        {"x-api-key": key},
        {"X-API-Key": key},
        {"authorization": f"Bearer {key}"},
        {"headers": {"x-api-key": key}},
    ]
    for payload in as_program:
        caller = await caller_of(accounts, {}, payload)
        assert caller.viewer is not None
        assert (caller.viewer.session_id, caller.viewer.scopes) == (None, frozenset({ApiScope.READ})), payload
    nothing: list[dict[str, object]] = [
        {},
        {"headers": {}},
        {"headers": "x"},
        {"authorization": None},
        {"name": "a client"},
    ]
    for payload in nothing:
        assert (await caller_of(accounts, {}, payload)).viewer is None, payload


async def test_a_wrong_credential_closes_the_socket(accounts: AccountServices) -> None:
    alice = await signed_in(accounts)
    ended = await signed_in(accounts)
    await accounts.sessions.log_out(ended.viewer, CLIENT, everywhere=False)
    _, key = await key_of(accounts, alice, ip_allowlist=["198.51.100.0/24"])
    wrong: list[dict[str, object]] = [
        {"authorization": "x"},
        {"authorization": alice.token},
        {"authorization": "Bearer x"},
        {"authorization": "Bearer " + "[" * 1_500 + ".e30.AAAA"},
        {"authorization": f"Bearer {ended.token}"},
        {"authorization": f"Bearer {alice.opened.tokens.refresh}"},
        {"authorization": 5},
        {"authorization": [f"Bearer {alice.token}"]},
        {"token": {"$ne": ""}},
        {"token": True},
        {"apiKey": key},
        {"apiKey": "cvk_ä_ö"},
        {"headers": {"authorization": "Bearer x"}},
    ]
    with_cookie = {"origin": ORIGIN, "cookie": f"__Host-access={alice.token}"}
    for payload in wrong:
        for headers in ({}, with_cookie):
            code, reason = await refusal_of(accounts, headers, payload)
            assert (code, reason.split(":")[0]) == (4403, "Forbidden"), payload


async def test_a_cookie_of_the_handshake_counts_with_an_origin_of_ours_only(site: Site) -> None:
    alice = await signed_in(site.here.accounts)
    cookie = {"cookie": f"__Host-access={alice.token}"}
    for origin in ({}, {"origin": ""}, {"origin": "https://evil.example"}, {"origin": "null"}):
        code, reason = await refusal_of(site.here.accounts, {**origin, **cookie}, {})
        assert (code, reason.split(":")[0]) == (4403, "Forbidden"), origin
    assert (await caller_of(site.here.accounts, {"origin": ORIGIN, **cookie}, {})).viewer == alice.viewer
    with pytest.raises(InvalidStatus) as refused:
        async with site.here.server.raw_socket(origin=Origin("https://evil.example"), additional_headers=cookie):
            pass
    assert refused.value.response.status_code == 403
    async with site.here.socket(origin=Origin(ORIGIN), additional_headers=cookie) as client:
        await client.subscribe("1", WHO)
        assert (await client.receive())["type"] == "next"
    assert site.here.server.probe.contexts[-1].caller.viewer == alice.viewer


async def test_a_cookie_that_is_over_is_as_none(accounts: AccountServices) -> None:
    ended = await signed_in(accounts)
    await accounts.sessions.log_out(ended.viewer, CLIENT, everywhere=False)
    _, key = await key_of(accounts, await signed_in(accounts))
    for value in (ended.token, "x", "", key):
        headers = {"origin": ORIGIN, "cookie": f"__Host-access={value}"}
        assert (await caller_of(accounts, headers, {})).viewer is None
    other = {"cookie": f"__Host-refresh={ended.opened.tokens.refresh}; __Host-device={random_token()}"}
    assert (await caller_of(accounts, other, {})).viewer is None, "no cookie that signs in: nothing to refuse"


async def test_a_credential_counts_more_than_a_cookie(accounts: AccountServices) -> None:
    alice, bob = await signed_in(accounts), await signed_in(accounts, "bob")
    headers = {"origin": ORIGIN, "cookie": f"__Host-access={alice.token}"}
    assert (await caller_of(accounts, headers, bob.bearer)).viewer == bob.viewer


async def test_after_a_hundred_wrong_credentials_an_address_is_told_to_wait(accounts: AccountServices) -> None:
    limits = MemoryRateLimits(ManualClock())
    alice = await signed_in(accounts)
    for _ in range(100):
        assert (await refusal_of(accounts, {}, {"token": "x"}, limits=limits))[0] == 4403
    code, reason = await refusal_of(accounts, {}, {"token": "x"}, limits=limits)
    assert (code, reason) == (4429, "too many wrong credentials; try again in 60 s")
    authority = judge(accounts, {}, limits=limits)
    await authority.admit({"token": alice.token})


async def test_a_socket_speaks_the_accounts_language(accounts: AccountServices) -> None:
    alice = await signed_in(accounts)
    authority = judge(accounts, {"accept-language": "en"})
    await authority.admit(alice.bearer)
    assert (await authority.current()).client.locale == "en"
    await user.set_profile("alice", {"locale": "de"}, now_ms=0)
    await accounts.authority._states.changed("alice")
    assert (await authority.current()).client.locale == "de", "as it is now"


# How it ends

Ending = Callable[[Site, Signed, Signed], Awaitable[object]]
"""What is done, to whom, and by another session of the same person."""


async def reset_password(site: Site, one: Signed, other: Signed) -> None:
    token, email = random_token(), f"{one.viewer.user_id}@example.com"
    row = stored_token(
        token, TokenPurpose.RESET_PASSWORD, user_id=one.viewer.user_id, email_key=email, now_ms=site.clock.now_ms()
    )
    await one_time_token.put([row])
    await site.here.accounts.password_changes.reset(token, NEW_PASSWORD, CLIENT)


async def reuse_token(site: Site, one: Signed, other: Signed) -> None:
    sessions, token = site.here.accounts.sessions, one.opened.tokens.refresh
    await sessions.refresh((await sessions.refresh(token, CLIENT)).tokens.refresh, CLIENT)
    with pytest.raises(Exception, match="used before"):
        await sessions.refresh(token, CLIENT)


async def suspend(site: Site, one: Signed, other: Signed) -> None:
    status = UserStatus.SUSPENDED
    await site.here.accounts.freezes.by_operator(other.viewer, one.viewer.user_id, status, "a test", CLIENT)


OF_ONE: dict[str, Ending] = {
    "logged out": lambda site, one, other: site.here.accounts.sessions.log_out(one.viewer, CLIENT, everywhere=False),
    "revoked": lambda site, one, other: site.here.accounts.sessions.revoke(
        other.viewer, one.viewer.session_id or "", CLIENT
    ),
    "the password was changed by another session": lambda site, one, other: site.here.accounts.password_changes.change(
        other.viewer, NEW_PASSWORD, CLIENT
    ),
    "a refresh token was used twice": reuse_token,
    "only the refresh cookie was left": lambda site, one, other: site.here.accounts.sessions.forget(
        one.opened.tokens.refresh, CLIENT
    ),
}
OF_ALL: dict[str, Ending] = {
    "logged out everywhere": lambda site, one, other: site.here.accounts.sessions.log_out(
        other.viewer, CLIENT, everywhere=True
    ),
    "the password was reset by mail": reset_password,
    "frozen": lambda site, one, other: site.here.accounts.freezes.by_owner(other.viewer, CLIENT),
    "suspended by an operator": suspend,
    "deleted": lambda site, one, other: site.here.accounts.accounts.delete(other.viewer, CLIENT),
}


async def test_the_sockets_of_a_session_end_with_it_in_every_process_and_no_others(site: Site) -> None:
    bystanders = [*await site.streaming(), *await site.streaming((await signed_in(site.here.accounts, "bob")).bearer)]
    for number, (what, end) in enumerate({**OF_ONE, **OF_ALL}.items()):
        person = f"person-{number}"
        one, other = await signed_in(site.here.accounts, person), await signed_in(site.here.accounts, person)
        ending, staying = await site.streaming(one.bearer), await site.streaming(other.bearer)
        await end(site, one, other)
        for client in [*ending, *(staying if what in OF_ALL else [])]:
            assert await closed(client) == (4403, "Forbidden: the session has ended"), what
        await assert_open(*bystanders, *(staying if what in OF_ONE else []))
    probes = [process.server.probe for process in site.processes]
    await eventually(lambda: [probe.open_streams for probe in probes] == [2 + len(OF_ONE)] * 2)


async def test_the_sockets_of_an_api_key_end_with_it_in_every_process(site: Site) -> None:
    alice = await signed_in(site.here.accounts)
    api_keys = site.here.accounts.api_keys
    ended_id, ended = await key_of(site.here.accounts, alice)
    narrowed_id, narrowed = await key_of(site.here.accounts, alice)
    renamed_id, renamed = await key_of(site.here.accounts, alice)
    sockets = {key: await site.streaming({"apiKey": key}) for key in (ended, narrowed, renamed)}
    session_sockets = await site.streaming(alice.bearer)
    site.clock.advance(1)
    await api_keys.revoke(alice.viewer, ended_id, CLIENT)
    await api_keys.update(alice.viewer, narrowed_id, CLIENT, name=None, ip_allowlist=["198.51.100.0/24"])
    await api_keys.update(alice.viewer, renamed_id, CLIENT, name="another name", ip_allowlist=None)
    for client in sockets[ended]:
        assert await closed(client) == (4403, "Forbidden: the API key has ended")
    for client in sockets[narrowed]:
        assert await closed(client) == (4403, "Forbidden: the API key has changed; connect again")
    await assert_open(*sockets[renamed], *session_sockets)
    assert (await site.there.refusal({"apiKey": narrowed}))[0] == 4403
    await site.here.accounts.freezes.by_owner(alice.viewer, CLIENT)
    for client in sockets[renamed]:
        assert await closed(client) == (4403, "Forbidden: the API key has ended")


async def test_sockets_end_within_two_seconds_where_the_bus_is_cut(site: Site, database: Database) -> None:
    """By looking, at the pace of production."""
    assert revocations.LOOK_SECONDS == 1.0
    alone = build_accounts(clock=site.clock, bus=MemoryBus(), cache=MemoryCache(site.clock))
    await alone.load()
    alice = await signed_in(site.here.accounts)
    key_id, key = await key_of(site.here.accounts, alice)
    looking = asyncio.create_task(alone.revocations.run())
    async with served(authority=alone.authority) as server:
        process = Process(alone, server)
        async with process.socket(alice.bearer) as client, process.socket({"apiKey": key}) as program:
            await site.here.accounts.api_keys.revoke(alice.viewer, key_id, CLIENT)
            await site.here.accounts.sessions.log_out(alice.viewer, CLIENT, everywhere=False)
            assert await closed(client) == (4403, "Forbidden: the session has ended")
            assert await closed(program) == (4403, "Forbidden: the API key has ended")
    looking.cancel()


async def test_a_token_that_ends_in_mid_stream_ends_its_socket_and_says_why(site: Site) -> None:
    alice = await signed_in(site.here.accounts)
    soon_ms = site.clock.now_ms() + 5_000  # of the machine's own time: until then all streams must have begun
    token, ends_ms = site.here.accounts.tokens.issue("alice", alice.opened.session.id, not_after_ms=soon_ms)
    _, key = await key_of(site.here.accounts, alice, expires_ms=soon_ms)
    assert ends_ms <= soon_ms
    shown: list[tuple[dict[str, object], str]] = [
        ({"token": token}, "Forbidden: the access token has expired"),
        ({"apiKey": key}, "Forbidden: the API key has expired"),
    ]
    sockets = [(client, reason) for payload, reason in shown for client in await site.streaming(payload)]
    staying = await site.streaming(alice.bearer)
    site.clock.advance(5)  # the machine's own clock reaches it a little later
    async with asyncio.timeout(WAIT):
        for client, _ in sockets:
            await client.raw.wait_closed()
    assert [await closed(client) for client, _ in sockets] == [(4403, reason) for _, reason in sockets]
    await assert_open(*staying)


async def test_nothing_is_served_on_an_authority_that_has_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the moment between the end and the close; here for as long as nobody is told."""
    alice = await signed_in(site.here.accounts)
    accounts = site.here.accounts
    monkeypatch.setattr(accounts.revocations, "tell", lambda key, reason: None)
    async with site.here.socket(alice.bearer) as client:
        await client.subscribe("before", "mutation { place }")
        assert (await client.receive())["type"] == "next"
        await client.until("complete")
        await accounts.sessions.log_out(alice.viewer, CLIENT, everywhere=False)
        for number in range(3):
            await client.subscribe(f"after {number}", "mutation { place }")
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}, "and no answer before it"
    assert site.here.server.probe.mutations == 1


async def test_an_operation_runs_with_the_authority_of_its_moment(site: Site) -> None:
    alice = await signed_in(site.here.accounts)
    async with site.here.socket(alice.bearer) as client:
        for status in (UserStatus.ACTIVE, UserStatus.FROZEN):
            now_ms = site.clock.now_ms()
            await user.set_status("alice", status, was=list(UserStatus), now_ms=now_ms, frozen_ms=None)
            await site.here.accounts.authority._states.changed("alice")
            await client.subscribe(status, WHO)
            await client.until("complete")
            viewer = site.here.server.probe.contexts[-1].caller.viewer
            assert viewer is not None
            assert viewer.status is status


async def test_an_operation_fails_alone_while_the_database_is_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, by_id = await signed_in(site.here.accounts), user.by_id

    async def away(user_id: str) -> UserDocument | None:
        raise ServerSelectionTimeoutError("away")

    (client, _), (stranger, _) = await site.streaming(alice.bearer), await site.streaming()
    site.clock.advance(60)  # no state is held any more
    monkeypatch.setattr(user, "by_id", away)
    await client.subscribe("1", "{ sequence }")
    failed = await client.receive()
    assert (failed["type"], failed["id"]) == ("error", "1")
    assert failed["payload"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    await assert_open(stranger)
    code, reason = await site.here.refusal(alice.bearer)
    assert (code, reason) == (1013, "the database does not answer; try again in a moment")
    monkeypatch.setattr(user, "by_id", by_id)
    await assert_open(client)


# How many


async def test_an_account_has_so_many_sockets_and_a_closed_one_makes_room(site: Site) -> None:
    accounts = site.here.accounts
    alice, bob = await signed_in(site.here.accounts), await signed_in(site.here.accounts, "bob")
    other_session = await signed_in(site.here.accounts)
    _, key = await key_of(site.here.accounts, alice)
    async with served(
        authority=accounts.authority, connections=OpenConnections(per_address=9, per_account=2)
    ) as server:
        process = Process(accounts, server)
        full = (4429, "Too many sockets: at most 2 of one account")
        async with process.socket(alice.bearer), AsyncExitStack() as second:
            await second.enter_async_context(process.socket(other_session.bearer))
            for payload in (alice.bearer, {"apiKey": key}):
                assert await process.refusal(payload) == full
            async with process.socket(bob.bearer), process.socket(bob.bearer), process.socket(), process.socket():
                pass
            assert (await process.refusal({"token": "x"}))[0] == 4403
            await second.aclose()
            async with process.socket({"apiKey": key}):
                assert await process.refusal(alice.bearer) == full
            await accounts.sessions.log_out(other_session.viewer, CLIENT, everywhere=False)
            async with process.socket({"apiKey": key}):
                assert await process.refusal(alice.bearer) == full


async def test_places_are_given_back_however_a_socket_ends(accounts: AccountServices) -> None:
    alice = await signed_in(accounts)
    places: Counter[str] = Counter()
    authority = judge(accounts, {}, most=1)
    authority._open_by_account = places
    await authority.admit(alice.bearer)
    assert places == {"alice": 1}
    second = judge(accounts, {}, most=1)
    second._open_by_account = places
    with pytest.raises(CloseSocket) as refused:
        await second.admit(alice.bearer)
    assert refused.value.code is CloseCode.TOO_MANY
    second.close()
    assert places == {"alice": 1}, "who was not let in gives nothing back"
    authority.close()
    authority.close()
    assert dict(places) == {}


# What a socket cannot do


async def test_a_socket_signs_in_by_values_and_sets_no_cookies(database: Database) -> None:
    async with world() as vault:
        await vault.signed_up("alice@example.com")
        caller = replace(vault.caller(), transport="websocket", outgoing=None)
        by_cookie = LOG_IN.replace("VALUES", "COOKIE")
        before = await sessions_of(vault)
        body = await vault.ask_as(caller, by_cookie, email="alice@example.com", password=PASSWORD)
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert body["errors"][0]["extensions"]["field"] == ["input", "delivery"]
        assert await sessions_of(vault) == before
        body = await vault.ask_as(caller, LOG_IN, email="alice@example.com", password=PASSWORD)
        assert body["data"]["logIn"]["tokens"]["accessToken"]
        refresh = "mutation { refreshSession { tokens { accessToken } errors { code } } }"
        body = await vault.ask_as(caller, refresh)
        assert body["data"]["refreshSession"] == {"tokens": None, "errors": [{"code": "TOKEN_INVALID"}]}


async def sessions_of(vault: World) -> int:
    person = await user.by_email_key("alice@example.com")
    assert person is not None
    return len(await vault.accounts.sessions.of_user(person.id))


# Streams over HTTP


@pytest.mark.parametrize("transport", ["sse", "multipart"])
async def test_a_stream_ends_with_what_it_was_admitted_with(accounts: AccountServices, transport: str) -> None:
    alice, bob = await signed_in(accounts), await signed_in(accounts, "bob")
    connections = OpenConnections(per_address=9, per_account=1)
    async with served(authority=accounts.authority, connections=connections) as server:
        query = "subscription { forever(size: 10) }"
        async with (
            stream(server, transport, query, {"authorization": f"Bearer {alice.token}"}) as ending,
            stream(server, transport, query, {"authorization": f"Bearer {bob.token}"}) as other,
        ):
            await ending.next()
            await other.next()
            async with stream(server, transport, query, {"authorization": f"Bearer {bob.token}"}) as second:
                (error,) = await second.until_ended()
                assert error["extensions"]["code"] == "TOO_MANY_CONNECTIONS"
            await accounts.sessions.log_out(alice.viewer, CLIENT, everywhere=False)
            (error,) = await ending.until_ended()
            assert error["extensions"]["code"] == "UNAUTHENTICATED"
            while not other.payloads.empty():
                other.payloads.get_nowait()
            await other.next()
        async with stream(server, transport, query, {"authorization": f"Bearer {alice.token}"}) as refused:
            await refused.until_ended()
            assert refused.status == 401
    assert not connections.by_address
    assert not connections.by_account
