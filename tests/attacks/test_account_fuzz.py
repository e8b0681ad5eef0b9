"""Inputs nobody would write, by the hundred, for every mutation: refused or obeyed, never an internal error, and the account lives on."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLNullableInputType,
    is_required_input_field,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from core.database import Database
from core.ids import encode_id
from tests.accounts import PASSWORD, REAUTHENTICATE, World, world
from tests.attacks import surface
from tests.attacks.people import EMAIL, Alice, alice_in, codes_of
from tests.attacks.surface import Site

MUTATIONS = {site.name: site for site in surface.sites() if site.operation == "mutation"}
WORDS = (
    *(
        "",
        " ",
        "a name",
        EMAIL,
        "mallory@example.com",
        PASSWORD,
        "another fine day",
        "123456",
        "en",
        "de",
        "BTC",
        "github",
    ),
    *("createApiKey", "deleteAccount", "192.0.2.0/24", "::/0", "\0", "\u202e", "ﬁ", "İ", "\U0001f980" * 70, "x" * 300),
)
texts = st.sampled_from(WORDS) | st.text(max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SCALARS: dict[str, SearchStrategy[Any]] = {
    "Boolean": st.booleans(),
    "DateTime": st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    "Decimal": st.decimals(-(10**6), 10**6, places=9).map(lambda number: format(number, "f")),
    "ID": st.builds(encode_id, st.sampled_from(("User", "Session", "ApiKey", "Passkey", "")), texts) | texts,
    "JSON": json_values,
    "String": texts,
    "URL": st.sampled_from(("https://app.vault.example/back", "http://[::1]:1/", "https://mallory.example")),
}
"""A scalar that mutations come to take is added here."""


def values_of(kind: GraphQLInputType) -> SearchStrategy[Any]:
    """Values that the schema takes for this type."""
    if isinstance(kind, GraphQLNonNull):
        return _present(kind.of_type)
    return st.none() | _present(kind)


def _present(kind: GraphQLNullableInputType) -> SearchStrategy[Any]:
    if isinstance(kind, GraphQLList):
        return st.lists(values_of(kind.of_type), max_size=3)
    if isinstance(kind, GraphQLEnumType):
        return st.sampled_from(list(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        fields = {name: values_of(each.type) for name, each in kind.fields.items()}
        if kind.is_one_of:
            return st.one_of(*(st.fixed_dictionaries({name: each}) for name, each in fields.items()))
        required = {name: fields.pop(name) for name, each in kind.fields.items() if is_required_input_field(each)}
        return st.fixed_dictionaries(required, optional=fields)
    return SCALARS[kind.name]


calls = st.sampled_from(sorted(MUTATIONS)).flatmap(
    lambda name: st.tuples(st.just(name), values_of(MUTATIONS[name].field.args["input"].type))
)


@pytest.fixture
async def home(database: Database) -> AsyncIterator[tuple[World, Alice]]:
    async with world() as here:
        yield here, await alice_in(here)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls, signed_in=st.booleans(), proven=st.booleans())
async def test_every_input_is_answered(
    database: Database, home: tuple[World, Alice], call: tuple[str, Any], signed_in: bool, proven: bool
) -> None:
    here, alice = home
    name, value = call
    users, key = database.handle["users"], {"_id": alice.person.user_id}
    before = await users.find_one(key)
    assert before is not None
    here.clock.advance(1_000)  # a lock that was earned before is over
    body = await _asked(here, alice if signed_in else None, MUTATIONS[name], value, proven=proven)
    assert "INTERNAL" not in codes_of(body), f"{name}: {body}"
    assert body.get("data") is not None or codes_of(body), f"{name}: {body}"
    after = await users.find_one(key)
    assert after is not None
    if not signed_in:
        assert after == before
    assert after["role"] == "USER"
    await users.replace_one(key, before)


async def _asked(here: World, alice: Alice | None, site: Site, value: Any, *, proven: bool) -> Mapping[str, Any]:
    document, _ = surface.call(site, full=True)
    person = alice.person if alice is not None else None
    if proven and person is not None and site.needs_step_up and isinstance(value, dict):
        asked = {"operation": site.name, "parameters": value, "proof": {"password": PASSWORD}}
        payload = ((await here.ask(REAUTHENTICATE, person, **asked)).get("data") or {}).get("reauthenticate") or {}
        value = {**value, "stepUpProof": payload.get("stepUpProof")}
    return await here.ask(document, person, input=value)
