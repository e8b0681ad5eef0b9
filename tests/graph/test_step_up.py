# mypy: disable-error-code="untyped-decorator"
"""Step-up at the surface: every marked mutation asks for it, and a deed is the same however its parameters are written."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any, Self

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    Undefined,
    get_named_type,
)
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from core.account_vocabulary import Role
from core.database import Database
from core.refusals import AuthRefused
from graph.access import Access
from graph.context import Context
from graph.fields import mutation
from graph.scalars import SCALARS, Long
from graph.schema import build_schema
from graph.step_up import StepUpDemanded, deed_of
from models import api_key, user
from services.step_up import Deed
from services.viewer import Viewer
from tests.accounts import CLIENT, PAGE, PASSWORD, Person, World, world
from tests.factors import STEP_SECONDS, App, challenged, completed, enrolled
from tests.stored import unchanged

ANNA = "anna@example.com"
PROVE = """mutation($operation: String!, $parameters: JSON!) {
  reauthenticate(input: {operation: $operation, parameters: $parameters, proof: {password: "a fine day for sailing"}}) {
    stepUpProof errors { code }
  }
}"""
CREATE_KEY = "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret errors { code } } }"
Json = dict[str, Any]

# The deed of a mutation with every kind of parameter.


class Taste(Enum):
    SWEET = "sweet"
    SOUR = "sour"


@strawberry.input
class Layer:
    amount: Decimal
    note: str | None = None


@strawberry.input
class BakeInput:
    name: str
    amount: Decimal
    due: datetime | None = None
    taste: Taste = Taste.SWEET
    tastes: list[Taste] | None = None
    layers: list[Layer] | None = None
    count: Long = Long(1)
    warm: bool = False
    id: strawberry.ID | None = None
    topping: str | None = strawberry.UNSET
    """Null takes it away; left out, it stays."""
    step_up_proof: str | None = None


@strawberry.input
class RestInput:
    hours: int | None = None
    step_up_proof: str | None = None


@strawberry.type
class Cake:
    done: bool = False

    @classmethod
    def refused(cls, refused: AuthRefused, locale: str) -> Self:
        return cls()


@dataclass
class Deeds:
    """A step-up service that lets everything pass and remembers for what it was asked."""

    seen: list[Deed] = field(default_factory=list)

    async def require(self, viewer: Viewer, deed: Deed, proof: str | None) -> None:
        self.seen.append(deed)


async def bake(input: BakeInput) -> Cake:
    return Cake(done=True)


async def rest(input: RestInput | None = None) -> Cake:
    return Cake(done=True)


@strawberry.type
class Kitchen:
    bake: Cake = mutation(bake, "Bakes.", access=Access.SESSION, step_up=StepUpDemanded())
    rest: Cake = mutation(rest, "Rests.", access=Access.SESSION, step_up=StepUpDemanded())


@strawberry.type
class Recipes:
    @strawberry.field
    async def deed(self, info: strawberry.Info[Context, None], operation: str, parameters: JSON) -> str:
        return deed_of(info, operation, parameters).parameters.decode()


KITCHEN = strawberry.Schema(query=Recipes, mutation=Kitchen, config=StrawberryConfig(scalar_map=SCALARS))


async def done(document: str, **variables: Any) -> str:
    """The parameters of the deed that a mutation asks a proof for."""
    deeds = Deeds()
    viewer = SimpleNamespace(session_id="s", user_id="u", scopes=frozenset())
    context = SimpleNamespace(viewer=viewer, client=CLIENT, accounts=SimpleNamespace(step_up=deeds))
    result = await KITCHEN.execute(document, variable_values=variables, context_value=context)
    assert result.errors is None, result.errors
    return deeds.seen[0].parameters.decode()


async def baked(given: Json) -> str:
    return await done("mutation($input: BakeInput!) { bake(input: $input) { done } }", input=given)


async def proven_for(parameters: object, operation: str = "bake") -> str:
    """The parameters of the deed that `reauthenticate` would give a proof for."""
    document = "query($operation: String!, $parameters: JSON!) { deed(operation: $operation, parameters: $parameters) }"
    result = await KITCHEN.execute(document, variable_values={"operation": operation, "parameters": parameters})
    assert result.errors is None, result.errors
    assert result.data is not None
    return str(result.data["deed"])


CAKE: Json = {"name": "cake", "amount": "12.5"}


@pytest.mark.parametrize(
    ("given", "proven"),
    [
        ({}, {}),
        ({}, {"taste": "SWEET", "count": 1, "warm": False}),
        ({"taste": "SWEET"}, {}),
        ({"amount": "12.50"}, {"amount": "12.5"}),
        ({"amount": "12"}, {"amount": 12}),
        ({"due": "2026-12-01T10:00:00Z"}, {"due": "2026-12-01T11:00:00.000+01:00"}),
        ({"due": None, "layers": None, "id": None}, {}),
        ({"id": 7}, {"id": "7"}),
        ({"tastes": "SOUR"}, {"tastes": ["SOUR"]}),
        ({"layers": [{"amount": "1.0"}]}, {"layers": [{"note": None, "amount": "1"}]}),
        ({"layers": {"amount": "1.0"}}, {"layers": [{"amount": "1"}]}),
        ({"stepUpProof": "a proof"}, {}),
        ({"stepUpProof": None}, {"stepUpProof": "whatever it is"}),
        ({"name": "torte \u00e4"}, {"name": "torte ä"}),
    ],
    ids=str,
)
async def test_the_same_deed_in_other_words(given: Json, proven: Json) -> None:
    backwards = dict(reversed({**CAKE, **proven}.items()))
    assert await baked({**CAKE, **given}) == await proven_for(backwards)


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Cake"},
        {"name": "cake "},
        {"name": "cak\u0435"},
        {"amount": "12.51"},
        {"amount": "125"},
        {"amount": "-12.5"},
        {"taste": "SOUR"},
        {"tastes": []},
        {"tastes": ["SWEET", "SOUR"]},
        {"due": "2026-12-01T10:00:00Z"},
        {"layers": []},
        {"layers": [{"amount": "1"}]},
        {"count": 2},
        {"warm": True},
        {"id": "7"},
        {"id": ""},
    ],
    ids=str,
)
async def test_another_deed(other: Json) -> None:
    assert await proven_for({**CAKE, **other}) != await baked(CAKE)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"tastes": ["SWEET", "SOUR"]}, {"tastes": ["SOUR", "SWEET"]}),
        ({"due": "2026-12-01T10:00:00Z"}, {"due": "2026-12-01T10:00:00.001Z"}),
        ({"due": "2026-12-01T10:00:00Z"}, {"due": "2026-12-01T10:00:00+01:00"}),
        ({"layers": [{"amount": "1"}, {"amount": "2"}]}, {"layers": [{"amount": "2"}, {"amount": "1"}]}),
        ({"layers": [{"amount": "1", "note": ""}]}, {"layers": [{"amount": "1"}]}),
        ({"id": "1"}, {"count": 1, "name": "1"}),
        ({"topping": None}, {}),
        ({"topping": None}, {"topping": ""}),
    ],
    ids=str,
)
async def test_two_deeds(one: Json, two: Json) -> None:
    assert await proven_for({**CAKE, **one}) != await proven_for({**CAKE, **two})


async def test_a_literal_is_as_good_as_a_variable() -> None:
    literal = """mutation { bake(input: {amount: 12.50, name: "cake", taste: SWEET, due: "2026-12-01T10:00:00Z",
      layers: [{amount: "1.10"}], stepUpProof: "x"}) { done } }"""
    same = {"due": "2026-12-01T10:00:00.000Z", "layers": [{"amount": "1.1"}]}
    assert await done(literal) == await proven_for({**CAKE, **same})


@pytest.mark.parametrize(
    "document",
    ["mutation { rest { done } }", "mutation { rest(input: null) { done } }", "mutation { rest(input: {}) { done } }"],
)
async def test_no_input_at_all_is_no_parameters(document: str) -> None:
    assert await done(document) == await proven_for({}, "rest")


# What `reauthenticate` cannot read.


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


KEY: Json = {"name": "bot", "scopes": ["READ"]}


UNREADABLE: list[tuple[str, object, list[str]]] = [
    ("noSuchThing", {}, ["operation"]),
    ("", {}, ["operation"]),
    ("create_api_key", KEY, ["operation"]),
    ("CreateApiKey", KEY, ["operation"]),
    ("viewer", {}, ["operation"]),
    ("logOut", {}, ["operation"]),
    ("updateProfile", {"displayName": "Anna"}, ["operation"]),
    ("reauthenticate", {}, ["operation"]),
    ("__proto__", {}, ["operation"]),
    ("createApiKey", [], ["parameters"]),
    ("createApiKey", [KEY], ["parameters"]),
    ("createApiKey", "text", ["parameters"]),
    ("createApiKey", 5, ["parameters"]),
    ("createApiKey", {}, ["parameters"]),
    ("createApiKey", {"input": KEY}, ["parameters"]),
    ("createApiKey", {**KEY, "more": 1}, ["parameters"]),
    ("createApiKey", {**KEY, "name": 5}, ["parameters", "name"]),
    ("createApiKey", {**KEY, "name": None}, ["parameters", "name"]),
    ("createApiKey", {**KEY, "name": {"$ne": ""}}, ["parameters", "name"]),
    ("createApiKey", {**KEY, "scopes": ["ALL"]}, ["parameters", "scopes", "0"]),
    ("createApiKey", {**KEY, "scopes": ["READ", None]}, ["parameters", "scopes", "1"]),
    ("createApiKey", {**KEY, "expiresAt": "tomorrow"}, ["parameters", "expiresAt"]),
    ("beginOAuth", {"provider": "x", "purpose": "LINK", "redirectUri": "nowhere"}, ["parameters", "redirectUri"]),
]


async def test_what_cannot_be_read_is_named(vault: World, database: Database) -> None:
    anna = await vault.signed_up(ANNA)
    async with unchanged(database, but=()):
        for operation, parameters, named in UNREADABLE:
            body = await vault.ask(PROVE, anna, operation=operation, parameters=parameters)
            extensions = body["errors"][0]["extensions"]
            said = (extensions["code"], extensions.get("field"))
            assert said == ("BAD_USER_INPUT", ["input", *named]), (operation, parameters)


async def test_parameters_nested_deeper_than_anything_reads_are_refused(vault: World, database: Database) -> None:
    anna = await vault.signed_up(ANNA)
    deep: object = "x"
    for _ in range(1_000):
        deep = [deep]
    async with unchanged(database, but=()):
        body = await vault.ask(PROVE, anna, operation="createApiKey", parameters={**KEY, "name": deep})
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        body = await vault.ask(PROVE, anna, operation="createApiKey", parameters={**KEY, "ipAllowlist": deep})
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_real_parameters_may_be_written_otherwise(vault: World) -> None:
    anna = await vault.signed_up(ANNA)
    written = {"scopes": ["READ"], "expiresAt": "2027-01-01T01:00:00.0+01:00", "name": "bot", "ipAllowlist": None}
    proof = await vault.proof(anna, "createApiKey", written)
    given = {**KEY, "expiresAt": "2027-01-01T00:00:00Z", "stepUpProof": proof}
    assert (await vault.data(CREATE_KEY, anna, input=given))["createApiKey"]["errors"] == []
    assert [key.name for key in await api_key.of_user(anna.user_id)] == ["bot"]


# Every mutation that the schema marks.


def marked() -> dict[str, GraphQLField]:
    """Mutations that the served schema marks with @stepUp."""
    schema = build_schema()._schema
    assert schema.mutation_type is not None
    text = build_schema().as_str()
    _, _, mutations = text.partition("type Mutation {")
    mutations, _, _ = mutations.partition("\n}")
    fields = schema.mutation_type.fields
    return {name: each for name, each in fields.items() if _is_marked(mutations, name)}


def _is_marked(mutations: str, name: str) -> bool:
    _, _, rest = mutations.partition(f"  {name}(")
    return "@stepUp" in rest.partition("!")[2].partition('"""')[0]


MARKED = marked()
BY_RESOLVER = {"requestWithdrawal"}
"""Demands its proof after all else was judged, so that what is sent again needs none (tests/graph/test_withdrawals.py)."""
SENSITIVE_ONLY_WITH = {"beginOAuth": {"purpose": "LINK"}}


def least(kind: GraphQLType) -> Any:
    """The smallest value of an input type."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if isinstance(kind, GraphQLList):
        return []
    if isinstance(kind, GraphQLInputObjectType):
        return {
            name: least(each.type)
            for name, each in kind.fields.items()
            if isinstance(each.type, GraphQLNonNull) and each.default_value is Undefined
        }
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    return {"URL": f"{PAGE}/back", "Boolean": True, "Decimal": "1"}.get(str(kind), "x")


async def ask(vault: World, person: Person, name: str, given: Mapping[str, Any]) -> list[Json]:
    """The refusals of a mutation."""
    input_type = MARKED[name].args["input"].type
    document = (
        f"mutation($input: {input_type}) {{ {name}(input: $input) {{ errors {{ code stepUp {{ factors }} }} }} }}"
    )
    refusals: list[Json] = (await vault.data(document, person, input=given))[name]["errors"]
    return refusals


async def operator(vault: World) -> tuple[Person, App]:
    """An administrator who was signed in with a second factor: nothing but the proof is missing."""
    anna = await vault.signed_up(ANNA)
    app = await enrolled(vault, anna)
    await user.set_role(anna.user_id, Role.ADMIN, vault.clock.now_ms())
    vault.clock.advance(STEP_SECONDS)
    payload = await completed(vault, (await challenged(vault, ANNA))["token"], totp=app.code())
    vault.clock.advance(STEP_SECONDS)
    return await vault.person(payload["tokens"]), app


def test_the_schema_marks_what_the_design_marks() -> None:
    assert sorted(MARKED) == [
        *(
            "addWithdrawalAddress",
            "assignDeposit",
            "beginOAuth",
            "beginPasskeyRegistration",
            "changeEmail",
            "changePassword",
            "createApiKey",
            "deleteAccount",
        ),
        *(
            "deletePasskey",
            "disableTotp",
            "enrollTotp",
            "linkWallet",
            "regenerateRecoveryCodes",
            "requestWithdrawal",
            "reviewWithdrawal",
        ),
        *("setMarketStatus", "setUserStatus"),
        *("unfreezeAccount", "unlinkOAuth", "unlinkWallet", "updateApiKey"),
    ]


def input_of(name: str) -> Json:
    """The least input that makes a mutation sensitive, without a proof as far as that can be."""
    given = {**least(get_named_type(MARKED[name].args["input"].type)), **SENSITIVE_ONLY_WITH.get(name, {})}
    return {**given, "stepUpProof": ""} if "stepUpProof" in given else given


async def test_nothing_is_done_without_a_proof(vault: World, database: Database) -> None:
    admin, app = await operator(vault)
    for name in sorted(MARKED.keys() - BY_RESOLVER):
        given = input_of(name)
        proof_of_another = await vault.proof(admin, "changeEmail", {"email": "mine@example.com"}, totp=app.code())
        vault.clock.advance(STEP_SECONDS)
        async with unchanged(database):
            refusals = await ask(vault, admin, name, given)
            assert [each["code"] for each in refusals] == ["STEP_UP_REQUIRED"], name
            assert refusals[0]["stepUp"]["factors"] == ["TOTP", "RECOVERY_CODE"], name
            for proof in ("x" * 43, proof_of_another):
                refusals = await ask(vault, admin, name, {**given, "stepUpProof": proof})
                assert [each["code"] for each in refusals] == ["STEP_UP_INVALID"], name


async def test_a_proof_can_be_had_for_each(vault: World) -> None:
    anna = await vault.signed_up(ANNA)
    for name in MARKED:
        parameters = {key: value for key, value in input_of(name).items() if key != "stepUpProof"}
        assert await vault.proof(anna, name, parameters, password=PASSWORD), name
