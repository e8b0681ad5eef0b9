"""What nobody signed, no compiler wrote and no wallet shows, by the hundred: signed transactions, ABI data and addresses that are a little or wholly wrong.

Every answer is data or a coded error, never INTERNAL; what is refused has stored nothing. A few examples in the ordinary run, many in `make soak`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from core.database import Database
from integrations.chains.bitcoin.signed import read_signed
from integrations.chains.solana.wire import from_base64
from tests.accounts import Person, World
from tests.attacks.test_account_fuzz import json_values, texts
from tests.bitcoin_deposits import BTC
from tests.chains import ANVIL_KEYS
from tests.evm import CHAIN_ID, FRIEND, OWNER, local_chain
from tests.graph import test_bitcoin_transfers as bitcoin
from tests.graph import test_transfers as evm
from tests.graph import test_transfers_solana as solana
from tests.graph.test_withdrawals import ADD
from tests.stored import PASSING, Rows, everything, forget_new

FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=500)
FAMILIES = ("ethereum", "bitcoin", "solana")
COINS = {"ethereum": "ETH", "bitcoin": "BTC", "solana": "SOL"}
REFUSED = {"ADDRESS_INVALID", "ADDRESS_WRONG_NETWORK"}


@dataclass(frozen=True)
class Signed:
    """A transaction that a node would take: its bytes, and how they are written. `hash` where that does not cover all of them, as of Bitcoin's
    signatures; `loose`: there is something in it that is no part of the transaction at all."""

    raw: bytes
    write: Callable[[bytes], str]
    hash: str | None = None
    loose: bool = False


@dataclass
class Site:
    """Somebody who is signed in, a chain, what they have signed there, and two good addresses."""

    vault: World
    person: Person
    database: Database
    chain: str
    signed: Sequence[Signed]
    sender: str
    recipient: str
    before: Rows = field(default_factory=dict)
    sent: bool = False
    """Whether the chain has the transaction by now: then it is told of whoever names it, whatever its signatures."""

    async def refused_or_answered(self, document: str, given: Mapping[str, Any], *, but: tuple[str, ...] = ()) -> Any:
        """The payload where something was done, else None and nothing is stored; `but`: what an answer may store."""
        if not self.before:
            self.before = await everything(self.database, but=PASSING)
        body = await self.vault.ask(document, self.person, input=given)
        errors = body.get("errors") or []
        codes = [error["extensions"]["code"] for error in errors]
        (payload,) = (body.get("data") or {"none": None}).values()
        refusals = [] if payload is None else payload.get("errors") or []
        codes += [each["code"] for each in refusals]
        assert "INTERNAL" not in codes, f"{given}: {body}"
        assert bool(codes) == (payload is None or bool(refusals)), f"{given}: {body}"
        assert all(each["message"] for each in (*errors, *refusals))
        if not codes:
            await forget_new(self.database, self.before, but)
        assert await everything(self.database, but=PASSING) == self.before, f"{given}: {body}"
        return codes or payload


@pytest.fixture(params=FAMILIES)
async def site(request: pytest.FixtureRequest, database: Database, litecoin_url: str) -> AsyncIterator[Site]:
    if request.param == "ethereum":
        async with local_chain() as client, evm.desk_on(client) as desk:
            signed = [_ethereum(evm.sign(await desk.prepare())), _ethereum(_legacy())]
            yield Site(desk.vault, desk.person, database, "ethereum", signed, OWNER, FRIEND)
    elif request.param == "bitcoin":
        async with bitcoin.desk_on(litecoin_url, "esplora") as coins:
            await coins.nodes.pay(coins.key.address.text, BTC)
            psbt = coins.key.sign(bitcoin.psbt_of(await coins.prepare()))
            ends = (coins.key.address.text, coins.friend.address.text)
            yield Site(coins.vault, coins.person, database, "bitcoin", _bitcoin(psbt), *ends)
    else:
        async with solana.desk_on() as sol:
            raw = from_base64(solana.sign(await sol.prepare()))
            signed = [Signed(raw, lambda raw: b64encode(raw).decode())]
            ends = (solana.key(solana.OWNER), solana.key(solana.FRIEND))
            yield Site(sol.vault, sol.person, database, "solana", signed, *ends)


def _ethereum(text: str) -> Signed:
    return Signed(bytes.fromhex(text[2:]), lambda raw: "0x" + raw.hex())


def _legacy() -> str:
    fields = {"nonce": 1, "to": FRIEND, "value": 7, "gas": 21_000, "gasPrice": 30 * 10**9, "chainId": CHAIN_ID}
    return "0x" + bytes(Account.sign_transaction(fields, ANVIL_KEYS[0]).raw_transaction).hex()


def _bitcoin(psbt: str) -> list[Signed]:
    read = read_signed(psbt)
    written = from_base64(psbt)
    return [
        Signed(written, lambda raw: b64encode(raw).decode(), read.tx.txid, loose=True),
        Signed(read.raw, bytes.hex, read.tx.txid),
    ]


def _flipped(raw: bytes, place: int, byte: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ byte]) + raw[place + 1 :]


CHANGES: Sequence[Callable[[bytes, int, int], bytes]] = (
    _flipped,
    lambda raw, place, _: raw[:place],
    lambda raw, place, byte: raw + bytes([byte]) * (place % 40 + 1),
    lambda raw, place, byte: raw[:place] + bytes([byte]) + raw[place:],
    lambda raw, place, _: raw[:place] + raw[place + 1 :],
    lambda raw, place, byte: raw[:place] + raw[place + byte :],
    lambda raw, place, byte: raw[: place + byte] + raw[place:],
)
changed = st.tuples(
    st.integers(0, 1),
    st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 2_000), st.integers(1, 255)), min_size=1, max_size=2),
)
Changed = tuple[int, list[tuple[Callable[[bytes, int, int], bytes], int, int]]]


async def broadcast(site: Site, what: Changed) -> None:
    which, steps = what
    signed = site.signed[which % len(site.signed)]
    raw = signed.raw
    for change, place, byte in steps:
        raw = change(raw, place % len(raw), byte) if raw else raw
    assume(raw != signed.raw)
    given = {"clientBroadcastId": "b1", "chain": site.chain, "signed": signed.write(raw)}
    answer = await site.refused_or_answered(evm.SEND, given, but=("broadcasts", "chain_transactions"))
    if not isinstance(answer, list):
        assert answer["transaction"]["hash"] == signed.hash
        assert signed.loose or site.sent, "only what does not count in a PSBT may differ"
        site.sent = True


@FEW
@given(what=changed)
async def test_what_was_changed_after_it_was_signed_is_not_sent(site: Site, what: Changed) -> None:
    await broadcast(site, what)


@pytest.mark.soak
@pytest.mark.timeout(900)
@MANY
@given(what=changed)
async def test_what_was_changed_after_it_was_signed_is_not_sent_for_long(site: Site, what: Changed) -> None:
    await broadcast(site, what)


KINDS = (
    *(
        "address",
        "uint256",
        "int8",
        "bool",
        "string",
        "bytes",
        "bytes32",
        "uint256[]",
        "uint8[3][]",
        "tuple",
        "tuple[]",
    ),
    *(
        "uint257",
        "uint0",
        "bytes33",
        "bytes0",
        "uint256[",
        "uint256[-1]",
        "uint256[0]",
        "uint8[99999999999]",
        "(uint256",
    ),
    *("function", "fixed128x18", "tuple[2][]", "string" + "[]" * 40, "u" * 300, "uint", "byte", "\u202euint256"),
)
kinds = st.sampled_from(KINDS) | texts
parameters = st.recursive(
    st.fixed_dictionaries({"type": kinds}, optional={"name": texts | json_values}),
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(("tuple", "tuple[]", "tuple[1]")), "components": st.lists(inner, max_size=3)}
    ),
    max_leaves=4,
)
names = st.sampled_from(("balanceOf", "transferFrom", "approve(address,uint256)", "f", "f()", "f(uint256)")) | texts
fragments = st.fixed_dictionaries(
    {"type": st.sampled_from(("function", "function", "event", "constructor")) | json_values, "name": names},
    optional={
        "inputs": st.lists(parameters, max_size=3) | json_values,
        "outputs": st.lists(parameters, max_size=3) | json_values,
        "stateMutability": st.sampled_from(("view", "payable", "pure")) | json_values,
    },
)
abis = st.just(evm.ABI) | st.lists(fragments | json_values, max_size=3) | json_values
numbers = st.integers(-(2**260), 2**260).map(str)
values = json_values | numbers | st.sampled_from((OWNER, FRIEND.lower(), "0x", "0xzz", "0x" + "00" * 32, "1e9", "0x10"))
calls = st.tuples(abis, names, st.lists(values | st.lists(values, max_size=2), max_size=3))
Call = tuple[Any, str, list[Any]]


async def call(site: evm.Desk, database: Database, what: Call) -> None:
    abi, function, arguments = what
    given = {
        "chain": "ethereum",
        "contract": site.contract,
        "abi": abi,
        "function": function,
        "arguments": arguments,
    }
    here = Site(site.vault, site.person, database, "ethereum", (), OWNER, FRIEND)
    await here.refused_or_answered(evm.READ, given)
    await here.refused_or_answered(evm.CALL, {**given, "from": OWNER}, but=("prepared_transactions",))


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[evm.Desk]:
    async with local_chain() as client, evm.desk_on(client) as made:
        yield made


@settings(FEW, max_examples=25)
@given(what=calls)
async def test_no_abi_and_no_argument_is_too_odd(desk: evm.Desk, database: Database, what: Call) -> None:
    await call(desk, database, what)


@pytest.mark.soak
@pytest.mark.timeout(900)
@settings(MANY, max_examples=3_000)
@given(what=calls)
async def test_no_abi_and_no_argument_is_too_odd_for_long(desk: evm.Desk, database: Database, what: Call) -> None:
    await call(desk, database, what)


ALIKE = {**dict(zip("aceopxyABCEHKMPTX", "асеорхуАВСЕНКМРТХ", strict=True)), "0": "О", "1": "l", "l": "1"}
ELSEWHERE = (
    *("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
    *(
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
    ),
    *("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0x", "anna.eth"),
    *(
        "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
    ),
)
"""Of other networks and other kinds, and what is none: no chain here takes them."""
WRONGS: Sequence[Callable[[str, int], str]] = (
    lambda good, place: good[:place] + ALIKE.get(good[place], chr(ord(good[place]) + 0xFEE0)) + good[place + 1 :],
    lambda good, place: good[:place] + chr(ord(good[place]) + 0xFEE0) + good[place + 1 :],
    lambda good, place: good[:place] + "\u200b\u202e \n\0\u00ad"[place % 6] + good[place:],
    lambda good, place: good[: max(0, min(place, len(good) - 3))],
    lambda good, place: good + good[: place + 3],
    lambda good, place: good[:2] + good[2 + place % 30 :].swapcase() if good[:2] == "0x" else f"{good} ",
    lambda _, place: ELSEWHERE[place % len(ELSEWHERE)],
)
wrong = st.tuples(st.sampled_from(WRONGS), st.integers(0, 200))
Wrong = tuple[Callable[[str, int], str], int]


async def pay(site: Site, what: Wrong) -> None:
    change, place = what
    to = change(site.recipient, place % len(site.recipient))
    given = {"chain": site.chain, "address": to, "label": "cold"}
    proof = await site.vault.proof(site.person, "addWithdrawalAddress", given)
    assert REFUSED.issuperset(await site.refused_or_answered(ADD, {**given, "stepUpProof": proof})), to
    good = {"chain": site.chain, "from": site.sender, "to": site.recipient, "token": COINS[site.chain], "amount": "0.1"}
    for name in ("to", "from"):
        found = await site.refused_or_answered(evm.PREPARE, {**good, name: to})
        assert REFUSED.issuperset(found), f"{name} {to!r}: {found}"


@FEW
@given(what=wrong)
async def test_nothing_goes_to_what_only_looks_like_an_address(site: Site, what: Wrong) -> None:
    await pay(site, what)


@pytest.mark.soak
@pytest.mark.timeout(900)
@MANY
@given(what=wrong)
async def test_nothing_goes_to_what_only_looks_like_an_address_for_long(site: Site, what: Wrong) -> None:
    await pay(site, what)
