"""Withdrawals over GraphQL: the address book, what is refused and why, the proof, the mail, an operator's word, limits and streams."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from core.account_vocabulary import Role, UserStatus
from core.bus import MemoryBus
from core.database import Database
from core.ids import decode_id, encode_id
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WithdrawalStatus
from graph.request import ALL_OPERATIONS, GraphQLRequest
from integrations.chains.errors import NodesContradict
from models import user, wallet, withdrawal
from models.wallet import ContractProof, WalletDocument
from services.api_keys import WantedKey
from services.wallet_proofs.contract_wallets import ContractCalls
from tests.accounts import CLIENT, REAUTHENTICATE, Person, World
from tests.attacks.people import as_operator
from tests.custody import STRANGER, SmallChain, build_steps
from tests.factors import Authenticator, registered
from tests.stored import unchanged
from tests.trading_house import TradingHouse

D = Decimal
ADD = """mutation($input: AddWithdrawalAddressInput!) { addWithdrawalAddress(input: $input) {
  address { id address explorerUrl label activeFrom chain { key } } viewer { withdrawalAddresses { id } } errors { code field message }
} }"""
REQUEST = """mutation($input: RequestWithdrawalInput!) { requestWithdrawal(input: $input) {
  withdrawal { id clientWithdrawalId status amount fee cancelable timeline { status } asset { code } chain { key } address addressUrl explorerUrl }
  replayed errors { code field limit actual stepUp { factors } }
} }"""
CONFIRM = "mutation($input: ConfirmWithdrawalInput!) { confirmWithdrawal(input: $input) { withdrawal { status } errors { code } } }"
CANCEL = "mutation($input: CancelWithdrawalInput!) { cancelWithdrawal(input: $input) { withdrawal { status reason } errors { code } } }"
REVIEW = "mutation($input: ReviewWithdrawalInput!) { reviewWithdrawal(input: $input) { withdrawal { status reason } errors { code } } }"
PREVIEW = """query($input: WithdrawalPreviewInput!) { withdrawalPreview(input: $input) {
  fee received reviewRequired heldUntil stepUp { operation factors } errors { code field }
} }"""


class Site:
    """A world whose exchange is the real one."""

    def __init__(self, world: World, house: TradingHouse) -> None:
        self.world = world
        self.house = house

    async def person(self, email: str = "ann@example.org", eth: int = 100) -> Person:
        person = await self.world.signed_up(email)
        await self.house.give(person.user_id, "ETH", eth * 10**18)
        await self.house.projected()
        return person

    async def add(self, person: Person, address: str = STRANGER, chain: str = "ethereum") -> dict[str, Any]:
        given = {"chain": chain, "address": address, "label": "cold"}
        proof = await self.world.proof(person, "addWithdrawalAddress", given)
        data = await self.world.data(ADD, person, input={**given, "stepUpProof": proof})
        payload: dict[str, Any] = data["addWithdrawalAddress"]
        return payload

    async def entry(self, person: Person) -> tuple[Person, str]:
        """An entry of the book that may be used; the person as they are a day later, signed in again."""
        id_ = (await self.add(person))["address"]["id"]
        self.world.clock.advance(25 * 3600)
        email = (await self.world.accounts.reads.person(person.user_id)).email  # type: ignore[union-attr]
        return await self.world.logged_in(email or ""), id_

    async def request(self, person: Person, *, proven: bool = True, **given: Any) -> dict[str, Any]:
        if proven:
            given["stepUpProof"] = await self.world.proof(person, "requestWithdrawal", dict(given))
        data = await self.world.data(REQUEST, person, input=given)
        await self.house.projected()
        payload: dict[str, Any] = data["requestWithdrawal"]
        return payload


@asynccontextmanager
async def opened(contracts: ContractCalls | None = None) -> AsyncIterator[Site]:
    bus = MemoryBus()
    house = TradingHouse(bus=bus)
    world = World(gateway=house.gateway, bus=bus, contracts=contracts)
    house.clock = world.clock
    await world.accounts.load()
    async with house.open():
        yield Site(world, house)


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with opened() as made:
        yield made


def wish(entry: str, key: str = "w1", amount: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "clientWithdrawalId": key,
        "asset": "ETH",
        "chain": "ethereum",
        "addressId": entry,
        "amount": amount,
        **changes,
    }


async def test_an_address_waits_before_it_may_be_used(site: Site) -> None:
    ann = await site.person()
    payload = await site.add(ann, STRANGER.lower())
    assert payload["errors"] == []
    assert payload["address"]["address"] == STRANGER
    assert payload["viewer"]["withdrawalAddresses"] == [{"id": payload["address"]["id"]}]
    assert (await site.add(ann))["address"]["id"] == payload["address"]["id"]
    link = site.world.catalogue.chains["ethereum"].address_url(STRANGER)
    assert link is not None
    assert payload["address"]["explorerUrl"] == link
    mail = await site.world.mail("New withdrawal address")
    assert STRANGER in mail.text
    refused = await site.request(ann, **wish(payload["address"]["id"]))
    assert [(each["code"], each["field"]) for each in refused["errors"]] == [("ADDRESS_NOT_ACTIVE", ["addressId"])]


@pytest.mark.parametrize(
    ("address", "chain", "code"),
    [
        (STRANGER[:-1], "ethereum", "ADDRESS_INVALID"),
        (STRANGER.replace("cBB", "cbB"), "ethereum", "ADDRESS_INVALID"),
        (STRANGER.replace("a", "а"), "ethereum", "ADDRESS_INVALID"),
        ("0x" + "0" * 40, "ethereum", "ADDRESS_INVALID"),
        (f" {STRANGER}", "ethereum", "ADDRESS_INVALID"),
        ("0x000000000000000000000000000000000000dEaD", "ethereum", "ADDRESS_INVALID"),
        (STRANGER, "nochain", "UNKNOWN_CHAIN"),
    ],
)
async def test_what_is_no_address_is_not_taken(
    site: Site, database: Database, address: str, chain: str, code: str
) -> None:
    ann = await site.person()
    async with unchanged(database, but=("challenges", "audit_events", "audit_heads", "sessions")):
        payload = await site.add(ann, address, chain)
    assert [each["code"] for each in payload["errors"]] == [code]


async def test_a_withdrawal_is_held_and_confirmed_by_mail(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    payload = await site.request(ann, **wish(entry))
    assert payload["errors"] == []
    row = payload["withdrawal"]
    assert (row["status"], row["amount"], row["cancelable"]) == ("AWAITING_CONFIRMATION", "1", True)
    balance = await site.world.data('{ viewer { balance(asset: "ETH") { available held } } }', ann)
    assert balance["viewer"]["balance"] == {"available": "99", "held": "1"}
    token = await site.world.token("confirm-withdrawal")
    assert STRANGER in (await site.world.mail("Confirm your withdrawal")).text
    wrong = await site.world.data(CONFIRM, input={"token": token, "by": {"clientWithdrawalId": "another"}})
    assert wrong["confirmWithdrawal"]["errors"] == [{"code": "UNKNOWN_WITHDRAWAL"}]
    done = await site.world.data(CONFIRM, input={"token": token, "by": {"id": row["id"]}})
    assert done["confirmWithdrawal"] == {"withdrawal": {"status": "APPROVED"}, "errors": []}
    again = await site.world.data(CONFIRM, input={"token": token})
    assert again["confirmWithdrawal"]["errors"] == [{"code": "INVALID_INPUT"}]


async def test_the_same_again_is_answered_without_another_proof_and_other_content_is_refused(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    first = await site.request(ann, **wish(entry))
    again = await site.request(ann, proven=False, **wish(entry, amount="1.0"))
    assert (again["replayed"], again["withdrawal"]["id"]) == (True, first["withdrawal"]["id"])
    other = await site.request(ann, proven=False, **wish(entry, amount="2"))
    assert [each["code"] for each in other["errors"]] == ["IDEMPOTENCY_MISMATCH"]
    placed = await site.request(ann, proven=False, **wish(entry, key="w2"))
    assert [each["code"] for each in placed["errors"]] == ["STEP_UP_REQUIRED"]
    assert placed["errors"][0]["stepUp"]["factors"] == ["PASSWORD"]
    listed = await site.world.data("{ viewer { withdrawals { nodes { clientWithdrawalId } } } }", ann)
    assert listed["viewer"]["withdrawals"]["nodes"] == [{"clientWithdrawalId": "w1"}]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"clientWithdrawalId": ""}, "INVALID_INPUT", ["clientWithdrawalId"]),
        ({"clientWithdrawalId": "§w"}, "INVALID_INPUT", ["clientWithdrawalId"]),
        ({"asset": "NONE"}, "UNKNOWN_ASSET", ["asset"]),
        ({"chain": "nochain"}, "UNKNOWN_CHAIN", ["chain"]),
        ({"chain": "polygon"}, "UNKNOWN_ASSET", ["chain"]),
        ({"addressId": encode_id("WithdrawalAddress", "none")}, "ADDRESS_NOT_ACTIVE", ["addressId"]),
        ({"addressId": "nonsense"}, "ADDRESS_NOT_ACTIVE", ["addressId"]),
        ({"amount": "0"}, "AMOUNT_INVALID", ["amount"]),
        ({"amount": "-1"}, "AMOUNT_INVALID", ["amount"]),
        ({"amount": "0.001"}, "AMOUNT_TOO_SMALL", ["amount"]),
        ({"amount": "26"}, "LIMIT_EXCEEDED", ["amount"]),
        ({"amount": "20"}, "INSUFFICIENT_FUNDS", ["amount"]),
    ],
)
async def test_what_is_refused_changes_nothing(
    site: Site, database: Database, changes: dict[str, Any], code: str, field: list[str]
) -> None:
    ann, entry = await site.entry(await site.person(eth=10))
    given = {**wish(entry), **changes}
    async with unchanged(database, but=("challenges", "audit_events", "audit_heads", "sessions")):
        payload = await site.request(ann, **given)
    assert [(each["code"], each["field"]) for each in payload["errors"]] == [(code, field)]


async def test_what_the_account_may_not_do_is_said_first(site: Site, database: Database) -> None:
    ann, entry = await site.entry(await site.person())
    await user.hold_withdrawals(ann.user_id, site.world.clock.now_ms() + 1000)
    refused = await site.request(ann, **wish(entry))
    assert [each["code"] for each in refused["errors"]] == ["HELD_AFTER_CHANGE"]
    preview = await site.world.data(PREVIEW, ann, input={key: value for key, value in wish(entry, amount="200").items() if key != "clientWithdrawalId"})  # fmt: skip
    assert [each["code"] for each in preview["withdrawalPreview"]["errors"]] == [
        "HELD_AFTER_CHANGE",
        "LIMIT_EXCEEDED",
        "INSUFFICIENT_FUNDS",
    ]
    now_ms = site.world.clock.now_ms()
    await user.set_status(ann.user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
    refused = await site.request(ann, **wish(entry))
    assert [each["code"] for each in refused["errors"]] == ["ACCOUNT_FROZEN"]
    assert (await withdrawal.since(ann.user_id, 0)) == []


async def test_a_preview_says_what_it_costs_and_a_foreign_address_is_none(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    given = {"asset": "ETH", "chain": "ethereum", "addressId": entry, "amount": "6"}
    shown = (await site.world.data(PREVIEW, ann, input=given))["withdrawalPreview"]
    assert shown == {
        "fee": "0.001",
        "received": "5.999",
        "reviewRequired": True,
        "heldUntil": None,
        "stepUp": {"operation": "requestWithdrawal", "factors": ["PASSWORD"]},
        "errors": [],
    }
    bob = await site.person("bob@example.org")
    theirs = (await site.world.data(PREVIEW, bob, input=given))["withdrawalPreview"]
    assert theirs["errors"] == [{"code": "ADDRESS_NOT_ACTIVE", "field": ["addressId"]}]


async def test_a_preview_of_one_key_has_what_a_passkey_signs_for_that_withdrawal(site: Site) -> None:
    person, phone = await site.person(), Authenticator()
    assert (await registered(site.world, person, phone))["errors"] == []
    ann, entry = await site.entry(person)
    given = {"asset": "ETH", "chain": "ethereum", "addressId": entry, "amount": "1"}
    text = """query($input: WithdrawalPreviewInput!) { withdrawalPreview(input: $input) {
      stepUp { operation factors passkeyOptions expiresAt } } }"""
    alone = (await site.world.data(text, ann, input=given))["withdrawalPreview"]["stepUp"]
    assert (alone["factors"], alone["passkeyOptions"]) == (["PASSWORD", "PASSKEY"], None)
    named = {**given, "clientWithdrawalId": "w1"}
    shown = (await site.world.data(text, ann, input=named))["withdrawalPreview"]["stepUp"]
    signed = phone.get(shown["passkeyOptions"])
    for changed in ({"amount": "2"}, {"clientWithdrawalId": "w2"}):
        data = await site.world.data(
            REAUTHENTICATE,
            ann,
            operation="requestWithdrawal",
            parameters={**named, **changed},
            proof={"passkey": signed},
        )
        assert [each["code"] for each in data["reauthenticate"]["errors"]] == ["STEP_UP_INVALID"]
        again = (await site.world.data(text, ann, input=named))["withdrawalPreview"]["stepUp"]
        signed = phone.get(again["passkeyOptions"])
    proof = await site.world.proof(ann, "requestWithdrawal", named, passkey=signed)
    assert (await site.request(ann, proven=False, **named, stepUpProof=proof))["errors"] == []


async def test_what_waits_for_an_operator_is_listed_by_age_and_paged(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    for key in ("w1", "w2", "w3"):
        await site.request(ann, **wish(entry, key=key, amount="6"))
        await site.world.data(CONFIRM, input={"token": await site.world.token("confirm-withdrawal")})
        site.world.clock.advance(60)
    boss = await as_operator(site.world, await site.world.signed_up("boss@example.org"), Role.ADMIN)
    text = """query($first: Int, $after: String) { admin { withdrawalsInReview(first: $first, after: $after) {
      nodes { id clientWithdrawalId } pageInfo { hasNextPage endCursor } } } }"""
    page = (await site.world.data(text, boss, first=2))["admin"]["withdrawalsInReview"]
    assert [each["clientWithdrawalId"] for each in page["nodes"]] == ["w1", "w2"]
    assert page["pageInfo"]["hasNextPage"]
    given = {"id": page["nodes"][0]["id"], "approve": True, "reason": "known"}
    proof = await site.world.proof(boss, "reviewWithdrawal", given)
    await site.world.data(REVIEW, boss, input={**given, "stepUpProof": proof})
    rest = (await site.world.data(text, boss, after=page["pageInfo"]["endCursor"]))["admin"]["withdrawalsInReview"]
    assert [each["clientWithdrawalId"] for each in rest["nodes"]] == ["w3"]
    left = (await site.world.data(text, boss))["admin"]["withdrawalsInReview"]
    assert [each["clientWithdrawalId"] for each in left["nodes"]] == ["w2", "w3"]


async def test_an_operator_sees_an_accounts_withdrawals_and_nobody_elses(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    bob, his = await site.entry(await site.person("bob@example.org"))
    for person, at, key in ((ann, entry, "a1"), (ann, entry, "a2"), (bob, his, "b1")):
        await site.request(person, **wish(at, key=key))
        site.world.clock.advance(60)
    boss = await as_operator(site.world, await site.world.signed_up("boss@example.org"))
    text = """query($id: ID!, $first: Int, $after: String) { admin { user(id: $id) { balances { available held }
      withdrawals(first: $first, after: $after) {
        nodes { clientWithdrawalId status amount } pageInfo { hasNextPage endCursor } } } } }"""
    id_ = encode_id("User", ann.user_id)
    shown = (await site.world.data(text, boss, id=id_, first=1))["admin"]["user"]
    assert shown["balances"] == [{"available": "98", "held": "2"}]
    (newest,) = shown["withdrawals"]["nodes"]
    assert newest == {"clientWithdrawalId": "a2", "status": "AWAITING_CONFIRMATION", "amount": "1"}
    after = shown["withdrawals"]["pageInfo"]["endCursor"]
    rest = (await site.world.data(text, boss, id=id_, after=after))["admin"]["user"]["withdrawals"]
    assert ([each["clientWithdrawalId"] for each in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["a1"], False)


async def test_a_large_one_waits_for_an_operator_who_is_somebody_else(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    await site.request(ann, **wish(entry, amount="6"))
    token = await site.world.token("confirm-withdrawal")
    await site.world.data(CONFIRM, input={"token": token})
    boss = await as_operator(site.world, await site.world.signed_up("boss@example.org"), Role.ADMIN)
    waiting = await site.world.data("{ admin { withdrawalsInReview { nodes { id status amount } } } }", boss)
    (row,) = waiting["admin"]["withdrawalsInReview"]["nodes"]
    assert (row["status"], row["amount"]) == ("IN_REVIEW", "6")
    given = {"id": row["id"], "approve": False, "reason": "unusual"}
    proof = await site.world.proof(boss, "reviewWithdrawal", given)
    done = await site.world.data(REVIEW, boss, input={**given, "stepUpProof": proof})
    assert done["reviewWithdrawal"] == {"withdrawal": {"status": "REJECTED", "reason": "unusual"}, "errors": []}


async def test_the_days_limit_counts_what_was_not_given_back(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    await site.request(ann, **wish(entry, amount="20"))
    over = await site.request(ann, **wish(entry, key="w2", amount="6"))
    (error,) = over["errors"]
    assert (error["code"], error["limit"], error["actual"]) == ("LIMIT_EXCEEDED", "10000", "12000")
    limits = await site.world.data("{ viewer { withdrawalLimits { daily used remaining quote { code } } } }", ann)
    assert limits["viewer"]["withdrawalLimits"] == {
        "daily": "50000",
        "used": "40000",
        "remaining": "10000",
        "quote": {"code": "USD"},
    }
    canceled = await site.world.data(CANCEL, ann, input={"by": {"clientWithdrawalId": "w1"}})
    assert canceled["cancelWithdrawal"]["withdrawal"]["status"] == "CANCELED"
    assert (await site.request(ann, **wish(entry, key="w3", amount="6")))["errors"] == []


async def test_a_program_needs_no_mail_and_no_proof(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    wanted = WantedKey("a program", ["READ", "WITHDRAW"], [f"{CLIENT.address}/32"], None)  # type: ignore[list-item]
    _, secret = await site.world.accounts.api_keys.create(ann.viewer, wanted, CLIENT)
    program = await site.world.person({"accessToken": secret, "refreshToken": ""})
    payload = await site.request(program, proven=False, **wish(entry))
    assert payload["errors"] == []
    assert payload["withdrawal"]["status"] == "APPROVED"
    await site.world.mail("Withdrawal requested")


def _told(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = answer.body["data"]["withdrawalUpdated"]
    return told


async def test_every_state_is_streamed_once(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    await site.request(ann, **wish(entry))
    request = GraphQLRequest("subscription { withdrawalUpdated { clientWithdrawalId status } }")
    stream = site.world.pipeline.stream(request, site.world.caller(ann), allowed=ALL_OPERATIONS)
    async with aclosing(stream) as answers:
        assert _told(await anext(answers))["status"] == "AWAITING_CONFIRMATION"
        await site.request(ann, **wish(entry, key="w2"))
        await site.world.data(CANCEL, ann, input={"by": {"clientWithdrawalId": "w1"}})
        seen = [_told(await anext(answers)) for _ in range(2)]
    assert seen == [
        {"clientWithdrawalId": "w2", "status": "AWAITING_CONFIRMATION"},
        {"clientWithdrawalId": "w1", "status": "CANCELED"},
    ]


async def test_somebody_elses_withdrawal_is_none(site: Site) -> None:
    ann, entry = await site.entry(await site.person())
    row = (await site.request(ann, **wish(entry)))["withdrawal"]
    bob = await site.person("bob@example.org")
    assert (await site.world.data(CANCEL, bob, input={"by": {"id": row["id"]}}))["cancelWithdrawal"]["errors"] == [
        {"code": "UNKNOWN_WITHDRAWAL"}
    ]
    found = await site.world.data(
        "query($by: WithdrawalRef!) { withdrawal(by: $by) { id } }", bob, by={"id": row["id"]}
    )
    assert found["withdrawal"] is None


class Fickle:
    """A contract that accepts what it likes."""

    def __init__(self) -> None:
        self.accepts = True
        self.contradicted = False

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
        if self.contradicted:
            raise NodesContradict("nodes tell different things")
        return (bytes.fromhex("1626ba7e") if self.accepts else b"").ljust(32, b"\0")

    async def code(self, chain: str, address: str) -> bytes:
        return b"\x00"


async def test_nothing_is_sent_to_a_contract_wallet_that_is_not_its_owners_any_more(database: Database) -> None:
    contract = Fickle()
    async with opened(contract) as site:
        ann, entry = await site.entry(await site.person())
        proof = ContractProof(chain="ethereum", message="a message", signature="0x" + "11" * 70)
        row = WalletDocument(
            id="w1", user_id=ann.user_id, slot=0, family=ChainFamily.EVM, address=STRANGER, linked_ms=1, contract=proof
        )
        assert await wallet.insert(row)
        asked = await site.request(ann, **wish(entry))
        assert asked["errors"] == []
        token = await site.world.token("confirm-withdrawal")
        contract.accepts = False
        async with unchanged(database):
            refused = await site.request(ann, **wish(entry, "w2"), proven=False)
            assert [each["code"] for each in refused["errors"]] == ["CONTRACT_WALLET_REFUSED"]
            payload = await site.world.data(CONFIRM, None, input={"token": token})
            assert payload["confirmWithdrawal"]["errors"] == [{"code": "CONTRACT_WALLET_REFUSED"}]
            contract.contradicted = True
            refused = await site.request(ann, **wish(entry, "w2"), proven=False)
            assert [each["code"] for each in refused["errors"]] == ["PROVIDER_LYING"]
        contract.accepts, contract.contradicted = True, False
        payload = await site.world.data(CONFIRM, None, input={"token": token})
        assert payload["confirmWithdrawal"]["errors"] == []
        contract.accepts = False
        chain, world = SmallChain(), site.world
        steps = build_steps(
            world.custody,
            chain,
            gateway=site.house.gateway,
            accounts=world.funds.accounts,
            catalogue=world.catalogue,
            clock=world.clock,
        )
        id_ = decode_id(asked["withdrawal"]["id"])[1][0]
        await steps.step(id_)
        held = await withdrawal.by_id(id_)
        assert held is not None
        assert (held.status, chain.signed) == (WithdrawalStatus.HELD, [])
        assert "the contract of this wallet does not accept" in (held.reason or "")
        contract.accepts = True
        world.clock.advance(3600)
        await steps.step(id_)
        await steps.step(id_)
        assert len(chain.signed) == 1
        sent = await withdrawal.by_id(id_)
        assert sent is not None
        assert sent.hash is not None
        mail = await world.mail("Withdrawal sent")
        link = world.catalogue.chains["ethereum"].transaction_url(sent.hash)
        assert link is not None
        assert f"Transaction: {sent.hash}\n" in mail.text
        assert f"Where to see it: {link}\n" in mail.text
        assert f'<a href="{link}"' in mail.html
