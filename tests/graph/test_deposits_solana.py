"""Deposits on Solana over GraphQL: a memo and what wallets scan, what names nobody, and the operator who finds out whose it is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, Role
from core.database import Database
from core.ids import encode_id
from core.paging import PageRequest
from core.refusals import WalletRefused
from core.vocabulary import TimeOrder
from core.wallet_vocabulary import ChainNetwork
from models import unclaimed_deposit
from models.deposit import DepositDocument
from models.deposit_address import DepositPlace
from services.catalogue import read_files
from services.deposit_addresses import DepositAddresses
from tests.accounts import CLIENT, Person
from tests.attacks.people import as_operator
from tests.custody import SOLANA_HOUSE
from tests.deposits_solana import SOL, D, SolanaSite, opened
from tests.models import query_guard
from tests.stored import unchanged

CREATE = """mutation($chain: String!) { createDepositAddress(input: {chain: $chain}) {
  depositAddress { id address memo uri qrSvg chain { key } } errors { code field message }
} }"""
UNCLAIMED = """query($dust: Boolean! = false, $first: Int, $after: String) { admin {
  unclaimedDeposits(dust: $dust, first: $first, after: $after) {
    nodes { id amount address sender hash memos explorerUrl time asset { code } chain { key } } pageInfo { hasNextPage endCursor }
  }
} }"""
ASSIGN = """mutation($input: AssignDepositInput!) { assignDeposit(input: $input) {
  deposit { status amount } errors { code field }
} }"""


@pytest.fixture
async def site(database: Database) -> AsyncIterator[SolanaSite]:
    async with opened() as made:
        yield made


@pytest.fixture
async def boss(site: SolanaSite) -> Person:
    return await as_operator(site.world, await site.world.signed_up("boss@example.org"), Role.ADMIN)


async def listed(site: SolanaSite, boss: Person, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await site.world.data(UNCLAIMED, boss, **variables))["admin"]["unclaimedDeposits"]
    return found


async def assigned(site: SolanaSite, boss: Person, id_: str, user_id: str) -> dict[str, Any]:
    given = {"id": id_, "account": user_id, "reason": "ticket 7"}
    proof = await site.world.proof(boss, "assignDeposit", given)
    done: dict[str, Any] = (await site.world.data(ASSIGN, boss, input={**given, "stepUpProof": proof}))["assignDeposit"]
    return done


async def test_everybody_has_the_same_address_and_a_memo_of_their_own(site: SolanaSite, database: Database) -> None:
    async with unchanged(database):
        first = (await site.world.data(CREATE, site.person, chain="solana"))["createDepositAddress"]
    made = first["depositAddress"]
    assert (made["address"], made["memo"], first["errors"]) == (SOLANA_HOUSE, site.memo, [])
    assert made["uri"] == f"solana:{SOLANA_HOUSE}?memo={site.memo}"
    assert made["qrSvg"].startswith("<svg")
    found = await site.world.data("query($id: ID!) { node(id: $id) { id } }", site.person, id=made["id"])
    assert found["node"] == {"id": made["id"]}
    text = "query($asset: String) { viewer { depositAddresses(asset: $asset) { memo chain { key } } } }"
    shown = (await site.world.data(text, site.person, asset="SOL"))["viewer"]["depositAddresses"]
    assert shown == [{"memo": site.memo, "chain": {"key": "solana"}}]
    _, other = await site.newcomer("bob@example.org")
    assert other != site.memo
    assert len(other) == len(site.memo) == 10


async def test_wallets_open_a_link_for_each_asset(site: SolanaSite) -> None:
    text = "{ viewer { depositAddresses { chain { key } links { asset { code } uri qrSvg } } } }"
    await site.world.data(CREATE, site.person, chain="solana")
    (shown,) = (await site.world.data(text, site.person))["viewer"]["depositAddresses"]
    assert [(each["asset"]["code"], each["uri"]) for each in shown["links"]] == [
        ("SOL", f"solana:{SOLANA_HOUSE}?memo={site.memo}")
    ]
    assert shown["links"][0]["qrSvg"].startswith("<svg")
    place, _ = await site.world.custody.deposit_addresses.create(site.person.viewer, "solana")
    known = read_files(ChainNetwork.MAINNET)
    addresses = DepositAddresses(catalogue=known, keys={}, shared={}, watched=frozenset(), clock=site.world.clock)
    links = {each.asset: each.uri for each in addresses.links(place, known.chains["solana"])}
    mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    assert links["USDC"] == f"solana:{SOLANA_HOUSE}?spl-token={mint}&memo={site.memo}"
    elsewhere = DepositPlace("", "0x00000000219ab540356cBB839Cbe05303d7705Fa", None, 0)
    links = {each.asset: each.uri for each in addresses.links(elsewhere, known.chains["ethereum"])}
    contract = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
    assert links["USDC"] == f"ethereum:{contract}@1/transfer?address={elsewhere.address}"


async def test_what_names_nobody_is_assigned_by_an_operator_once(site: SolanaSite, boss: Person) -> None:
    signature = site.pay(site.sol(2 * SOL), memo="ann")
    site.pay(*site.tokens(site.usdc, 10**6), site.sol(1))
    site.chain.finalize()
    await site.run()
    page = await listed(site, boss, first=1)
    rest = await listed(site, boss, after=page["pageInfo"]["endCursor"])
    (row,) = [each for each in page["nodes"] + rest["nodes"] if each["asset"]["code"] == "SOL"]
    assert len(page["nodes"] + rest["nodes"]) == 2
    assert (row["amount"], row["memos"], row["hash"], row["address"]) == ("2", ["ann"], signature, SOLANA_HOUSE)
    assert [each["amount"] for each in (await listed(site, boss, dust=True))["nodes"]] == ["0.000000001"]
    by_id = "query($id: ID!) { node(id: $id) { id } }"
    assert (await site.world.data(by_id, boss, id=row["id"]))["node"] == {"id": row["id"]}
    assert (await site.world.data(by_id, site.person, id=row["id"]))["node"] is None
    ann = encode_id("User", site.person.user_id)
    for _ in range(2):
        done = await assigned(site, boss, row["id"], ann)
        assert done["errors"] == []
    assert await site.funds() == 0
    await site.run()
    assert (await site.funds(), site.reserve()) == (D(2), 2 * SOL)
    assert [each["asset"]["code"] for each in (await listed(site, boss))["nodes"]] == ["USDC"]
    assert (await assigned(site, boss, row["id"], ann))["deposit"] == {"status": "CREDITED", "amount": "2"}
    bob, _ = await site.newcomer("bob@example.org")
    late = await assigned(site, boss, row["id"], encode_id("User", bob.user_id))
    assert late == {"deposit": None, "errors": [{"code": "UNKNOWN_DEPOSIT", "field": ["id"]}]}
    await site.run()
    assert await site.funds() == 2
    request = (boss.user_id, [AuditAction.OPERATED], TimeOrder.NEWEST_FIRST, PageRequest())
    logged = await site.world.accounts.reads.audit_page(*request)
    assert [each.detail["account"] for each in logged.items] == [site.person.user_id]


@pytest.mark.parametrize("whose", ["boss", "nobody"])
async def test_to_whom_nothing_can_be_assigned(site: SolanaSite, boss: Person, whose: str) -> None:
    site.pay(site.sol(2 * SOL))
    site.chain.finalize()
    await site.run()
    (row,) = (await listed(site, boss))["nodes"]
    user = encode_id("User", boss.user_id if whose == "boss" else "nobody")
    done = await assigned(site, boss, row["id"], user)
    assert done == {"deposit": None, "errors": [{"code": "INVALID_INPUT", "field": ["account"]}]}
    wrong = await assigned(site, boss, encode_id("UnclaimedDeposit", "solana", "x", "coins"), user)
    assert wrong["errors"] == [{"code": "UNKNOWN_DEPOSIT", "field": ["id"]}]
    assert len((await listed(site, boss))["nodes"]) == 1


async def test_what_is_nobodys_explains_what_the_ledger_does_not_know(
    site: SolanaSite, boss: Person, database: Database
) -> None:
    site.pay(site.sol(2 * SOL))
    site.pay(site.sol(3 * SOL // 2), memo="?")
    site.pay(site.sol(SOL // 1000))
    site.pay(site.sol(SOL), memo=site.memo)
    site.chain.finalize()
    await site.run()
    text = "{ admin { ledgerAudit { assets { asset { code } reserves { chain { key } unclaimed ledgerCold } } } } }"
    with query_guard.RECORDER.recording(database.handle.name):  # an audit reads everybody
        lines = (await site.world.data(text, boss))["admin"]["ledgerAudit"]["assets"]
    (sol,) = [line for line in lines if line["asset"]["code"] == "SOL"]
    assert sol["reserves"] == [{"chain": {"key": "solana"}, "unclaimed": "3.501", "ledgerCold": "1"}]


async def test_of_two_operators_one_assigns_it(site: SolanaSite, boss: Person) -> None:
    site.pay(site.sol(2 * SOL))
    site.pay(site.sol(SOL))
    site.chain.finalize()
    await site.run()
    bob, _ = await site.newcomer("bob@example.org")
    rows = await unclaimed_deposit.seen_between(0, 2**53, dust=False)
    assigns = [
        site.world.custody.unclaimed.assign(boss.viewer, row.id, who.user_id, "asked", CLIENT)
        for row in rows
        for who in (site.person, bob)
    ]
    done = await asyncio.gather(*assigns, return_exceptions=True)
    assert sum(isinstance(each, WalletRefused) for each in done) == 2
    assert sum(isinstance(each, DepositDocument) for each in done) == 2
    await site.run()
    assert await site.funds() + await site.funds(person=bob) == 3


async def test_people_see_and_assign_nothing(site: SolanaSite) -> None:
    body = await site.world.ask(UNCLAIMED, site.person)
    assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    given = {"id": "x", "account": "y", "reason": "mine", "stepUpProof": "z"}
    body = await site.world.ask(ASSIGN, site.person, input=given)
    assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
