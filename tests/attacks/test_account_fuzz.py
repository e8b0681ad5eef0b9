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
from tests.attacks.people import EMAIL, MARK, Alice, alice_in, codes_of
from tests.attacks.surface import Site
from tests.evm import OWNER
from tests.models import query_guard

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
    *("ethereum", "polygon", "bitcoin", "solana", "ETH", "USDC", "f(uint256)", "0xdead", "0.1"),
    *(
        OWNER,
        OWNER.lower(),
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    ),
    *("createApiKey", "deleteAccount", "192.0.2.0/24", "::/0", "\0", "\u202e", "ﬁ", "İ", "\U0001f980" * 70, "x" * 300),
)
WALLET_TYPES = ("Wallet", "WithdrawalAddress", "Withdrawal", "UnclaimedDeposit", "Swap")
OWNED = ("users", "wallets", "withdrawal_addresses", "withdrawals", "passkeys", "identities", "api_keys")
"""Nothing of what stands in them changes when nobody is signed in, and nothing of other people's ever."""
texts = st.sampled_from(WORDS) | st.text(max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
SCALARS: dict[str, SearchStrategy[Any]] = {
    "Boolean": st.booleans(),
    "DateTime": st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    "Decimal": st.integers(-(10**20), 10**20).map(str) | st.sampled_from(("0.5", "1e400", "NaN", "9" * 40)),
    "Int": st.integers(-(2**31), 2**31 - 1),
    "Long": st.integers(-(2**53) + 1, 2**53 - 1),
    "ID": st.builds(
        encode_id,
        st.sampled_from(("User", "Session", "ApiKey", "Passkey", "Order", "OrderGroup", *WALLET_TYPES, "")),
        texts | st.sampled_from((f"{MARK}-wallet", f"{MARK}-passkey")),
    )
    | texts,
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
        if surface.is_one_of(kind):
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
        await here.signed_up("mallory@example.com")
        yield here, await alice_in(here)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls, signed_in=st.booleans(), proven=st.booleans())
async def test_every_input_is_answered(
    database: Database, home: tuple[World, Alice], call: tuple[str, Any], signed_in: bool, proven: bool
) -> None:
    here, alice = home
    name, value = call
    users, key = database.handle["users"], {"_id": alice.person.user_id}
    stood = await _standing(database)
    before = await users.find_one(key)
    assert before is not None
    here.clock.advance(1_000)  # a lock that was earned before is over
    body = await _asked(here, alice if signed_in else None, MUTATIONS[name], value, proven=proven)
    assert "INTERNAL" not in codes_of(body), f"{name}: {body}"
    assert body.get("data") is not None or codes_of(body), f"{name}: {body}"
    after = await users.find_one(key)
    assert after is not None
    standing = await _standing(database)
    changed = [row for row in stood if row not in standing]
    assert not changed or (signed_in and all(_is_hers(row, alice) for row in changed)), f"{name}: {changed}"
    assert after["role"] == "USER"
    await users.replace_one(key, before)


async def _standing(database: Database) -> list[dict[str, Any]]:
    with query_guard.RECORDER.recording(database.handle.name):
        return [row for name in OWNED for row in await database.handle[name].find({}).to_list()]


def _is_hers(row: Mapping[str, Any], alice: Alice) -> bool:
    return alice.person.user_id in (row["_id"], row.get("user_id"))


async def _asked(here: World, alice: Alice | None, site: Site, value: Any, *, proven: bool) -> Mapping[str, Any]:
    document, _ = surface.call(site, full=True)
    person = alice.person if alice is not None else None
    if proven and person is not None and site.needs_step_up and isinstance(value, dict):
        asked = {"operation": site.name, "parameters": value, "proof": {"password": PASSWORD}}
        payload = ((await here.ask(REAUTHENTICATE, person, **asked)).get("data") or {}).get("reauthenticate") or {}
        value = {**value, "stepUpProof": payload.get("stepUpProof")}
    return await here.ask(document, person, input=value)
