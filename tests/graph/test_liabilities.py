"""Proofs of liabilities over the surface: public reports, proofs for their owners alone, and the script that verifies what was answered."""

from collections.abc import AsyncIterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, print_ast, validate

from core.database import Database
from core.ids import encode_id
from services import peoples_funds
from services.liabilities import LiabilityReporter, ReportRules
from services.liability_key import LiabilityKey
from services.peoples_funds import PeoplesFunds
from tests.accounts import BOX, Person, World, world
from tests.attacks.people import codes_of
from tests.components import schema_text
from tests.liability_answers import PROOF, SCRIPT, problem, run_script

REPORT = """query Report($root: String) { liabilities(reportRoot: $root) {
  id root previousRoot sequence accounts time signature publicKey totals { asset { code } amount }
} }"""
SCALES = {"BTC": 8, "USDT": 6}


@pytest.fixture
async def here(database: Database) -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def reported(
    here: World, monkeypatch: pytest.MonkeyPatch, accounts: dict[str, dict[str, int]]
) -> LiabilityReporter:
    async def read() -> PeoplesFunds:
        return PeoplesFunds(41, accounts)

    monkeypatch.setattr(peoples_funds, "read", read)
    key = LiabilityKey(BOX)
    await key.load()
    reporter = LiabilityReporter(key, here.clock, SCALES, ReportRules(hours=24, kept=1))
    await reporter.make()
    return reporter


async def test_a_report_is_everybodys_and_a_proof_its_owners(
    here: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    anna, ben = await here.signed_up("anna@example.com"), await here.signed_up("ben@example.com")
    assert (await here.data(REPORT))["liabilities"] is None
    assert (await here.data(PROOF, anna))["viewer"]["liabilityProof"] is None
    others = {f"person-{number}": {"USDT": number} for number in range(20)}
    await reported(here, monkeypatch, {anna.user_id: {"BTC": 150_000_000, "USDT": 7}, **others})
    report = (await here.data(REPORT))["liabilities"]
    assert report == {
        **{"id": encode_id("LiabilityReport", 1), "previousRoot": None, "sequence": 41, "accounts": 21},
        **{"time": "2026-09-21T14:13:20.000Z", "root": report["root"], "signature": report["signature"]},
        "publicKey": report["publicKey"],
        "totals": [
            {"asset": {"code": "BTC"}, "amount": "1.5"},
            {"asset": {"code": "USDT"}, "amount": "0.000197"},
        ],
    }
    answer = await here.ask(PROOF, anna)
    proof = answer["data"]["viewer"]["liabilityProof"]
    assert proof["report"] == report
    assert proof["amounts"] == [
        {"asset": {"code": "BTC"}, "amount": "1.5"},
        {"asset": {"code": "USDT"}, "amount": "0.000007"},
    ]
    assert problem(answer, public_key=report["publicKey"], root=report["root"]) is None
    status, out, err = run_script(tmp_path, answer)
    assert (status, err) == (0, ""), err
    assert "BTC=1.5,USDT=0.000007" in out
    assert (await here.data(PROOF, ben))["viewer"]["liabilityProof"] is None
    assert (await here.data(PROOF))["viewer"] is None


async def test_an_account_with_nothing_is_in_it(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = await here.signed_up("anna@example.com")
    await reported(here, monkeypatch, {anna.user_id: {}, "ben": {"BTC": 1}})
    answer = await here.ask(PROOF, anna)
    assert answer["data"]["viewer"]["liabilityProof"]["amounts"] == []
    assert problem(answer) is None


async def test_the_chain_of_reports_can_be_walked(
    here: World, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    anna: Person = await here.signed_up("anna@example.com")
    reporter = await reported(here, monkeypatch, {anna.user_id: {"BTC": 1}})
    second = await reporter.make()
    newest = (await here.data(REPORT))["liabilities"]
    assert newest["root"] == second.root
    first = (await here.data(REPORT, root=newest["previousRoot"]))["liabilities"]
    assert (first["root"], first["previousRoot"]) == (newest["previousRoot"], None)
    of_root = "query($root: String) { viewer { liabilityProof(reportRoot: $root) { leaf } } }"

    async def proof(root: str) -> Any:
        return (await here.data(of_root, anna, root=root))["viewer"]["liabilityProof"]

    assert await proof(newest["root"]) is not None
    assert await proof(first["root"]) is None, "its tree is not kept"
    assert (await here.data(REPORT, root="ab" * 32))["liabilities"] is None
    body = await here.ask(REPORT, root="the first")
    assert (codes_of(body), body["errors"][0]["extensions"]["field"]) == (["BAD_USER_INPUT"], ["reportRoot"])


@pytest.mark.parametrize("page", [SCRIPT, SCRIPT.parent / "proof-of-liabilities.md"], ids=lambda page: page.name)
def test_what_people_are_told_to_ask_is_what_is_verified(page: Path) -> None:
    text = page.read_text()
    start = text.index("query Proof")
    depths = accumulate({"{": 1, "}": -1}.get(character, 0) for character in text[start:])
    opened = text.index("{", start) - start
    end = next(place for place, depth in enumerate(depths) if place > opened and not depth)
    told = parse(text[start : start + end + 1])
    assert validate(build_schema(schema_text()), told) == []
    assert sorted(print_ast(told).split()) == sorted(print_ast(parse(PROOF)).split())
