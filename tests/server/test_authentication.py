"""Credentials over HTTP: headers, cookies, and whose page may use them. The real schema behind the real transport."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pymongo.errors import ServerSelectionTimeoutError

from core.account_vocabulary import ApiScope
from core.client_address import ClientAddresses
from core.database import Database
from core.ids import random_token
from core.rate_limits import MemoryRateLimits, RateLimits
from models import user
from server.authentication import Authentication
from server.graphql_http import GraphQLHTTP, HttpLimits
from server.origins import Origins
from server.transport_metrics import TransportMetrics
from services.api_keys import WantedKey
from tests.accounts import CLIENT, PAGE, PASSWORD, NoLimits, Person, World, world
from tests.factors import ClockOf, limited_world
from tests.http_streams import http_streams
from tests.stored import unchanged

EMAIL = "alice@example.com"
HOST = "https://api.vault.example"
EVIL = "https://evil.example"
ADDRESS = "198.51.100.7"
WHO = "{ viewer { email } }"
JSON = {"content-type": "application/json"}
ACCESS, REFRESH, DEVICE = "__Host-access", "__Host-refresh", "__Host-device"
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
LOG_IN = """mutation($email: String!, $password: String!, $delivery: TokenDelivery! = COOKIE) {
  logIn(input: {email: $email, password: $password, delivery: $delivery}) {
    viewer { email } tokens { accessToken } errors { code message retryAfter }
  }
}"""
RENEW = "mutation { refreshSession { viewer { email } tokens { accessToken } errors { code } } }"
LOG_OUT = "mutation { logOut { errors { code } } }"


class Door:
    """The HTTP transport in front of a world, with nothing between it and the tests but ASGI."""

    def __init__(
        self,
        vault: World,
        *,
        origins: tuple[str, ...] = (PAGE,),
        limits: RateLimits | None = None,
        trusted_proxies: tuple[str, ...] = (),
    ) -> None:
        self.vault = vault
        allowed = Origins(origins)
        authentication = Authentication(
            vault.accounts.authority,
            origins=allowed,
            addresses=ClientAddresses(trusted_proxies),
            limits=limits or NoLimits(),
        )
        metrics = TransportMetrics(CollectorRegistry())
        self.app = GraphQLHTTP(
            vault.pipeline,
            authentication=authentication,
            limits=HttpLimits(),
            origins=allowed,
            clock=vault.clock,
            request_id=lambda: "request-1",
            metrics=metrics,
            streams=http_streams(vault.accounts.authority, vault.clock, metrics),
        )

    def client(self, address: str = ADDRESS) -> httpx.AsyncClient:
        """A client with a cookie jar of its own."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40_000))
        return httpx.AsyncClient(transport=transport, base_url=HOST)

    async def ask(
        self, query: str, headers: Mapping[str, str] | None = None, *, address: str = ADDRESS, **variables: object
    ) -> httpx.Response:
        """One POST without a jar."""
        async with self.client(address) as client:
            body = {"query": query, "variables": variables}
            return await client.post("/graphql", json=body, headers=dict(headers or {}))


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def door(vault: World) -> Door:
    return Door(vault)


@pytest.fixture
async def alice(vault: World) -> Person:
    return await vault.signed_up(EMAIL)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def cookies(**named: str) -> dict[str, str]:
    """A Cookie header of our cookies, by their short names."""
    return {"cookie": "; ".join(f"__Host-{name}={value}" for name, value in named.items())}


def own_page(**named: str) -> dict[str, str]:
    """What a page of ours sends with these cookies."""
    return {"origin": PAGE, **cookies(**named)}


def email_in(response: httpx.Response) -> str | None:
    """Who was served; None for a stranger."""
    assert response.status_code == 200, response.text
    viewer = response.json()["data"]["viewer"]
    return None if viewer is None else str(viewer["email"])


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    body = response.json()
    assert "data" not in body
    (error,) = body["errors"]
    return response.status_code, error["extensions"]["code"]


def cookies_set(response: httpx.Response) -> dict[str, tuple[str, str]]:
    """Value and attributes of every cookie that is set, by name."""
    found = {}
    for header in response.headers.get_list("set-cookie"):
        pair, _, attributes = header.partition("; ")
        name, _, value = pair.partition("=")
        found[name] = (value, attributes)
    return found


async def is_in(vault: World, person: Person) -> bool:
    """Whether the person's session lasts."""
    return any(row.id == person.viewer.session_id for row in await vault.accounts.sessions.of_user(person.user_id))


async def key_of(vault: World, person: Person, **wanted: Any) -> str:
    _, secret = await vault.accounts.api_keys.create(
        person.viewer, WantedKey("a program", [ApiScope.READ], [], None, **wanted), CLIENT
    )
    return secret


# Headers


async def test_a_header_says_who_asks(door: Door, alice: Person) -> None:
    key = await key_of(door.vault, alice)
    for headers in (
        bearer(alice.access),
        {"authorization": f"bearer  {alice.access} "},
        bearer(key),
        {"x-api-key": key},
        {**bearer(alice.access), "origin": EVIL},  # another site cannot make a browser send it
    ):
        assert email_in(await door.ask(WHO, headers)) == EMAIL
    assert email_in(await door.ask(WHO)) is None


async def test_a_wrong_credential_is_refused_and_not_taken_for_none(door: Door, alice: Person) -> None:
    key = await key_of(door.vault, alice)
    expired = door.vault.accounts.tokens.issue(alice.user_id, "x", not_after_ms=door.vault.clock.now_ms())[0]
    ended = await door.vault.logged_in(EMAIL)
    await door.vault.accounts.sessions.log_out(ended.viewer, CLIENT, everywhere=False)
    wrong: list[dict[str, str]] = [
        bearer("x"),
        bearer(alice.access + "x"),
        bearer(alice.refresh),
        bearer(expired),
        bearer(ended.access),
        bearer("[" * 1_500 + ".e30.AAAA"),
        bearer("e" * 8_000),
        bearer(f"{alice.access}, Bearer {alice.access}"),
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": alice.access},
        {"authorization": f"Token {alice.access}"},
        {"authorization": "Basic YWxpY2U6cGFzc3dvcmQ="},
        {"x-api-key": "x"},
        {"x-api-key": key + "x"},
        {"x-api-key": alice.access + "x"},
        {"x-api-key": f"Bearer {key}"},
        bearer("cvk_aaaaaaaaaaaa_x"),
        {**bearer(alice.access), "x-api-key": key},
        {**bearer(key), "x-api-key": key},
        {**bearer("x"), **own_page(access=alice.access)},  # a right cookie does not make good for it
    ]
    for headers in wrong:
        response = await door.ask(WHO, headers)
        assert error_of(response) == (401, "UNAUTHENTICATED"), headers
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert response.headers["cache-control"] == "no-store"
        assert cookies_set(response) == {}
    response = await door.ask(LOG_IN, bearer("x"), email=EMAIL, password=PASSWORD)
    assert error_of(response) == (401, "UNAUTHENTICATED"), "not even a mutation that needs nobody"


async def test_bytes_that_are_no_ascii_are_a_wrong_credential(door: Door) -> None:
    async with door.client() as client:
        for name in (b"authorization", b"x-api-key"):
            for value in (b"Bearer \xff\xfe", b"cvk_\xe9_\xe9", b"\xff"):
                response = await client.post("/graphql", json={"query": WHO}, headers=[(name, value)])
                assert error_of(response) == (401, "UNAUTHENTICATED")


async def test_after_a_hundred_wrong_credentials_an_address_is_told_to_wait(database: Database) -> None:
    vault = await limited_world()
    alice = await vault.signed_up(EMAIL)
    clock = ClockOf()
    clock.world = vault
    door = Door(vault, limits=MemoryRateLimits(clock))
    async with door.client() as client:
        for _ in range(100):
            assert (await client.post("/graphql", json={"query": WHO}, headers=bearer("x"))).status_code == 401
        response = await client.post("/graphql", json={"query": WHO}, headers=bearer("x"))
        assert error_of(response) == (429, "RATE_LIMITED")
        assert response.headers["retry-after"] == str(response.json()["errors"][0]["extensions"]["retryAfter"]) == "60"
        assert email_in(await client.post("/graphql", json={"query": WHO}, headers=bearer(alice.access))) == EMAIL
    assert error_of(await door.ask(WHO, bearer("x"), address="198.51.100.8")) == (401, "UNAUTHENTICATED")
    vault.clock.advance(60)
    assert error_of(await door.ask(WHO, bearer("x"))) == (401, "UNAUTHENTICATED")


async def test_a_key_is_judged_by_the_address_a_trusted_proxy_names(vault: World, alice: Person) -> None:
    _, key = await vault.accounts.api_keys.create(
        alice.viewer,
        WantedKey("a program", [ApiScope.READ], ["192.0.2.7"], None),
        CLIENT,
    )
    claim = {"x-forwarded-for": "192.0.2.7", **bearer(key)}
    assert error_of(await Door(vault).ask(WHO, claim)) == (401, "UNAUTHENTICATED")
    behind = Door(vault, trusted_proxies=(ADDRESS,))
    assert email_in(await behind.ask(WHO, claim)) == EMAIL
    mapped = {**claim, "x-forwarded-for": "::ffff:192.0.2.7"}
    assert email_in(await behind.ask(WHO, mapped)) == EMAIL
    assert error_of(await behind.ask(WHO, {**claim, "x-forwarded-for": "192.0.2.7, 192.0.2.8"}))[0] == 401


async def test_who_asks_cannot_be_judged_while_the_database_is_away(
    vault: World, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(vault)
    vault.clock.advance(60)  # nothing is held any more

    async def away(user_id: str) -> None:
        raise ServerSelectionTimeoutError("away")

    monkeypatch.setattr(user, "by_id", away)
    for headers in (bearer(alice.access), own_page(access=alice.access)):
        assert error_of(await door.ask("{ __typename }", headers)) == (503, "DATABASE_UNAVAILABLE")
    assert (await door.ask("{ __typename }")).json()["data"] == {"__typename": "Query"}


# Cookies


async def test_a_log_in_from_our_page_sets_three_cookies_and_shows_no_token(door: Door, alice: Person) -> None:
    response = await door.ask(LOG_IN, {"origin": PAGE}, email=EMAIL, password=PASSWORD)
    payload = response.json()["data"]["logIn"]
    assert payload == {"viewer": {"email": EMAIL}, "tokens": None, "errors": []}
    found = cookies_set(response)
    assert {name: attributes for name, (_, attributes) in found.items()} == {
        ACCESS: f"Max-Age=900; {ATTRIBUTES}",
        REFRESH: f"Max-Age=604800; {ATTRIBUTES}",
        DEVICE: f"Max-Age=31536000; {ATTRIBUTES}",
    }
    for value, _ in found.values():
        assert value not in response.text
    assert response.headers["cache-control"] == "no-store"
    served = await door.ask(WHO, own_page(access=found[ACCESS][0]))
    assert email_in(served) == EMAIL
    assert cookies_set(served) == {}


async def test_a_browser_goes_through_a_whole_session(door: Door, alice: Person) -> None:
    async with door.client() as browser:
        browser.headers["origin"] = PAGE

        async def ask(query: str, **variables: object) -> httpx.Response:
            return await browser.post("/graphql", json={"query": query, "variables": variables})

        await ask(LOG_IN, email=EMAIL, password=PASSWORD)
        assert email_in(await ask(WHO)) == EMAIL
        first, device = browser.cookies[ACCESS], browser.cookies[DEVICE]
        door.vault.clock.advance(901)
        assert email_in(await ask(WHO)) is None, "an access token that is over is as none"
        renewed = await ask(RENEW)
        assert renewed.json()["data"]["refreshSession"] == {"viewer": {"email": EMAIL}, "tokens": None, "errors": []}
        assert set(cookies_set(renewed)) == {ACCESS, REFRESH}
        assert browser.cookies[ACCESS] != first
        assert email_in(await ask(WHO)) == EMAIL

        again = await ask(LOG_IN, email=EMAIL, password=PASSWORD)
        assert cookies_set(again)[DEVICE][0] == device, "the browser is known"
        out = await ask(LOG_OUT)
        assert cookies_set(out) == {
            ACCESS: ("", f"Max-Age=0; {ATTRIBUTES}"),
            REFRESH: ("", f"Max-Age=0; {ATTRIBUTES}"),
        }
        assert ACCESS not in browser.cookies
        assert browser.cookies[DEVICE] == device
        assert email_in(await ask(WHO)) is None


async def test_a_known_browser_is_not_shut_out_and_an_invented_cookie_is_none(door: Door, alice: Person) -> None:
    response = await door.ask(LOG_IN, {"origin": PAGE}, email=EMAIL, password=PASSWORD)
    device = cookies_set(response)[DEVICE][0]
    for _ in range(5):
        await door.ask(LOG_IN, email=EMAIL, password="a foul day for sailing")

    async def code_with(**named: str) -> list[str]:
        answer = await door.ask(LOG_IN, own_page(**named) if named else {}, email=EMAIL, password=PASSWORD)
        return [error["code"] for error in answer.json()["data"]["logIn"]["errors"]]

    assert await code_with() == ["ACCOUNT_LOCKED"]
    assert await code_with(device=random_token()) == ["ACCOUNT_LOCKED"]
    assert await code_with(device=f"agent:{ADDRESS} python-httpx") == ["ACCOUNT_LOCKED"]
    assert await code_with(device=device) == []
    assert await code_with(access=alice.access) == [], "somebody who is signed in"


async def test_a_cookie_that_is_over_is_as_none_and_a_log_in_replaces_it(door: Door, alice: Person) -> None:
    ended = await door.vault.logged_in(EMAIL)
    await door.vault.accounts.sessions.log_out(ended.viewer, CLIENT, everywhere=False)
    key = await key_of(door.vault, alice)
    for value in (ended.access, "x", "", "[" * 1_500, key, alice.access + "x", alice.refresh):
        headers = own_page(access=value)
        assert email_in(await door.ask(WHO, headers)) is None, value
        response = await door.ask(LOG_IN, headers, email=EMAIL, password=PASSWORD)
        assert response.json()["data"]["logIn"]["errors"] == []
        assert email_in(await door.ask(WHO, own_page(access=cookies_set(response)[ACCESS][0]))) == EMAIL


async def test_cookies_are_set_for_our_pages_and_for_programs_and_for_no_other_page(door: Door, alice: Person) -> None:
    for headers, names in (
        ({"origin": PAGE}, {ACCESS, REFRESH, DEVICE}),
        ({}, {ACCESS, REFRESH}),
        ({"origin": EVIL}, set()),
        ({"origin": "null"}, set()),
        ({"origin": f"{PAGE}.evil.example"}, set()),
    ):
        response = await door.ask(LOG_IN, headers, email=EMAIL, password=PASSWORD)
        assert response.status_code == 200
        assert set(cookies_set(response)) == names, headers
        assert "accessToken" not in response.text.replace('"tokens":null', "")


async def test_values_set_no_cookie(door: Door, alice: Person) -> None:
    response = await door.ask(LOG_IN, {"origin": PAGE}, email=EMAIL, password=PASSWORD, delivery="VALUES")
    assert response.json()["data"]["logIn"]["tokens"]["accessToken"]
    assert cookies_set(response) == {}


async def test_a_refused_log_in_sets_no_cookie(door: Door, alice: Person) -> None:
    response = await door.ask(LOG_IN, {"origin": PAGE}, email=EMAIL, password="a foul day for sailing")
    assert response.json()["data"]["logIn"]["errors"][0]["code"] == "INVALID_CREDENTIALS"
    assert cookies_set(response) == {}


async def test_of_two_cookies_of_one_name_the_first_counts(door: Door, alice: Person) -> None:
    bob = await door.vault.signed_up("bob@example.com")
    twice = {"origin": PAGE, "cookie": f"{ACCESS}={alice.access}; {ACCESS}={bob.access}; a; =b; c=d"}
    assert email_in(await door.ask(WHO, twice)) == EMAIL


# Whose page may use cookies


@dataclass(frozen=True)
class Attempt:
    """One way in which a browser, or somebody who pretends to be one, sends a request."""

    origin: str | None
    fetch_site: str | None
    method: str
    content_type: str | None
    preflighted: str | None
    credential: str

    @property
    def headers(self) -> dict[str, str]:
        given = {"origin": self.origin, "sec-fetch-site": self.fetch_site, "content-type": self.content_type}
        found = {name: value for name, value in given.items() if value is not None}
        return {**found, self.preflighted: "true"} if self.preflighted else found

    def expected(self) -> tuple[int, str | None]:
        """Status, and who is served or the code. Written after the rules, not after the code (docs/security.md)."""
        if self.method == "POST" and self.content_type != "Application/JSON; charset=utf-8":
            return 415, "UNSUPPORTED_MEDIA_TYPE"
        if "header" in self.credential:
            return 200, EMAIL
        if self.credential == "none":
            return 200, None
        from_our_page = self.origin == PAGE or (self.origin is None and self.fetch_site == "same-origin")
        asked_first = self.preflighted in PREFLIGHTED or self.method == "POST"
        if not (from_our_page and asked_first):
            return 403, "CSRF_REFUSED"
        return 200, EMAIL if self.credential == "access cookie" else None


PREFLIGHTED = ("apollo-require-preflight", "x-apollo-operation-name", "x-requested-with")
WAYS: dict[str, tuple[str | None, ...]] = {
    "origin": (None, PAGE, EVIL, "null"),
    "fetch_site": (None, "same-origin", "same-site"),
    "how": ("GET", "GET application/json", "POST Application/JSON; charset=utf-8", "POST text/plain", "POST application/x-www-form-urlencoded"),
    "preflighted": (None, *PREFLIGHTED, "x-something"),
    "credential": ("none", "access cookie", "refresh cookie", "device cookie", "header", "header and cookie"),
}  # fmt: skip


def attempts() -> list[Attempt]:
    found = []
    for origin, fetch_site, how, preflighted, credential in itertools.product(*WAYS.values()):
        method, _, content_type = (how or "").partition(" ")
        found.append(Attempt(origin, fetch_site, method, content_type or None, preflighted, credential or ""))
    return found


async def test_cookies_count_only_where_a_page_of_ours_has_asked(door: Door, alice: Person, database: Database) -> None:
    """Every combination of what a browser says of a request's origin, and of what kind of request it is."""
    credentials = {
        "none": {},
        "access cookie": cookies(access=alice.access),
        "refresh cookie": cookies(refresh=alice.refresh),
        "device cookie": cookies(device=random_token()),
        "header": bearer(alice.access),
        "header and cookie": {**bearer(alice.access), **cookies(access=alice.access)},
    }
    body = json.dumps({"query": WHO})
    wrong = []
    async with door.client() as client:
        for attempt in attempts():
            headers = {**attempt.headers, **credentials[attempt.credential]}
            if attempt.method == "GET":
                response = await client.get("/graphql", params={"query": WHO}, headers=headers)
            else:
                response = await client.post("/graphql", content=body, headers=headers)
            answer = response.json()
            seen = (answer.get("data") or {}).get("viewer", {})
            who = answer["errors"][0]["extensions"]["code"] if "errors" in answer else seen and seen["email"]
            if (response.status_code, who) != attempt.expected():
                wrong.append((attempt, response.status_code, who))
            assert cookies_set(response) == {}
    assert wrong == []


async def test_what_is_refused_for_its_site_has_not_run(door: Door, alice: Person, database: Database) -> None:
    mine = cookies(access=alice.access, refresh=alice.refresh)
    async with unchanged(database, but=()):
        for origin in ({"origin": EVIL}, {"origin": "null"}, {}, {"sec-fetch-site": "same-site"}):
            for query in (LOG_OUT, RENEW, "mutation { freezeAccount(input: {}) { errors { code } } }"):
                response = await door.ask(query, {**origin, **mine})
                assert error_of(response) == (403, "CSRF_REFUSED")
    assert await is_in(door.vault, alice)
    assert (await door.ask(LOG_OUT, {"origin": PAGE, **mine})).json()["data"]["logOut"]["errors"] == []
    assert not await is_in(door.vault, alice)


async def test_a_get_never_changes_anything(door: Door, alice: Person, database: Database) -> None:
    headers = {"origin": PAGE, "apollo-require-preflight": "true", **cookies(access=alice.access)}
    async with unchanged(database, but=()), door.client() as client:
        response = await client.get("/graphql", params={"query": LOG_OUT}, headers=headers)
    assert error_of(response) == (405, "OPERATION_NOT_ALLOWED")
    assert cookies_set(response) == {}


async def test_a_list_that_allows_every_page_allows_none_to_use_cookies(vault: World, alice: Person) -> None:
    door = Door(vault, origins=("*", PAGE))
    mine = cookies(access=alice.access)
    assert error_of(await door.ask(WHO, {"origin": EVIL, **mine})) == (403, "CSRF_REFUSED")
    assert error_of(await door.ask(WHO, {"origin": "*", **mine})) == (403, "CSRF_REFUSED")
    assert email_in(await door.ask(WHO, {"origin": PAGE, **mine})) == EMAIL
    assert cookies_set(await door.ask(LOG_IN, {"origin": EVIL}, email=EMAIL, password=PASSWORD)) == {}


# Headers of the answer


async def test_credentials_are_allowed_to_listed_pages_only_and_never_to_everybody(vault: World) -> None:
    for origins, origin, allowed, with_credentials in (
        ((PAGE,), PAGE, PAGE, "true"),
        ((PAGE,), PAGE.upper(), PAGE.upper(), "true"),
        ((PAGE,), EVIL, None, None),
        ((PAGE,), "null", None, None),
        ((PAGE,), f"{PAGE}:8443", None, None),
        ((PAGE,), None, None, None),
        (("*",), EVIL, EVIL, None),
        (("*",), "null", "null", None),
        (("*",), "*", "*", None),
        (("*", PAGE), PAGE, PAGE, "true"),
    ):
        door = Door(vault, origins=origins)
        headers = {"origin": origin} if origin is not None else {}
        async with door.client() as client:
            for response in (
                await client.post("/graphql", json={"query": WHO}, headers=headers),
                await client.post("/graphql", json={"query": WHO}, headers={**headers, **bearer("x")}),
                await client.options("/graphql", headers=headers),
            ):
                found = response.headers
                assert found.get("access-control-allow-origin") == allowed
                assert found.get("access-control-allow-credentials") == with_credentials
                assert "set-cookie" not in found
                if response.request.method == "POST":
                    assert {"Origin", "Cookie", "Authorization"} <= set(found["vary"].split(", "))
                elif allowed is not None:
                    asked = set(found["access-control-allow-headers"].split(", "))
                    assert {"authorization", "x-api-key", "content-type", "apollo-require-preflight"} <= asked


async def test_answers_say_what_is_left_of_the_budget_of_whoever_asks(door: Door, alice: Person) -> None:
    async def left(headers: Mapping[str, str], address: str = ADDRESS) -> int:
        response = await door.ask(WHO, headers, address=address)
        capacity = door.vault.pipeline.budget.capacity
        assert response.headers["ratelimit-policy"] == f'"points";q={capacity};w=60'
        name, remaining, full = response.headers["ratelimit"].split(";")
        assert (name, full) == ('"points"', "t=1")
        assert int(remaining.removeprefix("r=")) == response.json()["extensions"]["cost"]["remaining"]
        return int(remaining.removeprefix("r="))

    bob = await door.vault.signed_up("bob@example.com")
    first, second = await key_of(door.vault, alice), await key_of(door.vault, alice)
    other_session = await door.vault.logged_in(EMAIL)
    whole = await left({}, "203.0.113.1")
    assert await left(bearer(alice.access)) == whole
    assert await left(bearer(other_session.access), "203.0.113.2") < whole, "sessions of one account share its budget"
    for headers in (bearer(first), {"x-api-key": second}, bearer(bob.access)):
        assert await left(headers) == whole, "a key has a budget of its own, and so has another account"
    assert await left(bearer(first), "203.0.113.3") < whole
    assert await left({}) == whole, "who is signed in spends nothing of the address"


async def test_a_throttled_log_in_says_when_to_come_again(database: Database) -> None:
    vault = await limited_world()
    door = Door(vault)
    await vault.signed_up(EMAIL)
    vault.clock.advance(300)
    for _ in range(10):
        response = await door.ask(LOG_IN, email=EMAIL, password="a foul day for sailing")
        assert "retry-after" not in response.headers
    locked = response.json()["data"]["logIn"]["errors"][0]
    assert (locked["code"], locked["retryAfter"]) == ("ACCOUNT_LOCKED", 900)
    throttled = await door.ask(LOG_IN, email=EMAIL, password=PASSWORD)
    body = throttled.json()
    assert body["data"] is None
    assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert throttled.headers["retry-after"] == str(body["errors"][0]["extensions"]["retryAfter"]) == "300"


# Languages


async def test_refusals_speak_the_readers_language_and_codes_are_the_same(door: Door, alice: Person) -> None:
    german = {"accept-language": "fr, de-AT;q=0.8, en;q=0.5"}
    english = {"accept-language": "en, de;q=0.1"}

    async def told(headers: Mapping[str, str], query: str) -> tuple[str, str]:
        body = (await door.ask(query, headers)).json()
        if "errors" in body:
            return body["errors"][0]["extensions"]["code"], body["errors"][0]["message"]
        (error,) = next(iter(body["data"].values()))["errors"]
        return error["code"], error["message"]

    for headers, query in (
        (bearer("x.y.z"), WHO),
        (cookies(access="x"), WHO),
        ({}, 'mutation { revokeSession(input: {id: "x"}) { errors { code } } }'),
        ({}, 'mutation { logIn(input: {email: "x", password: "y"}) { errors { code message } } }'),
    ):
        in_german, in_english = await told({**german, **headers}, query), await told({**english, **headers}, query)
        assert in_german[0] == in_english[0]
        assert in_german[1] != in_english[1]

    await door.vault.data('mutation { updateProfile(input: {locale: "de"}) { errors { code } } }', alice)
    query = 'mutation { revokeSession(input: {id: "x"}) { errors { code message } } }'
    code, message = await told({**english, **bearer(alice.access)}, query)
    assert (code, message) == ("UNKNOWN", "das gibt es nicht"), "the account's language counts more than the browser's"
