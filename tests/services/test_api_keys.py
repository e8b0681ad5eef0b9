"""API keys: what is made, what is stored of it, and from where, until when and for what it does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from core.account_vocabulary import ApiScope, AuditAction, AuditOutcome, UserStatus
from core.clock import to_datetime
from core.database import Database
from core.ids import encode_id, random_token, token_hash
from models import api_key, user
from services.api_keys import MOST_KEYS, MOST_NETWORKS, PREFIX_LENGTH, WantedKey
from services.authority import API_KEY_START, CredentialRejected
from services.viewer import Client, Viewer
from tests.accounts import CLIENT, Person, World, world
from tests.stored import audited, everything, unchanged

EMAIL = "alice@example.com"
ANYWHERE = Client(address="203.0.113.66", request_id="request-2", locale="en")
KEY = {"name": "a program", "scopes": ["READ"]}
WANTED = WantedKey("a program", [ApiScope.READ], [], None)
CREATE = """mutation($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    apiKey { id name prefix scopes ipAllowlist createdAt lastUsedAt expiresAt } secret errors { code field message }
  }
}"""
UPDATE = """mutation($input: UpdateApiKeyInput!) {
  updateApiKey(input: $input) { apiKey { id name ipAllowlist } errors { code field } }
}"""
REVOKE = "mutation($id: ID!) { revokeApiKey(input: {id: $id}) { apiKey { id } errors { code field } } }"
LIST = "{ viewer { apiKeys { id name prefix scopes ipAllowlist lastUsedAt expiresAt } } }"


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def alice(vault: World) -> Person:
    return await vault.signed_up(EMAIL)


async def proven(vault: World, person: Person, operation: str, document: str, given: dict[str, Any]) -> dict[str, Any]:
    """The payload of a mutation that needs a proof, with one."""
    proof = await vault.proof(person, operation, given)
    payload: dict[str, Any] = (await vault.data(document, person, input={**given, "stepUpProof": proof}))[operation]
    return payload


async def creation(vault: World, person: Person, **changes: Any) -> dict[str, Any]:
    """The payload of a new key."""
    return await proven(vault, person, "createApiKey", CREATE, {**KEY, **changes})


async def created(vault: World, person: Person, **changes: Any) -> str:
    """A new key, as a program shows it."""
    payload = await creation(vault, person, **changes)
    assert payload["errors"] == [], payload
    return str(payload["secret"])


async def update(vault: World, person: Person, **given: Any) -> dict[str, Any]:
    """The payload of a change."""
    return await proven(vault, person, "updateApiKey", UPDATE, given)


async def viewer_of(vault: World, secret: str, address: str = ANYWHERE.address) -> Viewer:
    return await vault.accounts.authority.viewer_of(secret, replace(ANYWHERE, address=address))


async def refusal(vault: World, secret: str, address: str = ANYWHERE.address) -> str:
    """Why a key is not taken; empty when it is."""
    try:
        await viewer_of(vault, secret, address)
    except CredentialRejected as error:
        return error.message
    return ""


def refused(payload: dict[str, Any]) -> tuple[str, list[str] | None]:
    """Code and field of a payload with nothing but its refusal."""
    assert {name: value for name, value in payload.items() if name != "errors"} == {"apiKey": None, "secret": None}
    (error,) = payload["errors"]
    return error["code"], error["field"]


async def prefix_row(secret: str) -> api_key.ApiKeyDocument:
    row = await api_key.by_prefix(secret.split("_")[1])
    assert row is not None
    return row


async def test_a_key_is_shown_once_and_acts_for_its_owner(vault: World, alice: Person, database: Database) -> None:
    payload = await creation(vault, alice, name=" my bot ", scopes=["TRADE", "READ", "READ"])
    key, secret = payload["apiKey"], payload["secret"]
    start, prefix, private = secret.split("_", 2)
    assert (f"{start}_", prefix, len(prefix)) == (API_KEY_START, key["prefix"], PREFIX_LENGTH)
    assert len(private) >= 43, "256 random bits"
    assert key == {
        "id": key["id"],
        "name": "my bot",
        "prefix": prefix,
        "scopes": ["READ", "TRADE"],
        "ipAllowlist": [],
        "createdAt": key["createdAt"],
        "lastUsedAt": None,
        "expiresAt": None,
    }
    viewer = await viewer_of(vault, secret)
    assert (viewer.user_id, viewer.session_id) == (alice.user_id, None)
    assert viewer.scopes == {ApiScope.READ, ApiScope.TRADE}
    assert encode_id("ApiKey", viewer.api_key_id or "") == key["id"]
    assert viewer.limit_key == f"key {viewer.api_key_id}", "a budget of its own"

    listed = (await vault.data(LIST, alice))["viewer"]["apiKeys"]
    assert [each["id"] for each in listed] == [key["id"]]
    assert private not in repr(listed)
    assert private not in repr(await everything(database))
    assert (await prefix_row(secret)).secret_hash == token_hash(private)

    assert await audited(alice.user_id, AuditAction.API_KEY_CREATED) == [
        (AuditOutcome.ALLOWED, {"name": "my bot", "prefix": prefix, "scopes": ["READ", "TRADE"]})
    ]
    mail = await vault.mail("API key was created")
    assert "my bot" in mail.text
    assert private not in mail.text + mail.html


IMPOSSIBLE: list[tuple[dict[str, Any], tuple[str, list[str]]]] = [
    ({"scopes": []}, ("SCOPE_INVALID", ["scopes"])),
    ({"scopes": ["WITHDRAW"]}, ("SCOPE_INVALID", ["ipAllowlist"])),
    ({"scopes": ["READ", "TRADE", "WITHDRAW"], "ipAllowlist": []}, ("SCOPE_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["here"]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["192.0.2.1", ""]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["192.0.2.256"]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["192.0.2.1/33"]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["1"]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["example.com"]}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"ipAllowlist": ["192.0.2.1"] * (MOST_NETWORKS + 1)}, ("ADDRESS_INVALID", ["ipAllowlist"])),
    ({"name": " "}, ("NAME_INVALID", ["name"])),
    ({"name": "x" * 61}, ("NAME_INVALID", ["name"])),
    ({"name": "a\u202eb"}, ("NAME_INVALID", ["name"])),
    ({"expiresAt": "2020-01-01T00:00:00Z"}, ("UNKNOWN", ["expiresAt"])),
]


async def test_a_key_that_cannot_be_is_refused_and_not_stored(vault: World, alice: Person, database: Database) -> None:
    async with unchanged(database):
        for changes, refusal_ in IMPOSSIBLE:
            assert refused(await creation(vault, alice, **changes)) == refusal_, changes


async def test_a_key_may_not_end_before_it_begins(vault: World, alice: Person) -> None:
    now = to_datetime(vault.clock.now_ms()).isoformat()
    assert refused(await creation(vault, alice, expiresAt=now)) == ("UNKNOWN", ["expiresAt"])


ALLOW_LISTS: list[tuple[list[str], list[str], list[str]]] = [
    (["192.0.2.7"], ["192.0.2.7"], ["192.0.2.8", "2001:db8::7", "::c000:207", "unknown", "", "192.0.2.7.1"]),
    (["192.0.2.7/24"], ["192.0.2.0", "192.0.2.255"], ["192.0.3.0", "192.0.1.255"]),
    (["2001:DB8::/32"], ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::", "192.0.2.7", "::1"]),
    (["2001:db8::7"], ["2001:db8::7", "2001:0db8:0:0::0007"], ["2001:db8::8"]),
    (["::ffff:192.0.2.7"], ["192.0.2.7"], ["192.0.2.8", "2001:db8::7"]),
    (["::ffff:192.0.2.0/120"], ["192.0.2.9"], ["192.0.3.9"]),
    (["192.0.2.7", " 2001:db8::7 "], ["192.0.2.7", "2001:db8::7"], ["192.0.2.8"]),
    ([], ["192.0.2.7", "2001:db8::7", "unknown"], []),
]
"""A list, addresses that are on it, and some that are not."""


async def test_a_key_does_only_from_its_addresses(vault: World, alice: Person) -> None:
    for allowlist, allowed, others in ALLOW_LISTS:
        secret = await created(vault, alice, ipAllowlist=allowlist)
        for address in allowed:
            assert await refusal(vault, secret, address) == "", (allowlist, address)
        for address in others:
            why = await refusal(vault, secret, address)
            assert why == "the API key may not be used from this address", (allowlist, address)


async def test_an_allow_list_is_kept_in_one_form(vault: World, alice: Person) -> None:
    payload = await creation(
        vault, alice, ipAllowlist=["192.0.2.7", "192.0.2.7/32", "2001:DB8:0::1/32", "::ffff:192.0.2.7"]
    )
    assert payload["apiKey"]["ipAllowlist"] == ["192.0.2.7/32", "2001:db8::/32"]


async def test_a_key_that_may_withdraw_never_loses_its_allow_list(
    vault: World, alice: Person, database: Database
) -> None:
    scopes = ["READ", "WITHDRAW"]
    payload = await creation(vault, alice, scopes=scopes, ipAllowlist=["192.0.2.0/24"])
    assert payload["apiKey"]["scopes"] == scopes
    async with unchanged(database):
        assert (await update(vault, alice, id=payload["apiKey"]["id"], ipAllowlist=[]))["errors"] == [
            {"code": "SCOPE_INVALID", "field": ["ipAllowlist"]}
        ]
    changed = await update(vault, alice, id=payload["apiKey"]["id"], name="other", ipAllowlist=["198.51.100.0/24"])
    assert changed["apiKey"] == {"id": payload["apiKey"]["id"], "name": "other", "ipAllowlist": ["198.51.100.0/24"]}


async def test_a_key_ends_to_the_millisecond(vault: World, alice: Person) -> None:
    end = to_datetime(vault.clock.now_ms() + 60_000).isoformat()
    secret = await created(vault, alice, expiresAt=end)
    viewer = await viewer_of(vault, secret)
    vault.clock.advance(59.999)
    assert await refusal(vault, secret) == ""
    assert await vault.accounts.authority.current(viewer)
    vault.clock.advance(0.001)
    assert await refusal(vault, secret) == "the API key has expired"
    with pytest.raises(CredentialRejected, match="API key has expired"):
        await vault.accounts.authority.current(viewer)
    assert (await vault.data(LIST, alice))["viewer"]["apiKeys"] == []


async def test_what_is_nearly_a_key_is_none(vault: World, alice: Person) -> None:
    secret, other = await created(vault, alice), await created(vault, alice)
    prefix, private = secret.removeprefix(API_KEY_START).split("_", 1)
    nearly = [
        f"cvk_{prefix}_{random_token()}",
        f"cvk_{prefix}_{private[:-1]}",
        f"cvk_{prefix}_{private}x",
        f"cvk_{prefix}_",
        f"cvk_{prefix}",
        f"cvk_{prefix[:-1]}_{private}",
        f"cvk_{prefix.upper()}_{private}",
        f"cvk_{other.split('_')[1]}_{private}",
        f"cvk_aaaaaaaaaaaa_{private}",
        f"cvk_{prefix}_{token_hash(private)}",
        f"cvk_{private}_{prefix}",
        f"cvk__{private}",
        "cvk_",
        "cvk_äääääääääääö_ü",
        "cvk_" + "a" * 100_000,
    ]
    for text in nearly:
        assert await refusal(vault, text) == "there is no such API key", text
    assert await refusal(vault, secret) == ""


async def test_when_a_key_was_used_is_noted(vault: World, alice: Person) -> None:
    secret = await created(vault, alice)
    await refusal(vault, secret + "x")
    await vault.accounts.last_use.flush()
    assert (await prefix_row(secret)).last_used_ms is None, "a wrong secret is no use"
    vault.clock.advance(5)
    await viewer_of(vault, secret)
    await vault.accounts.last_use.flush()
    assert (await prefix_row(secret)).last_used_ms == vault.clock.now_ms()
    (listed,) = (await vault.data(LIST, alice))["viewer"]["apiKeys"]
    assert listed["lastUsedAt"] is not None


async def test_an_unproven_account_has_no_keys(vault: World, database: Database) -> None:
    bob = await vault.signed_up("bob@example.com", verified=False)
    async with unchanged(database):
        for given in (KEY, {**KEY, "stepUpProof": await vault.proof(bob, "createApiKey", KEY)}):
            assert refused((await vault.data(CREATE, bob, input=given))["createApiKey"]) == ("EMAIL_NOT_VERIFIED", None)


async def test_a_key_needs_a_proof(vault: World, alice: Person, database: Database) -> None:
    async with unchanged(database):
        assert refused((await vault.data(CREATE, alice, input=KEY))["createApiKey"])[0] == "STEP_UP_REQUIRED"


async def test_an_account_has_at_most_so_many_keys(vault: World, alice: Person, database: Database) -> None:
    for _ in range(MOST_KEYS - 1):
        await vault.accounts.api_keys.create(alice.viewer, WANTED, CLIENT)
    last = await creation(vault, alice)
    assert last["errors"] == []
    async with unchanged(database):
        assert refused(await creation(vault, alice)) == ("SCOPE_INVALID", None)
    await vault.data(REVOKE, alice, id=last["apiKey"]["id"])
    assert await created(vault, alice)


async def test_nobody_touches_keys_of_others(vault: World, alice: Person, database: Database) -> None:
    bob = await vault.signed_up("bob@example.com")
    payload = await creation(vault, alice)
    gone = await creation(vault, bob)
    await vault.data(REVOKE, bob, id=gone["apiKey"]["id"])
    await vault.accounts.last_use.flush()
    for id_ in (payload["apiKey"]["id"], gone["apiKey"]["id"], encode_id("ApiKey", "nothing"), "", alice.user_id):
        async with unchanged(database):
            refusals = [
                (await vault.data(REVOKE, bob, id=id_))["revokeApiKey"],
                await update(vault, bob, id=id_, name="mine"),
                await update(vault, bob, id=id_, ipAllowlist=["203.0.113.0/24"]),
            ]
        assert refusals == [{"apiKey": None, "errors": [{"code": "UNKNOWN", "field": ["id"]}]}] * 3
    assert await refusal(vault, payload["secret"]) == ""


async def test_a_revoked_key_is_over_and_listed_no_more(vault: World, alice: Person) -> None:
    payload, other = await creation(vault, alice), await created(vault, alice)
    done = (await vault.data(REVOKE, alice, id=payload["apiKey"]["id"]))["revokeApiKey"]
    assert done == {"apiKey": {"id": payload["apiKey"]["id"]}, "errors": []}
    assert await refusal(vault, payload["secret"]) == "the API key has ended"
    assert await refusal(vault, other) == ""
    assert [each["prefix"] for each in (await vault.data(LIST, alice))["viewer"]["apiKeys"]] == [other.split("_")[1]]
    ((outcome, detail),) = await audited(alice.user_id, AuditAction.API_KEY_REVOKED)
    assert (outcome, detail["prefix"]) == (AuditOutcome.ALLOWED, payload["apiKey"]["prefix"])


@pytest.mark.parametrize("what", ["frozen", "suspended", "deleted"])
async def test_keys_end_with_what_their_owner_may_do(vault: World, alice: Person, what: str) -> None:
    secrets = [await created(vault, alice) for _ in range(2)]
    bystander = await created(vault, await vault.signed_up("bob@example.com"))
    match what:
        case "frozen":
            await vault.accounts.freezes.by_owner(alice.viewer, CLIENT)
        case "suspended":
            await vault.accounts.freezes.by_operator(
                alice.viewer, alice.user_id, UserStatus.SUSPENDED, "a test", CLIENT
            )
        case _:
            await vault.accounts.accounts.delete(alice.viewer, CLIENT)
    for secret in secrets:
        assert await refusal(vault, secret) == "the API key has ended"
        assert (await prefix_row(secret)).ended_ms == vault.clock.now_ms()
    assert await refusal(vault, bystander) == ""


async def test_a_key_does_not_outlive_a_freeze_that_happens_while_it_is_made(vault: World, alice: Person) -> None:
    """The freeze has ended all keys just before this one is stored, on the word of a viewer who was not frozen yet."""
    now_ms = vault.clock.now_ms()
    await user.set_status(alice.user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
    with pytest.raises(Exception, match="frozen"):
        await vault.accounts.api_keys.create(alice.viewer, WANTED, CLIENT)
    assert await api_key.of_user(alice.user_id) == []
    assert await audited(alice.user_id, AuditAction.API_KEY_CREATED) == []
