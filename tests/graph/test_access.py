"""Who may use which field of the roots: what is declared, and that it holds for every kind of person and program.

The tables are the contract, the calls are made from the schema: a field that is added fails here until it has a row, and is then tried by
everybody.
"""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type
from pymongo.errors import DuplicateKeyError

from core.account_vocabulary import ApiScope, AuthFactor, Role, UserStatus
from core.database import Database
from core.ids import encode_id
from core.wallet_vocabulary import DepositStatus, WithdrawalStatus
from graph.access import Access, Guard
from graph.request import ALL_OPERATIONS, GraphQLRequest
from graph.schema import build_schema
from models import deposit, session, user, withdrawal
from models.base import transaction
from models.deposit import DepositDocument
from models.withdrawal import WithdrawalDocument
from services.account_cursors import Positions
from services.api_keys import WantedKey
from tests.accounts import CLIENT, Person, World, world
from tests.attacks.surface import Site, call
from tests.custody import STRANGER
from tests.stored import unchanged
from tests.trading import fill_state, order_state, store_account, store_fills, store_orders

Declared = tuple[Access, ApiScope | None]
pytestmark = pytest.mark.usefixtures("documents_stay_behind")
SCHEMA = build_schema()._schema
TRADING = frozenset(
    {
        *("placeOrder", "placeOrders", "placeOco", "placeBracket", "amendOrder", "cancelOrder", "cancelOrderGroup"),
        *("cancelAllOrders", "cancelAllOrdersAfter"),
    }
)
"""Open to API keys with the scope TRADE."""
WITHDRAWING = frozenset({"requestWithdrawal", "cancelWithdrawal"})
"""Open to API keys with the scope WITHDRAW; no other mutation is open to any."""
SCOPES = {**dict.fromkeys(TRADING, ApiScope.TRADE), **dict.fromkeys(WITHDRAWING, ApiScope.WITHDRAW)}
MUTATIONS: dict[str, Access] = {
    "signUp": Access.ANYONE,
    "verifyEmail": Access.ANYONE,
    "resendVerification": Access.ANYONE,
    "logIn": Access.ANYONE,
    "completeTwoFactor": Access.ANYONE,
    "refreshSession": Access.ANYONE,
    "logOut": Access.ANYONE,
    "revokeSession": Access.SESSION,
    "requestPasswordReset": Access.ANYONE,
    "resetPassword": Access.ANYONE,
    "changePassword": Access.SESSION,
    "changeEmail": Access.ACTIVE,
    "updateProfile": Access.SESSION,
    "reauthenticate": Access.SESSION,
    "enrollTotp": Access.VERIFIED,
    "confirmTotp": Access.VERIFIED,
    "disableTotp": Access.SESSION,
    "regenerateRecoveryCodes": Access.SESSION,
    "beginPasskeyRegistration": Access.VERIFIED,
    "finishPasskeyRegistration": Access.VERIFIED,
    "renamePasskey": Access.SESSION,
    "deletePasskey": Access.SESSION,
    "beginPasskeyLogIn": Access.ANYONE,
    "finishPasskeyLogIn": Access.ANYONE,
    "beginOAuth": Access.ANYONE,
    "finishOAuth": Access.ANYONE,
    "unlinkOAuth": Access.SESSION,
    "beginWalletLogIn": Access.ANYONE,
    "finishWalletLogIn": Access.ANYONE,
    "createLinkChallenge": Access.VERIFIED,
    "linkWallet": Access.VERIFIED,
    "renameWallet": Access.SESSION,
    "unlinkWallet": Access.SESSION,
    "createApiKey": Access.VERIFIED,
    "updateApiKey": Access.VERIFIED,
    "revokeApiKey": Access.SESSION,
    "freezeAccount": Access.ANYONE,
    "unfreezeAccount": Access.SESSION,
    "deleteAccount": Access.ACTIVE,
    "setUserStatus": Access.ADMIN,
    "setMarketStatus": Access.ADMIN,
    "reviewWithdrawal": Access.ADMIN,
    "assignDeposit": Access.ADMIN,
    "createDepositAddress": Access.VERIFIED,
    "addWithdrawalAddress": Access.VERIFIED,
    "removeWithdrawalAddress": Access.SESSION,
    "confirmWithdrawal": Access.ANYONE,
    "prepareTransfer": Access.VERIFIED,
    "prepareContractCall": Access.VERIFIED,
    "prepareSwap": Access.VERIFIED,
    "broadcastTransaction": Access.VERIFIED,
    **dict.fromkeys(WITHDRAWING, Access.SELF),
    **dict.fromkeys(TRADING, Access.SELF),
}
FUNDS: dict[str, Declared] = {"claimTestFunds": (Access.SELF, ApiScope.TRADE)}
REFUSED_FUNDS = {
    "an unproven person": "EMAIL_NOT_VERIFIED",
    "a frozen person": "ACCOUNT_FROZEN",
    "a frozen administrator": "ACCOUNT_FROZEN",
}
"""Mutations whose refusals of frozen and unproven people are decided before the exchange is asked, as data."""
PRIVATE_QUERIES: dict[str, Declared] = {
    "viewer": (Access.ANYONE, ApiScope.READ),
    "order": (Access.SELF, ApiScope.READ),
    "orderGroup": (Access.SELF, ApiScope.READ),
    "orderPreview": (Access.SELF, ApiScope.READ),
    "withdrawal": (Access.SELF, ApiScope.READ),
    "withdrawalPreview": (Access.SELF, ApiScope.READ),
    "swapQuotes": (Access.SELF, ApiScope.READ),
    "contractRead": (Access.SELF, ApiScope.READ),
    "chainTransaction": (Access.SELF, ApiScope.READ),
    "admin": (Access.SUPPORT, None),
}
PUBLIC_QUERIES = {"node", "nodes", "status", "assets", "asset", "markets", "market", "estimateCost", "liabilities", "chains", "chain", "resolveName", "passwordResetToken", "oauthProviders"}  # fmt: skip
PRIVATE_SUBSCRIPTIONS: dict[str, Declared] = dict.fromkeys(
    (
        "accountEvents",
        "orderUpdated",
        "fillReceived",
        "balanceUpdated",
        "portfolioUpdated",
        "withdrawalUpdated",
        "depositUpdated",
        "walletActivity",
        "chainTransactionUpdated",
        "swapUpdated",
    ),
    (Access.SELF, ApiScope.READ),
)
STREAMS = {
    "accountEvents": f'accountEvents(after: "{Positions().cursor()}")',
    "orderUpdated": "orderUpdated",
    "fillReceived": "fillReceived",
    "balanceUpdated": 'balanceUpdated(assets: ["BTC"])',
    "portfolioUpdated": "portfolioUpdated",
    "withdrawalUpdated": "withdrawalUpdated",
    "depositUpdated": "depositUpdated",
    "walletActivity": 'walletActivity(walletId: "none")',
    "swapUpdated": 'swapUpdated(id: "none")',
    "chainTransactionUpdated": f'chainTransactionUpdated(chain: "ethereum", hash: "0x{"0" * 64}")',
}
"""Calls that answer their owner at once, those of orders when there is one."""
PUBLIC_SUBSCRIPTIONS = {"priceTicks", "tickers", "orderBook", "trades", "candles", "marketStatusChanged"}
GATES = frozenset({"UNAUTHENTICATED", "FORBIDDEN", "ACCOUNT_FROZEN", "EMAIL_NOT_VERIFIED"})
"""Codes that say that somebody may not use a field at all."""


@dataclass(frozen=True)
class Principal:
    """Somebody who asks. `refused` says what each access answers them; one that is missing lets them pass."""

    name: str
    person: Person | None
    refused: Mapping[Access, str]
    scopes: frozenset[ApiScope] | None = None
    """Of a program; None for people and strangers."""

    def mutation(self, name: str) -> str | None:
        """The code a mutation must answer, None where the gate lets this one pass."""
        return self.reading((MUTATIONS[name], SCOPES.get(name)))

    def reading(self, declared: Declared) -> str | None:
        """The code a query or subscription must answer."""
        access, scope = declared
        if self.scopes is not None and scope not in self.scopes:
            return "FORBIDDEN"
        return self.refused.get(access)


OPERATORS = (Access.SUPPORT, Access.ADMIN)
SIGNED_IN = (Access.SELF, Access.SESSION, Access.ACTIVE, Access.VERIFIED, *OPERATORS)
FOR_ACTIVE = (Access.ACTIVE, Access.VERIFIED, *OPERATORS)


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def everybody(vault: World) -> list[Principal]:
    """One of each kind, as they are judged now."""
    user_refused = dict.fromkeys(OPERATORS, "FORBIDDEN")
    proven = await vault.signed_up("user@example.com")
    return [
        Principal("a stranger", None, dict.fromkeys(SIGNED_IN, "UNAUTHENTICATED")),
        Principal("a person", proven, user_refused),
        Principal(
            "an unproven person",
            await vault.signed_up("unproven@example.com", verified=False),
            {Access.VERIFIED: "EMAIL_NOT_VERIFIED", **user_refused},
        ),
        Principal("a frozen person", await frozen(vault, "frozen@example.com"), dict.fromkeys(FOR_ACTIVE, "ACCOUNT_FROZEN")),
        Principal("support", await operator(vault, Role.SUPPORT), {Access.ADMIN: "FORBIDDEN"}),
        Principal("support without a second factor", await operator(vault, Role.SUPPORT, strong=False), user_refused),
        Principal("an administrator", await operator(vault, Role.ADMIN), {}),
        Principal("an administrator without a second factor", await operator(vault, Role.ADMIN, strong=False), user_refused),
        Principal(
            "a frozen administrator",
            await frozen(vault, await operator(vault, Role.ADMIN)),
            dict.fromkeys(FOR_ACTIVE, "ACCOUNT_FROZEN"),
        ),
        *[await program(vault, proven, *scopes) for scopes in ([ApiScope.READ], [ApiScope.TRADE], list(ApiScope))],
        await program(vault, await operator(vault, Role.ADMIN), *ApiScope),
    ]  # fmt: skip


async def operator(vault: World, role: Role, *, strong: bool = True) -> Person:
    person = await vault.signed_up(f"{role}-{strong}-{vault.clock.now_ms()}@example.com".lower())
    vault.clock.advance(0.001)
    await user.set_role(person.user_id, role, vault.clock.now_ms())
    if strong:
        await session.set_authenticated(person.viewer.session_id or "", [AuthFactor.TOTP], vault.clock.now_ms())
    return await as_now(vault, person)


async def frozen(vault: World, who: str | Person) -> Person:
    """Somebody who is frozen and signed in, as for lifting the freeze."""
    person = await vault.signed_up(who) if isinstance(who, str) else who
    now_ms = vault.clock.now_ms()
    await user.set_status(person.user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
    return await as_now(vault, person)


async def program(vault: World, owner: Person, *scopes: ApiScope) -> Principal:
    wanted = WantedKey("a program", scopes, [f"{CLIENT.address}/32"], None)
    _, secret = await vault.accounts.api_keys.create(owner.viewer, wanted, CLIENT)
    person = await vault.person({"accessToken": secret, "refreshToken": ""})
    name = f"a program of {owner.viewer.role} for {', '.join(scopes)}"
    return Principal(name, person, dict.fromkeys(OPERATORS, "FORBIDDEN"), frozenset(scopes))


async def as_now(vault: World, person: Person) -> Person:
    await vault.accounts.authority._states.changed(person.user_id)
    return await vault.current(person)


def fields(root: GraphQLObjectType | None) -> dict[str, GraphQLField]:
    assert root is not None
    found: dict[str, GraphQLField] = root.fields
    return found


def declared(field: GraphQLField) -> Declared | None:
    """What the field's guard demands; None without one."""
    definition = field.extensions["strawberry-definition"]
    guards = [each for each in definition.extensions if isinstance(each, Guard)]
    assert len(guards) <= 1
    return (guards[0].access, guards[0].scope) if guards else None


def code_of(body: Mapping[str, Any]) -> str | None:
    """The code of whatever was refused; None where nothing was."""
    found = [error["extensions"]["code"] for error in body.get("errors", ())]
    found = [
        code for code in found if code not in {"FEED_UNAVAILABLE", "NOT_ENABLED"}
    ]  # what nobody knows, or does, here
    for payload in (body.get("data") or {}).values():
        if isinstance(payload, dict):
            found += [error["code"] for error in payload.get("errors") or ()]
    assert len(found) <= 1, body
    return found[0] if found else None


def through(code: str | None) -> str | None:
    """The code as far as it is one of a gate's."""
    return code if code in GATES else None


def test_every_mutation_declares_who_may() -> None:
    assert {name: declared(field) for name, field in fields(SCHEMA.mutation_type).items()} == {
        name: (access, SCOPES.get(name)) for name, access in MUTATIONS.items()
    } | FUNDS


def test_every_query_and_subscription_is_either_public_or_declares_who_may() -> None:
    queries = {name: declared(field) for name, field in fields(SCHEMA.query_type).items()}
    assert {name for name, access in queries.items() if access is None} == PUBLIC_QUERIES
    assert {name: access for name, access in queries.items() if access is not None} == PRIVATE_QUERIES
    assert set(fields(SCHEMA.subscription_type)) == PUBLIC_SUBSCRIPTIONS | set(PRIVATE_SUBSCRIPTIONS)


def test_who_may_stands_in_the_description_and_scopes_in_the_directives() -> None:
    everything = {**fields(SCHEMA.query_type), **fields(SCHEMA.mutation_type), **fields(SCHEMA.subscription_type)}
    mutations = {name: (access, SCOPES.get(name)) for name, access in MUTATIONS.items()}
    rows = {**mutations, **FUNDS, **PRIVATE_QUERIES, **PRIVATE_SUBSCRIPTIONS}
    for name, field in everything.items():
        access, scope = rows.get(name, (Access.ANYONE, None))
        description = field.description or ""
        others = [each.value for each in Access if each.value and each is not access]
        assert access.value in description, name
        assert not any(text in description for text in others), name
        assert ("An API key needs the scope" in description) is (scope is not None), name
        if scope is not None:
            directives = field.extensions["strawberry-definition"].directives
            assert [each.needs for each in directives if hasattr(each, "needs")] == [scope]


def test_what_operators_see_is_reached_by_one_way() -> None:
    """The fields below `admin` have no guard of their own."""
    ways = [
        (owner.name, name)
        for owner in SCHEMA.type_map.values()
        if isinstance(owner, GraphQLObjectType)
        for name, field in owner.fields.items()
        if get_named_type(field.type).name == "AdminQuery"
    ]
    assert ways == [("Query", "admin")]
    admin = SCHEMA.type_map["AdminQuery"]
    assert isinstance(admin, GraphQLObjectType)
    assert [declared(field) for field in admin.fields.values()] == [None] * len(admin.fields)


async def test_every_mutation_refuses_everybody_it_is_not_for_and_nobody_else(vault: World, database: Database) -> None:
    people = await everybody(vault)
    named = {"proof": {"totp": "123456"}}
    calls = {
        name: call(Site("mutation", (name,), field), full=True, named=named)
        for name, field in fields(SCHEMA.mutation_type).items()
    }
    wrong = []
    async with unchanged(database, but=()):
        for who in people:
            for name in MUTATIONS:
                if (expected := who.mutation(name)) is not None:
                    document, variables = calls[name]
                    code = code_of(await vault.ask(document, who.person, **variables))
                    wrong += [(who.name, name, code)] if code != expected else []
    for who in people:
        for name in MUTATIONS:
            if who.mutation(name) is None:
                document, variables = calls[name]
                code = through(code_of(await vault.ask(document, who.person, **variables)))
                if name in SCOPES and code in ("ACCOUNT_FROZEN", "EMAIL_NOT_VERIFIED"):
                    code = None  # said by the service, as data
                wrong += [(who.name, name, code)] if code is not None else []
    assert wrong == []


async def test_what_moves_money_refuses_everybody_it_is_not_for(vault: World, database: Database) -> None:
    """People and programs with the scope pass; what the account may not do is an order's refusal."""
    people = await everybody(vault)
    wrong = []
    async with unchanged(database, but=()):
        for who in people:
            for name, rule in FUNDS.items():
                document, variables = call(Site("mutation", (name,), fields(SCHEMA.mutation_type)[name]), full=True)
                found = through(code_of(await vault.ask(document, who.person, **variables)))
                expected = who.reading(rule) or REFUSED_FUNDS.get(who.name)
                wrong += [(who.name, name, found)] if found != expected else []
    assert wrong == []


async def test_whatever_is_read_refuses_everybody_it_is_not_for_and_nobody_else(vault: World) -> None:
    owner = await vault.signed_up("alice@example.com")
    for who in await everybody(vault):
        for name, rule in PRIVATE_QUERIES.items():
            await assert_query(vault, who, name, rule)
        for name, rule in PRIVATE_SUBSCRIPTIONS.items():
            await assert_subscription(vault, who, name, rule)
        await assert_objects(vault, who, owner)
    own = encode_id("User", owner.user_id)
    assert (await vault.data(NODE, owner, id=own))["node"] == {"id": own}


QUERIES = {
    "viewer": "{ viewer { id email } }",
    "order": '{ order(by: {clientOrderId: "none"}) { id } }',
    "orderGroup": '{ orderGroup(by: {clientGroupId: "none"}) { id } }',
    "withdrawal": '{ withdrawal(by: {clientWithdrawalId: "none"}) { id } }',
    "withdrawalPreview": """{
      withdrawalPreview(input: {asset: "ETH", chain: "ethereum", addressId: "none", amount: "1"}) { reviewRequired }
    }""",
    "swapQuotes": """{
      swapQuotes(input: {
        fromChain: "ethereum", toChain: "ethereum", from: "ETH", to: "USDC", amount: "1",
        address: "0x00000000219ab540356cBB839Cbe05303d7705Fa"
      }) { id }
    }""",
    "contractRead": """{
      contractRead(input: {chain: "ethereum", contract: "none", abi: [], function: "f", arguments: []}) { blockNumber }
    }""",
    "chainTransaction": '{ chainTransaction(chain: "ethereum", hash: "none") { hash } }',
    "orderPreview": """{
      orderPreview(input: {order: {symbol: "BTC-USDT", side: BUY, type: MARKET, quantity: "1"}}) { errors { message } }
    }""",
    "admin": """query($id: ID!) {
      admin { users(first: 1) { nodes { id } } user(id: $id) { id } auditLog(first: 1) { nodes { id } } }
    }""",
}
ASKS_CHAINS = {
    "contractRead": "PROVIDER_UNAVAILABLE",
    "chainTransaction": "INVALID_INPUT",
    "chainTransactionUpdated": "PROVIDER_UNAVAILABLE",
    "walletActivity": "UNKNOWN_WALLET",
    "swapUpdated": "UNKNOWN",
}
"""Fields that get no further here, where no chain has a node, and what they say to whom they let in."""
SEQUENCES = itertools.count(10_000, 10)
NODE = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }"


async def assert_query(vault: World, who: Principal, name: str, rule: Declared) -> None:
    document = QUERIES[name]
    variables = {"id": encode_id("User", "nobody")} if "$id" in document else {}
    body = await vault.ask(document, who.person, **variables)
    assert code_of(body) == (who.reading(rule) or ASKS_CHAINS.get(name)), (who.name, name)
    if code_of(body) is not None:
        assert (body["data"] or {}).get(name) is None
    elif name == "viewer":
        assert (body["data"]["viewer"] is None) is (who.person is None)
    elif name == "admin":
        assert body["data"]["admin"]["users"]["nodes"]
    else:
        assert set(body["data"]) == {name}


async def give_an_order(user_id: str) -> None:
    """An open order that has a fill, so that streams begin with something."""
    order_id = next(SEQUENCES)
    await store_orders([order_state(order_id, user_id, sequence=order_id + 1)])
    await store_fills([fill_state(2 * order_id + 2, order_id, 1, user_id)])
    await store_account(user_id, order_id + 1, open=[order_id], orders=1, fills=1)


async def assert_subscription(vault: World, who: Principal, name: str, rule: Declared) -> None:
    document = f"subscription {{ {STREAMS[name]} {{ __typename }} }}"
    if who.person is not None and name in ("orderUpdated", "fillReceived"):
        await give_an_order(who.person.user_id)
    if who.person is not None and name == "withdrawalUpdated":
        await give_a_withdrawal(who.person.user_id)
    if who.person is not None and name == "depositUpdated":
        await give_a_deposit(who.person.user_id)
    events = vault.pipeline.stream(GraphQLRequest(document), vault.caller(who.person), allowed=ALL_OPERATIONS)
    async with aclosing(events) as answers:
        body: dict[str, Any] = (await anext(answers)).body
    assert code_of(body) == (who.reading(rule) or ASKS_CHAINS.get(name)), (who.name, name)


async def give_a_withdrawal(user_id: str) -> None:
    """One that waits, unless there is one already."""
    await withdrawal.insert(
        WithdrawalDocument(
            id=f"w-{user_id}",
            user_id=user_id,
            number=1,
            client_id="w1",
            digest="",
            asset="ETH",
            chain="ethereum",
            address_id="a",
            address=STRANGER,
            amount=Decimal(1),
            fee=Decimal(0),
            asked=True,
            status=WithdrawalStatus.IN_REVIEW,
            created_ms=1,
            updated_ms=1,
        )
    )


async def give_a_deposit(user_id: str) -> None:
    """One that was seen, unless there is one already."""
    row = DepositDocument(
        id=f"ethereum:0x{user_id}:coins",
        user_id=user_id,
        number=1,
        asset="ETH",
        chain="ethereum",
        address=STRANGER,
        amount=Decimal(1),
        units="1",
        hash=f"0x{user_id}",
        sender=STRANGER,
        place="coins",
        required=1,
        status=DepositStatus.SEEN,
        seen_ms=1,
    )
    with suppress(DuplicateKeyError):
        async with transaction(DepositDocument) as session:
            await deposit.insert(row, session)


async def assert_objects(vault: World, who: Principal, owner: Person) -> None:
    """By their ids: what is somebody else's is as nothing, but to operators what they see of accounts."""
    needs_scope = who.scopes is not None and ApiScope.READ not in who.scopes
    for kind in ("User", "AdminUser"):
        body = await vault.ask(NODE, who.person, id=encode_id(kind, owner.user_id))
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        assert codes == ({"FORBIDDEN"} if needs_scope else set()), who.name
        shown = kind == "AdminUser" and who.name in ("support", "an administrator")
        assert (body["data"]["node"] is not None) is shown, (who.name, kind)
