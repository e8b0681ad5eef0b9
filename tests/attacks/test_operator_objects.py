"""What a database, a program or a reader might take for more than text: refused in every place of the schema, and stored nowhere."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.database import Database
from tests.accounts import PASSWORD, REAUTHENTICATE, Person, World, world
from tests.attacks import surface
from tests.attacks.door import door_of
from tests.attacks.people import EMAIL, alice_in, answer, as_operator, codes_of
from tests.attacks.surface import Place
from tests.stored import Rows, everything, unchanged

TEXTS = [place for place in surface.places("String", "ID", "URL", "DateTime") if place.site.is_about_people]
NO_TEXTS: dict[str, object] = {
    "not equal": {"$ne": ""},
    "greater": {"$gt": ""},
    "any of": {"$in": ["", "a"]},
    "program": {"$where": "sleep(5000) || true"},
    "pattern": {"$regex": ".*"},
    "nested": {"a": {"b": [{"$ne": None}]}},
    "list": [["a", "b"]],
    "fraction": 1.5,
    "truth": True,
}
STRINGS = {
    "nothing": "",
    "zero byte": "a\0b",
    "too long": "x" * 100_000,
    "operator in JSON": '{"$ne": ""}',
    "program": "'; return true; //",
    "right to left": "\u202eecila",
    "invisible": "\ufeffal\u200bice",
    "header": "a\r\nBcc: mallory@example.com",
    "operator": "$where",
    "decimal separator of a message": "{seconds} {0} %s %n",
}
MAY_BE_ANYTHING = {
    "mutation beginPasskeyLogIn(input.email)",  # not used
    "mutation beginPasskeyRegistration(input.name)",  # not used: the name is given when it is finished
    "mutation cancelAllOrders(input.symbols)",  # no market of this name has orders
    "query contractRead(input.contract)",  # no chain has a node
    "query contractRead(input.function)",
    "query order(by.clientOrderId)",  # finds nothing
    "query order(by.id)",
    "query withdrawal(by.clientWithdrawalId)",
    "query viewer.wallets.balances.items.value(quote)",  # no balance is known
    "query viewer.wallets.balances.totalValue(quote)",
    "query viewer.depositAddresses(chain)",
    "query withdrawal(by.id)",
    "query orderGroup(by.clientGroupId)",
    "query orderGroup(by.id)",
    "query admin.users(after)",  # beside `search`, not used
    "query admin.users(search)",  # finds nobody
    "query passwordResetToken(token)",  # says that it is not valid
}
"""Places that refuse nothing, because nothing comes of it."""
FREE = {
    "mutation changePassword(input.password)",
    "mutation claimTestFunds(input.clientClaimId)",
    "mutation createApiKey(input.name)",
    "mutation logIn(input.deviceName)",
    "mutation amendOrder(input.by.clientOrderId)",  # of the orders that are placed below under these keys
    "mutation cancelOrder(input.by.clientOrderId)",
    "mutation placeOrder(input.clientOrderId)",  # keys, in printable ASCII; those of groups are used by then
    "mutation placeOrders(input.orders.clientOrderId)",
    "mutation setMarketStatus(input.reason)",
    "mutation signUp(input.displayName)",
    "mutation signUp(input.locale)",  # nothing: as the browser asks
    "mutation signUp(input.password)",
    "mutation updateProfile(input.antiPhishingCode)",
    "mutation updateProfile(input.displayName)",
}
"""Places where people write what they like, within limits."""
HIDDEN = ("\0", "\u202e", "\ufeff", "\u200b", "\r", "\n")
JSONS: dict[str, object] = {
    **NO_TEXTS,
    "null": None,
    "text": "$where",
    "empty": {},
    "deep": orjson.loads(b'{"a":' * 200 + b"1" + b"}" * 200),
    "wide": [{"$ne": 1}] * 5_000,
    "large number": 1e308,
    "credential": {
        "id": {"$ne": ""},
        "rawId": {"$gt": ""},
        "type": "public-key",
        "response": {"clientDataJSON": {"$ne": ""}, "authenticatorData": [], "signature": None, "userHandle": 1},
    },
    "credential of operators in text": {
        "id": "$where",
        "rawId": "$where",
        "type": "public-key",
        "response": {"clientDataJSON": "e30", "authenticatorData": "", "signature": "", "userHandle": ""},
    },
    "challenge": {"response": {"clientDataJSON": "eyJjaGFsbGVuZ2UiOnsiJG5lIjoiIn19"}},
}
WHAT_HAPPENED = ("audit_events", "audit_heads", "challenges", "log_in_locks", "mails")
"""What a refusal may leave behind: a wrong password is counted, noted, and at last told to the owner.
Beside it, a session knows that its owner proved to be there."""
UNTIL_UNLOCKED = 1_000.0


async def test_where_text_belongs_nothing_else_is_taken(database: Database) -> None:
    async with world() as here:
        person = await as_operator(here, (await alice_in(here)).person)
        async with unchanged(database, but=()):
            for place in TEXTS:
                for name, value in NO_TEXTS.items():
                    document, variables = surface.call(place.site, place=place, value=value)
                    body = await here.ask(document, person, **variables)
                    assert codes_of(body) == ["BAD_USER_INPUT"], f"{place}, {name}: {body}"
                    assert "data" not in body


async def test_no_text_does_harm(database: Database) -> None:
    """Where it is not free, nothing comes of it; where it is, what is stored can be seen."""
    taken: set[str] = set()
    silent: set[str] = set()
    async with world() as here:
        person = await as_operator(here, (await alice_in(here)).person)
        users = database.handle["users"]
        herself = await users.find_one({"_id": person.user_id})
        assert herself is not None
        for place in (place for place in TEXTS if place.kind in {"String", "ID"}):
            here.clock.advance(UNTIL_UNLOCKED)
            before = await _stored(database, place)
            answers = {name: await _answered(here, person, place, value) for name, value in STRINGS.items()}
            told = f"{place}: {answers}"
            assert all("INTERNAL" not in codes_of(body) for body in answers.values()), told
            refused = all(codes_of(body) for body in answers.values())
            if refused or str(place) in MAY_BE_ANYTHING:
                assert await _stored(database, place) == before, told
                silent |= set() if refused else {str(place)}
            else:
                taken.add(str(place))
                await users.replace_one({"_id": person.user_id}, herself)
        assert taken == FREE
        assert silent == MAY_BE_ANYTHING
        rows = await everything(database)
        assert [row for found in rows.values() for row in found if _hides_something(row)] == []


async def _stored(database: Database, place: Place) -> Rows:
    passing = (*WHAT_HAPPENED, "sessions") if place.site.needs_step_up else WHAT_HAPPENED
    return await everything(database, but=passing)


async def _answered(here: World, person: Person, place: Place, value: str) -> dict[str, Any]:
    document, variables = surface.call(place.site, place=place, value=value, full=True, named={"email": EMAIL})
    if place.site.needs_step_up and place.name not in {"stepUpProof", "current"}:
        asked = {"operation": place.site.name, "parameters": variables["input"], "proof": {"password": PASSWORD}}
        proven = await here.ask(REAUTHENTICATE, person, **asked)
        proof = proven["data"]["reauthenticate"]["stepUpProof"]
        variables = {"input": {**variables["input"], "stepUpProof": proof}}
    return await answer(here, person, document, variables)


def _hides_something(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_hides_something(each) for each in (*value, *value.values()))
    if isinstance(value, list | tuple):
        return any(map(_hides_something, value))
    return isinstance(value, str) and (any(map(value.__contains__, HIDDEN)) or "x" * 1_100 in value)


async def test_json_is_read_with_care(database: Database) -> None:
    async with world() as here:
        person = await as_operator(here, (await alice_in(here)).person)
        places = [place for place in surface.places("JSON") if place.site.operation == "mutation"]
        assert len(places) == 7  # four of passkeys, the parameters of a step-up, an ABI and its arguments
        async with unchanged(database, but=WHAT_HAPPENED):
            for place in places:
                for name, value in JSONS.items():
                    document, variables = surface.call(place.site, place=place, value=value)
                    body = await here.ask(document, person, **variables)
                    assert codes_of(body), f"{place}, {name}: {body}"
                    assert "INTERNAL" not in codes_of(body), f"{place}, {name}: {body}"


PARAMETERS = {
    "operator": {"name": {"$ne": ""}, "scopes": ["READ"]},
    "operator as a name": {"$where": "1", "name": "a", "scopes": ["READ"]},
    "scopes": {"name": "a", "scopes": {"$in": ["READ"]}},
    "deep": {"name": "a", "scopes": orjson.loads(b"[" * 200 + b"]" * 200)},
    "number": {"name": 1, "scopes": ["READ"]},
    "two proofs": {"name": "a", "scopes": ["READ"], "stepUpProof": {"$ne": ""}, "step_up_proof": "x"},
}


async def test_no_proof_is_given_for_what_the_mutation_would_not_take(database: Database) -> None:
    async with world() as here:
        person = (await alice_in(here)).person
        async with unchanged(database, but=()):
            for name, parameters in PARAMETERS.items():
                body = await here.ask(
                    REAUTHENTICATE,
                    person,
                    operation="createApiKey",
                    parameters=parameters,
                    proof={"password": PASSWORD},
                )
                assert codes_of(body) == ["BAD_USER_INPUT"], f"{name}: {body}"


QUERY = (
    b'{"query":"mutation($e: String!, $p: String!) { logIn(input: {email: $e, password: $p}) { errors { code } } }",'
)
BYTES = {
    "half a character": QUERY + rb'"variables":{"e":"\ud800@example.com","p":"x"}}',
    "half a character in the document": rb'{"query":"{ node(id: \"\ud800\") { id } }"}',
    "half a character in a literal": rb'{"query":"{ node(id: \"\\uD800\") { id } }"}',
    "no UTF-8": QUERY + b'"variables":{"e":"\xff\xfe@example.com","p":"x"}}',
    "overlong UTF-8": QUERY + b'"variables":{"e":"\xc0\x80@example.com","p":"x"}}',
    "half a character in UTF-8": QUERY + b'"variables":{"e":"\xed\xa0\x80@example.com","p":"x"}}',
    "a zero byte": QUERY + b'"variables":{"e":"a\x00@example.com","p":"x"}}',
    "an escaped zero byte": QUERY + rb'"variables":{"e":"a\u0000@example.com","p":"x"}}',
    "a long text": QUERY + b'"variables":{"e":"' + b"x" * 100_000 + b'","p":"' + b"y" * 100_000 + b'"}}',
    "a longer text": QUERY + b'"variables":{"e":"' + b"x" * 300_000 + b'","p":"x"}}',
    "the same name twice": QUERY + b'"variables":{"e":"a@example.com","e":{"$ne":""},"p":"x"}}',
    "deep JSON": QUERY + b'"variables":{"e":' + b"[" * 5_000 + b"]" * 5_000 + b',"p":"x"}}',
    "an endless number": QUERY + b'"variables":{"e":' + b"9" * 100_000 + b',"p":"x"}}',
    "no number": QUERY + b'"variables":{"e":NaN,"p":"x"}}',
}


async def test_bytes_over_http_are_refused_by_name(database: Database) -> None:
    async with world() as here, door_of(here) as door, unchanged(database, but=("log_in_locks",)):
        for name, body in BYTES.items():
            answer = await door.send(body)
            assert answer.status_code in {200, 400, 413}, name
            assert codes_of(answer.json()), name
            assert "INTERNAL" not in codes_of(answer.json()), name
