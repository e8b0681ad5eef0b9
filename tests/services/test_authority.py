"""From a credential to a viewer, and whether a viewer's authority still lasts."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.account_vocabulary import ApiScope, Role, UserStatus
from core.database import Database
from core.refusals import AuthRefused
from models import session, user
from services.api_keys import WantedKey
from services.authority import NEVER_MS, CredentialRejected
from services.viewer import Viewer
from tests.accounts import CLIENT, Person, World, world
from tests.models.query_guard import RECORDER

EMAIL = "alice@example.com"
WANTED = WantedKey("a program", [ApiScope.READ], ["192.0.2.0/24"], None)


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


@pytest.fixture
async def alice(vault: World) -> Person:
    return await vault.signed_up(EMAIL)


async def viewer_of(vault: World, credential: str) -> Viewer:
    return await vault.accounts.authority.viewer_of(credential, CLIENT)


async def refusal(vault: World, credential: str) -> str:
    """Why a credential is not taken; empty when it is."""
    try:
        await viewer_of(vault, credential)
    except CredentialRejected as error:
        return error.message
    return ""


async def over(vault: World, viewer: Viewer) -> str:
    """Why a viewer's authority has ended; empty while it lasts."""
    try:
        await vault.accounts.authority.current(viewer)
    except CredentialRejected as error:
        return error.message
    return ""


async def key_of(vault: World, person: Person, wanted: WantedKey = WANTED) -> str:
    _, secret = await vault.accounts.api_keys.create(person.viewer, wanted, CLIENT)
    return secret


async def test_an_access_token_is_its_session(vault: World, alice: Person) -> None:
    assert await viewer_of(vault, alice.access) == Viewer(
        user_id=alice.user_id,
        role=Role.USER,
        status=UserStatus.ACTIVE,
        email_verified=True,
        locale="en",
        expires_ms=vault.clock.now_ms() + 900_000,
        session_id=alice.viewer.session_id,
        api_key_id=None,
        scopes=frozenset(ApiScope),
    )
    assert alice.viewer.limit_key == f"account {alice.user_id}"


async def test_an_api_key_is_no_session_and_has_its_scopes_alone(vault: World, alice: Person) -> None:
    viewer = await viewer_of(vault, await key_of(vault, alice))
    assert (viewer.user_id, viewer.session_id) == (alice.user_id, None)
    assert viewer.scopes == {ApiScope.READ}
    assert viewer.api_key_id is not None
    assert viewer.expires_ms == NEVER_MS
    assert viewer.limit_key != alice.viewer.limit_key
    ending = replace(WANTED, expires_ms=vault.clock.now_ms() + 5_000)
    assert (await viewer_of(vault, await key_of(vault, alice, ending))).expires_ms == ending.expires_ms


async def test_what_is_neither_is_refused_without_a_look_into_the_database(
    vault: World, alice: Person, database: Database
) -> None:
    keyed = [f"cvk_{text}_x" for text in ("", "a" * 11, "a" * 13, '{"$ne": ""}')]
    with RECORDER.recording(database.handle.name) as queries:
        for text in keyed:
            assert await refusal(vault, text) == "there is no such API key"
        for text in ("", "x", alice.refresh, alice.user_id, f"Bearer {alice.access}", alice.access[:-2], "CVK_a_b"):
            assert await refusal(vault, text) in (
                "this is no access token",
                "the access token was not signed here",
                "the access token was not signed here, or was changed",
            ), text
    assert queries == {}


async def test_a_session_that_has_ended_is_over_at_once(vault: World, alice: Person) -> None:
    other = await vault.logged_in(EMAIL)
    await vault.accounts.sessions.log_out(alice.viewer, CLIENT, everywhere=False)
    assert await refusal(vault, alice.access) == "the session has ended"
    assert await over(vault, alice.viewer) == "the session has ended"
    assert await refusal(vault, other.access) == ""
    assert await over(vault, other.viewer) == ""


async def test_a_token_that_has_expired_is_over(vault: World, alice: Person) -> None:
    vault.clock.advance(899.999)
    assert await refusal(vault, alice.access) == ""
    assert await over(vault, alice.viewer) == ""
    vault.clock.advance(0.001)
    assert await refusal(vault, alice.access) == "the access token has expired"
    assert await over(vault, alice.viewer) == "the access token has expired"


async def test_a_viewer_is_as_the_account_is_now(vault: World, alice: Person) -> None:
    bob = await vault.signed_up("bob@example.com", verified=False)
    assert not bob.viewer.email_verified
    now_ms = vault.clock.now_ms()
    await user.set_role(bob.user_id, Role.SUPPORT, now_ms)
    await user.set_profile(bob.user_id, {"locale": "de"}, now_ms)
    await user.set_email_verified(bob.user_id, "bob@example.com", now_ms)
    await user.set_status(bob.user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
    await vault.accounts.authority._states.changed(bob.user_id)
    wanted = replace(bob.viewer, role=Role.SUPPORT, status=UserStatus.FROZEN, email_verified=True, locale="de")
    assert await vault.accounts.authority.current(bob.viewer) == wanted
    assert await viewer_of(vault, bob.access) == wanted
    assert (await viewer_of(vault, alice.access)) == alice.viewer, "nobody else has changed"


async def test_nothing_signs_for_a_deleted_account(vault: World, alice: Person) -> None:
    """Even where its sessions and keys were not ended, as when the process died in between."""
    key = await key_of(vault, alice)
    key_viewer = await viewer_of(vault, key)
    await user.erase(alice.user_id, vault.clock.now_ms())
    await vault.accounts.authority._states.changed(alice.user_id)
    for credential in (alice.access, key):
        assert await refusal(vault, credential) == "the account is deleted"
    for viewer in (alice.viewer, key_viewer):
        assert await over(vault, viewer) == "the account is deleted"


async def test_nothing_signs_for_an_account_that_never_was(vault: World) -> None:
    token, _ = vault.accounts.tokens.issue("nobody", "no session", not_after_ms=2**52)
    assert await refusal(vault, token) == "the account is deleted"


async def test_when_a_session_was_used_is_noted_and_a_refusal_is_no_use(vault: World, alice: Person) -> None:
    await vault.accounts.last_use.flush()
    vault.clock.advance(60)
    await refusal(vault, alice.access + "x")
    await vault.accounts.last_use.flush()
    before = await session.by_id(alice.viewer.session_id or "")
    await viewer_of(vault, alice.access)
    await vault.accounts.last_use.flush()
    after = await session.by_id(alice.viewer.session_id or "")
    assert before is not None
    assert after is not None
    assert after.last_seen_ms == vault.clock.now_ms() == before.last_seen_ms + 60_000


async def test_an_end_that_is_known_counts_more_than_a_key_that_was_read_before(vault: World, alice: Person) -> None:
    """The key was read from the database just before it ended, and is kept just after."""
    authority = vault.accounts.authority
    key = await key_of(vault, alice)
    viewer = await viewer_of(vault, key)
    assert viewer.api_key_id is not None
    authority._keys._end(viewer.api_key_id)
    assert await refusal(vault, key) == "the API key has ended"
    assert await over(vault, viewer) == "the API key has ended"


async def test_refusals_are_translated(vault: World, alice: Person) -> None:
    with pytest.raises(CredentialRejected) as refused:
        await viewer_of(vault, "x")
    assert refused.value.message_in("de") != refused.value.message_in("en") == refused.value.message
    assert refused.value.code == "UNAUTHENTICATED"
    assert not isinstance(refused.value, AuthRefused), "it is an error of the request, not an answer as data"
