"""Somebody else's ids, in every place of the schema that takes one: nothing of theirs is shown, and nothing of theirs changes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from core.database import Database
from core.ids import decode_id
from tests.accounts import Person, World, world
from tests.attacks import surface
from tests.attacks.people import Alice, alice_in, answer, as_operator, as_program, codes_of, stored_about
from tests.attacks.surface import Place

APART = {
    *("assignDeposit", "broadcastTransaction", "confirmWithdrawal", "prepareSwap", "walletActivity"),
    "withdrawalPreview",
}
"""Who has the token of the mail may confirm, whoever that is, and the id only narrows it down. A preview answers what a withdrawal would cost, and refuses a
foreign address among its `errors`. Both in tests/graph/test_withdrawals.py. Of a broadcast the id says what was prepared; tests/graph/test_transfers.py.
What moves from and to a wallet is told by a chain alone; tests/graph/test_wallet_activity.py. A swap is prepared with a chain alone, and a quote of somebody else is as none; tests/graph/test_swap_journey.py.
An operator assigns what is nobody's to somebody: two ids that must go together; tests/graph/test_deposits_solana.py. Nothing of hers is shown or changed by them either, and but for the preview's costs
nothing is told."""
ALL_IDS = surface.places("ID")
IDS = [place for place in ALL_IDS if place.site.name not in APART]
OWNERS_RULE = {
    "UNKNOWN",
    "NOT_FOUND",
    "FORBIDDEN",
    "BAD_USER_INPUT",
    "UNKNOWN_ORDER",
    "UNKNOWN_WALLET",
    "UNKNOWN_WITHDRAWAL",
    "ADDRESS_NOT_ACTIVE",
}
"""What may be said to somebody who is signed in, has proven to be there, and shows an id that is not theirs."""


OTHERWISE: Mapping[str, frozenset[str]] = {
    "broadcastTransaction": frozenset({"PROVIDER_UNAVAILABLE"}),
    "confirmWithdrawal": frozenset({"INVALID_INPUT"}),
    "prepareSwap": frozenset({"QUOTE_EXPIRED"}),
    "withdrawalPreview": frozenset({"INSUFFICIENT_FUNDS"}),
}
"""What else those say that stand apart."""


@pytest.mark.parametrize("place", ALL_IDS, ids=str)
async def test_nobody_sees_or_changes_what_is_not_theirs(database: Database, place: Place) -> None:
    """And the same call does something for whom it is: otherwise the refusals would prove nothing."""
    async with world() as here:
        alice = await alice_in(here)
        mallory = await here.signed_up("mallory@example.com")
        callers = {
            "somebody signed in": (mallory, OWNERS_RULE),
            "an API key": (await as_program(here, mallory), OWNERS_RULE),
            "a stranger": (None, OWNERS_RULE | {"UNAUTHENTICATED"}),
        }
        before = await stored_about(database, alice.person.user_id)
        for name, (person, allowed) in callers.items():
            for kind, id_ in alice.ids.items():
                body = await _called(here, person, place, id_)
                told = f"{name} with the id of her {kind}: {body}"
                assert not alice.is_shown_in(orjson.dumps(body).decode()), told
                assert set(codes_of(body)) <= allowed | OTHERWISE.get(place.site.name, frozenset()), told
                assert place.site.name == "withdrawalPreview" or _gives_nothing(body, place), told
        assert await stored_about(database, alice.person.user_id) == before
        if place in IDS:
            bob = await here.signed_up("bob@example.com") if _is_for_operators(place) else None
            await _does_something(here, alice.person if bob is None else await as_operator(here, bob), place, alice)


async def _does_something(here: World, person: Person, place: Place, alice: Alice) -> None:
    answers = [await _called(here, person, place, id_) for id_ in alice.ids.values()]
    assert any(not codes_of(body) and not _gives_nothing(body, place) for body in answers), (
        f"{place} takes no id of its owner, so nothing is known about its refusals: give the call what it needs in "
        f"DEFAULTS or NAMED of tests/attacks/surface.py. It answered {answers}"
    )


@pytest.mark.parametrize("name", ["node", "nodes"])
async def test_every_kind_of_thing_is_found_again_by_its_owner(database: Database, name: str) -> None:
    (place,) = [each for each in IDS if each.site.path == (name,)]
    async with world() as here:
        alice = await alice_in(here)
        person = await as_operator(here, alice.person)
        found = {
            kind
            for kind, id_ in alice.ids.items()
            if not _gives_nothing(await _called(here, person, place, id_), place)
        }
        assert found == set(alice.ids) - {"SecurityState"}  # which is part of its User


async def _called(here: World, person: Person | None, place: Place, id_: str) -> Mapping[str, Any]:
    """The answer to a call with this id, proven again where that is demanded."""
    document, variables = surface.call(place.site, place=place, value=id_, shown=decode_id(id_)[0])
    if place.site.needs_step_up and person is not None and person.viewer.session_id is not None:
        proof = await here.proof(person, place.site.name, variables["input"])
        variables = {"input": {**variables["input"], "stepUpProof": proof}}
    return await answer(here, person, document, variables)


def _gives_nothing(body: Mapping[str, Any], place: Place) -> bool:
    """Whether there is no value at the field that was called: null, an empty list or page, or a payload that only refuses."""
    return not any(_is_something(value) for value in _values(body.get("data"), place.site.path))


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What an answer has at the end of this path, in every row of a list on the way."""
    if isinstance(value, list):
        for each in value:
            yield from _values(each, path)
    elif path and path[0].startswith("... "):
        yield from _values(value, path[1:])
    elif path and isinstance(value, dict):
        yield from _values(value.get(path[0]), path[1:])
    elif not path:
        yield value


def _is_something(value: Any) -> bool:
    if isinstance(value, dict) and "errors" in value:
        return not value["errors"] or any(each for name, each in value.items() if name not in {"__typename", "errors"})
    if isinstance(value, dict) and "pageInfo" in value:
        return bool(value["nodes"])
    return value is not None


def _is_for_operators(place: Place) -> bool:
    return (
        "SUPPORT" in place.site.path
        or place.site.path[0] == "admin"
        or "administrator" in str(place.site.field.description)
    )
