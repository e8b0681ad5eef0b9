"""The Merkle-sum tree: every proof verifies with the script that people use, and nothing else does."""

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from core.money import canonical
from services import liability_tree
from services.liability_tree import CHUNK, Leaf, NegativeBalance
from tests.liability_answers import SCALES, SECRET, answers, listed, problem, public_key, run_script, script

UNITS = st.dictionaries(st.sampled_from(sorted(SCALES)), st.integers(0, 10**40), max_size=4)
ACCOUNTS = st.dictionaries(st.text("abcdefXYZ0189_-", min_size=1, max_size=20), UNITS, min_size=1, max_size=40)
PEOPLE = {f"account-{number}": {"BTC": number * 10**7, "ETH": number} for number in range(1, 12)}


@settings(max_examples=40, deadline=None)
@given(ACCOUNTS)
def test_everybody_can_verify_and_the_totals_are_the_sum(accounts: dict[str, dict[str, int]]) -> None:
    found = answers(accounts)
    totals = {asset: sum(units.get(asset, 0) for units in accounts.values()) for asset in SCALES}
    for answer in found.values():
        assert answer["data"]["viewer"]["liabilityProof"]["report"]["totals"] == listed(totals)
    for answer in list(found.values())[:4]:
        assert problem(answer, public_key=public_key()) is None


@pytest.mark.parametrize("count", [1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3, 5 * CHUNK])
def test_chunks_make_one_tree(count: int) -> None:
    accounts = {f"account-{number}": {"BTC": number + 1} for number in range(count)}
    leaves = [Leaf(account, units) for account, units in accounts.items()]
    tree = liability_tree.build(leaves, SECRET, SCALES)
    placed = sorted(leaves, key=lambda leaf: liability_tree.place_of(SECRET, leaf.account))
    level = [liability_tree.leaf_node(leaf, SECRET, SCALES) for leaf in placed]
    while len(level) > 1:
        level = liability_tree._above(level, SCALES)
    assert tree.root == level[0]
    asked = {placed[0].account, placed[-1].account, placed[count // 2].account}
    assert [problem(answer) for answer in answers(accounts, asked=asked).values()] == [None] * len(asked)


def test_a_place_is_found_by_its_account_alone() -> None:
    tree = liability_tree.build([Leaf(name, units) for name, units in PEOPLE.items()], SECRET, SCALES)
    (chunk,) = tree.chunks
    assert liability_tree.prove(chunk, "nobody", SECRET, SCALES) is None
    assert liability_tree.chunk_of(tree.firsts, bytes(16)) is None
    other = [leaf["id"] for leaf in _order(bytes(32))]
    assert other != [leaf["id"] for leaf in _order(SECRET)], "the order is of this report alone"


def _order(secret: bytes) -> list[dict[str, str]]:
    tree = liability_tree.build([Leaf(name, units) for name, units in PEOPLE.items()], secret, SCALES)
    return [{"id": owner} for owner, _ in json.loads(next(tree.chunks))["leaves"]]


def test_less_than_nothing_is_not_reported() -> None:
    with pytest.raises(NegativeBalance):
        liability_tree.build([Leaf("anna", {"BTC": 5}), Leaf("ben", {"BTC": -1})], SECRET, SCALES)


@given(st.integers(0, 10**60), st.integers(0, 18))
def test_the_text_of_an_amount_is_that_of_the_api(units: int, scale: int) -> None:
    assert liability_tree.decimal_text(units, scale) == canonical(Decimal(units).scaleb(-scale))


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every text and number of an answer is."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*at, key))
    else:
        yield at


def _changed(answer: dict[str, Any], at: tuple[Any, ...], change: Callable[[Any], Any]) -> dict[str, Any]:
    copied = copy.deepcopy(answer)
    inside: Any = copied
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = change(inside[at[-1]])
    return copied


SOUND = answers(PEOPLE, previous="ab" * 32)["account-6"]
ALL_PLACES = list(_places(SOUND))


def test_it_is_sound_before_it_is_changed() -> None:
    assert problem(SOUND) is None
    assert len(ALL_PLACES) > 30


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL_PLACES), st.data())
def test_any_changed_character_is_seen(at: tuple[Any, ...], data: st.DataObject) -> None:
    def change(value: Any) -> Any:
        if isinstance(value, int):
            return value + data.draw(st.sampled_from([-1, 1, 2**40]))
        place = data.draw(st.integers(0, len(value) - 1))
        other = data.draw(st.sampled_from("0123456789abcdefABZ.-_=\n ").filter(lambda c: c != value[place]))
        kind = data.draw(st.sampled_from(["replace", "insert", "remove"]))
        rest = value[place + (kind != "insert") :]
        return value[:place] + (other if kind != "remove" else "") + rest

    changed = _changed(SOUND, at, change)
    assert changed == SOUND or problem(changed) is not None


Proof = dict[str, Any]


def _negative(proof: Proof) -> None:
    proof["path"][0]["sums"][0]["amount"] = "-" + proof["path"][0]["sums"][0]["amount"]


def _swap(proof: Proof) -> None:
    step = proof["path"][1]
    step["side"] = "LEFT" if step["side"] == "RIGHT" else "RIGHT"


CHEATS: dict[str, Callable[[Proof], object]] = {
    "an amount is left out": lambda proof: proof["amounts"].pop(),
    "an amount is doubled": lambda proof: proof["amounts"].append(proof["amounts"][0]),
    "a step is left out": lambda proof: proof["path"].pop(),
    "the first step is left out": lambda proof: proof["path"].pop(0),
    "there is no path": lambda proof: proof["path"].clear(),
    "a sum of a step is left out": lambda proof: proof["path"][0]["sums"].clear(),
    "a sum is below zero": _negative,
    "a step stands on the other side": _swap,
    "a total is left out": lambda proof: proof["report"]["totals"].pop(),
    "there are no totals": lambda proof: proof["report"].pop("totals"),
    "the previous root is left out": lambda proof: proof["report"].pop("previousRoot"),
    "there is no previous report": lambda proof: proof["report"].update(previousRoot=None),
    "an amount is a number": lambda proof: proof["amounts"][0].update(amount=1),
    "there is no signature": lambda proof: proof["report"].update(signature=None),
    "the assets are in another order": lambda proof: proof["amounts"].reverse(),
    "there are fewer accounts than steps": lambda proof: proof["report"].update(accounts=2),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheats_are_seen(cheat: str) -> None:
    changed = copy.deepcopy(SOUND)
    CHEATS[cheat](changed["data"]["viewer"]["liabilityProof"])
    assert problem(changed) is not None


def test_a_path_of_negative_sums_that_hashes_well_is_refused() -> None:
    """What an operator could do who takes a debt they invented off the totals: all hashes are right, and a sum is below zero."""
    anna, fake = {"BTC": 500_000_000}, "-4.99999999"
    salt = "11" * 32
    leaf = script.hash_of(script.LEAF, salt, "VXNlcjphbm5h", "BTC=5")
    root = script.hash_of(script.NODE, leaf, "BTC=5", "22" * 32, f"BTC={fake}")
    step = {"side": "RIGHT", "hash": "22" * 32, "sums": [{"asset": {"code": "BTC"}, "amount": fake}]}
    proof = {"salt": salt, "leaf": leaf, "amounts": listed(anna), "path": [step], "report": {"root": root}}
    answer = {"data": {"viewer": {"id": "VXNlcjphbm5h", "liabilityProof": proof}}}
    assert problem(answer) == "the sums of step 1: -4.99999999 BTC is less than nothing"


def test_one_leaf_cannot_be_shown_to_two_people() -> None:
    other = _changed(SOUND, ("data", "viewer", "id"), lambda _: answers(PEOPLE)["account-5"]["data"]["viewer"]["id"])
    assert problem(other) == "the leaf is not the hash of this salt, account and amounts"


def test_what_is_known_from_elsewhere_is_compared() -> None:
    report = SOUND["data"]["viewer"]["liabilityProof"]["report"]
    assert problem(SOUND, public_key=public_key(), root=report["root"], previous_root="ab" * 32) is None
    assert "not with the key you noted" in (problem(SOUND, public_key="A" * 43) or "")
    assert "shown different reports" in (problem(SOUND, root="00" * 32) or "")
    assert "does not name the one you kept" in (problem(SOUND, previous_root="00" * 32) or "")


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_signatures_are_judged_as_by_a_library(seed: bytes, message: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = private.sign(message)
    assert script.is_signed(public, message, signature)
    assert not script.is_signed(public, message + b"!", signature)
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + script.Q).to_bytes(32, "little")
    assert not script.is_signed(public, message, malleable)


def test_the_script_alone(tmp_path: Path) -> None:
    status, out, err = run_script(tmp_path, SOUND, "--public-key", public_key())
    assert (status, err) == (0, "")
    assert out.endswith("VERIFIED\n")
    assert "stands in the report with BTC=0.6,ETH=0.000000000000000006" in out
    assert "totals: BTC=6.6,ETH=0.000000000000000066, of 11 accounts" in out
    changed = _changed(SOUND, ("data", "viewer", "liabilityProof", "amounts", 0, "amount"), lambda _: "0.5")
    status, out, err = run_script(tmp_path, changed)
    assert (status, out) == (1, "")
    assert err == "DOES NOT HOLD: the leaf is not the hash of this salt, account and amounts\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"data": null}',
        '{"data": {"viewer": null}}',
        '{"data": {"viewer": {"id": "x"}}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_answer_is_told(tmp_path: Path, text: str) -> None:
    status, out, err = run_script(tmp_path, text)
    assert (status, out) == (1, "")
    assert err.startswith("DOES NOT HOLD: ")
    assert "Traceback" not in err
