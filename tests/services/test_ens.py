"""Names: forwards, backwards with the check, and what is not followed or believed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from ens._normalization import normalize_name_ensip15
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.ens import NameMalformed, namehash, normal_name, normalised
from integrations.chains.json_rpc import JsonRpc
from services import agreement
from services.chains import Chains
from services.ens import Names
from tests.chains import anvil
from tests.evm import (
    FRIEND,
    OWNER,
    STRANGER,
    calldata,
    catalogue_with,
    chains_of,
    client_of,
    deploy,
    mine,
    send,
)
from tests.evm_nodes import TwistedNode, client_of_nodes

EVM = ChainFamily.EVM


@dataclass
class Ens:
    """A registry with a resolver, and the service that reads them."""

    client: EvmClient
    url: str
    clock: ManualClock
    registry: str
    resolver: str
    names: Names

    async def point(self, name: str, address: str) -> None:
        await self.serve(name, self.resolver)
        await send(self.client, self.resolver, calldata("setAddr(bytes32,address)", namehash(name), address))

    async def serve(self, name: str, resolver: str) -> None:
        await send(self.client, self.registry, calldata("setResolver(bytes32,address)", namehash(name), resolver))

    async def claim(self, address: str, name: str) -> None:
        reverse = f"{address[2:].lower()}.addr.reverse"
        await self.serve(reverse, self.resolver)
        await send(self.client, self.resolver, calldata("setName(bytes32,string)", namehash(reverse), name))


@pytest.fixture
async def ens() -> AsyncIterator[Ens]:
    async with anvil() as url:
        client = client_of(url)
        registry, resolver = await deploy(client, "EnsRegistry"), await deploy(client, "EnsResolver")
        clock = ManualClock()
        names = Names(chains_of(catalogue_with(ens_registry=registry), client), clock)
        yield Ens(client, url, clock, registry, resolver, names)
        await names.close()
        await client.close()


def test_the_hash_of_a_name_is_the_standards() -> None:
    assert namehash("eth").hex() == "93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"
    assert namehash("foo.eth").hex() == "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"


@pytest.mark.parametrize(("given_", "normal"), [("Vitalik.ETH", "vitalik.eth"), ("Nick.eth", "nick.eth"), ("\u2167.eth", "viii.eth"), ("a\u200bb.eth", "ab.eth")])  # fmt: skip
def test_a_name_has_one_form(given_: str, normal: str) -> None:
    assert normal_name(given_) == normal


@pytest.mark.parametrize(
    "text",
    ["", "eth", "a..eth", ".eth", "vitalik.eth.", "vit\u0430lik.eth", "a b.eth", "a\u200cb.eth", "under_score.eth", "x" * 300, "\u202eeth.a"],
)  # fmt: skip
async def test_what_could_be_mistaken_is_no_name(text: str) -> None:
    names = Names(Chains(catalogue_with(ens_registry=OWNER).chains, {}, ManualClock()), ManualClock())
    with pytest.raises(WalletRefused) as refused:
        await names.resolve(text)
    assert (refused.value.reason, refused.value.field) == (WalletErrorCode.INVALID_INPUT, ["name"])


@settings(deadline=None)  # the tables of names are read with the first
@given(st.text(max_size=40).map(lambda text: text + ".eth"))
def test_any_text_is_a_normal_name_or_none(text: str) -> None:
    try:
        normal = normal_name(text)
    except NameMalformed:
        return
    assert normal_name(normal) == normal


async def test_a_name_leads_to_its_address_and_is_kept_for_a_moment(ens: Ens) -> None:
    assert await ens.names.resolve("nobody.eth") is None
    await ens.point("anna.eth", FRIEND)
    assert await ens.names.resolve("Anna.eth") == FRIEND
    await ens.point("anna.eth", STRANGER)
    assert await ens.names.resolve("anna.eth") == FRIEND
    ens.clock.advance(31)
    assert await ens.names.resolve("anna.eth") == STRANGER


async def test_an_address_has_the_name_that_leads_back_to_it(ens: Ens) -> None:
    assert await ens.names.name_of(EVM, FRIEND) is None
    ens.clock.advance(301)
    await ens.point("anna.eth", FRIEND)
    await ens.claim(FRIEND, "anna.eth")
    assert await ens.names.name_of(EVM, FRIEND) == "anna.eth"
    assert await ens.names.name_of(ChainFamily.SOLANA, FRIEND) is None


@pytest.mark.parametrize("claimed", ["anna.eth", "Anna.eth", "\u0430nna.eth", "nowhere.eth", "no name", "", "x" * 300 + ".eth"])  # fmt: skip
async def test_a_name_that_somebody_only_claims_is_not_shown(ens: Ens, claimed: str) -> None:
    await ens.point("anna.eth", FRIEND)
    await ens.claim(STRANGER, claimed)
    assert await ens.names.name_of(EVM, STRANGER) is None


async def test_a_name_in_another_case_is_not_taken_for_the_claimed_one(ens: Ens) -> None:
    await ens.point("anna.eth", FRIEND)
    await ens.claim(FRIEND, "Anna.eth")
    assert await ens.names.name_of(EVM, FRIEND) is None


async def test_names_below_a_wildcard_are_found_and_below_others_are_not(ens: Ens) -> None:
    await ens.serve("wild.eth", await deploy(ens.client, "EnsWildcard", ["address"], [FRIEND]))
    assert await ens.names.resolve("anything.wild.eth") == FRIEND
    await ens.point("anna.eth", FRIEND)
    assert await ens.names.resolve("sub.anna.eth") is None


async def test_a_name_off_the_chain_is_said_to_be(ens: Ens) -> None:
    await ens.serve("far.eth", await deploy(ens.client, "EnsOffChain"))
    with pytest.raises(WalletRefused) as refused:
        await ens.names.resolve("a.far.eth")
    assert refused.value.reason is WalletErrorCode.NOT_ENABLED
    assert "off the chain" in refused.value.message
    await ens.claim(FRIEND, "a.far.eth")
    assert await ens.names.name_of(EVM, FRIEND) is None


async def test_a_resolver_of_nonsense_leads_nowhere(ens: Ens) -> None:
    await ens.serve("odd.eth", await deploy(ens.client, "Stubborn"))
    await ens.serve("empty.eth", STRANGER)
    assert await ens.names.resolve("odd.eth") is None
    assert await ens.names.resolve("empty.eth") is None


@dataclass
class Doubted:
    """Names as read through two nodes, of which the second may be made to lie. Both are the same real one."""

    ens: Ens
    liar: TwistedNode
    names: Names

    def lie(self, about: str, instead: str) -> None:
        """Have the second node say another address wherever a contract says this one."""

        def twist(method: str, _params: Sequence[object], answer: Any) -> Any:
            told = method == "eth_call" and isinstance(answer, str)
            return answer.replace(about[2:].lower(), instead[2:].lower()) if told else answer

        self.liar.twist = twist


@pytest.fixture
async def doubted(ens: Ens) -> AsyncIterator[Doubted]:
    liar = TwistedNode(JsonRpc(ens.url))
    client = client_of_nodes(TwistedNode(JsonRpc(ens.url)), liar)
    names = Names(chains_of(catalogue_with(ens_registry=ens.registry), client), ens.clock)
    await ens.point("anna.eth", FRIEND)
    await ens.claim(FRIEND, "anna.eth")
    yield Doubted(ens, liar, names)
    await names.close()
    await client.close()


async def _code(asked: Awaitable[str | None]) -> WalletErrorCode:
    with pytest.raises(WalletRefused) as refused:
        await asked
    return refused.value.reason


async def test_one_node_that_lies_leads_nobody_anywhere(doubted: Doubted) -> None:
    doubted.lie(FRIEND, STRANGER)
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_LYING
    assert await _code(doubted.names.name_of(EVM, FRIEND)) is WalletErrorCode.PROVIDER_LYING
    doubted.liar.twist = None
    assert await doubted.names.resolve("anna.eth") == FRIEND
    assert await doubted.names.name_of(EVM, FRIEND) == "anna.eth"


async def test_one_node_cannot_give_a_name_to_an_address_that_has_none(doubted: Doubted) -> None:
    await doubted.ens.claim(STRANGER, "anna.eth")
    doubted.lie(FRIEND, STRANGER)
    assert await _code(doubted.names.name_of(EVM, STRANGER)) is WalletErrorCode.PROVIDER_LYING


async def test_one_node_cannot_say_that_a_name_is_elsewhere(doubted: Doubted) -> None:
    def twist(method: str, _params: Sequence[object], answer: Any) -> Any:
        if method == "eth_call":
            raise NodeRefused(3, "execution reverted", "0x556f1830")
        return answer

    doubted.liar.twist = twist
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_LYING


async def test_the_word_of_one_of_two_nodes_is_too_little(doubted: Doubted) -> None:
    doubted.liar.failure = ProviderFailed(Failure.TIMED_OUT, "did not answer in time")
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_UNAVAILABLE
    assert await _code(doubted.names.name_of(EVM, FRIEND)) is WalletErrorCode.PROVIDER_UNAVAILABLE


async def test_a_node_with_another_block_is_not_believed(doubted: Doubted) -> None:
    def twist(method: str, _params: Sequence[object], answer: Any) -> Any:
        return answer | {"hash": "0x" + "ab" * 32} if method == "eth_getBlockByNumber" else answer

    doubted.liar.twist = twist
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_LYING


async def test_an_old_block_of_a_node_that_is_far_behind_is_not_read(doubted: Doubted) -> None:
    await mine(doubted.ens.client, 20)

    def twist(method: str, params: Sequence[object], answer: Any) -> Any:
        return answer | {"number": "0x2"} if method == "eth_getBlockByNumber" and params[0] == "latest" else answer

    doubted.liar.twist = twist
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_UNAVAILABLE


async def test_a_node_that_is_a_block_behind_is_waited_for(doubted: Doubted) -> None:
    """The newest block that both have is read, though one of them has a newer one, where the name leads elsewhere."""
    before = await doubted.ens.client.block()
    assert before is not None
    older = hex(before.number)
    await doubted.ens.point("anna.eth", STRANGER)

    def twist(method: str, params: Sequence[object], answer: Any) -> Any:
        is_head = method == "eth_getBlockByNumber" and params[0] == "latest"
        return answer | {"number": older} if is_head else answer

    doubted.liar.twist = twist
    assert await doubted.names.resolve("anna.eth") == FRIEND


async def test_a_tip_that_honest_nodes_do_not_share_yet_is_no_lie(doubted: Doubted) -> None:
    """One has another newest block, or told of it before it has its state: a few blocks below it is read."""
    await mine(doubted.ens.client, 3)
    head = await doubted.ens.client.block()
    assert head is not None

    def forks(method: str, params: Sequence[Any], answer: Any) -> Any:
        is_tip = method == "eth_getBlockByNumber" and params[0] in ("latest", hex(head.number))
        return answer | {"hash": "0x" + "ab" * 32} if is_tip else answer

    def lags(method: str, params: Sequence[Any], answer: Any) -> Any:
        if method == "eth_call" and params[1] == {"blockHash": head.hash}:
            raise NodeRefused(-32000, "header not found")
        return answer

    for twist in (forks, lags):
        doubted.liar.twist = twist
        assert await doubted.names.resolve("anna.eth") == FRIEND
        doubted.ens.clock.advance(31)


async def test_a_node_that_stalls_is_too_few_in_time(doubted: Doubted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_ANSWER_SECONDS", 0.1)

    async def stalls(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(doubted.liar, "call", stalls)
    monkeypatch.setattr(doubted.names._chains.evm("ethereum").pool, "_probed", True)
    assert await _code(doubted.names.resolve("anna.eth")) is WalletErrorCode.PROVIDER_UNAVAILABLE


async def test_long_names_are_normalised_while_others_go_on() -> None:
    """A name that takes long leaves the loop to others, and is found all the same."""
    long, turns = ".".join(("ü" * 120, "ü" * 120, "eth")), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    assert await normalised(long.upper()) == long
    beside.cancel()
    assert turns > 10


@pytest.mark.parametrize("text", ["ü" * 252 + ".eth", "a." * 16 + "eth"])
async def test_names_that_are_too_long_are_not_even_tried(text: str) -> None:
    with pytest.raises(NameMalformed):
        await normalised(text)


async def test_without_a_registry_or_a_node_it_is_said_why() -> None:
    client = client_of("http://127.0.0.1:1")
    for known, code in (
        (catalogue_with(), WalletErrorCode.NOT_ENABLED),
        (catalogue_with(ens_registry=OWNER), WalletErrorCode.PROVIDER_UNAVAILABLE),
    ):
        names = Names(chains_of(known, client), ManualClock())
        with pytest.raises(WalletRefused) as refused:
            await names.resolve("anna.eth")
        assert refused.value.reason is code
    await client.close()


@given(st.from_regex(r"([a-z0-9]{1,8}\.){1,3}[a-z0-9]{1,8}", fullmatch=True))
def test_plain_names_are_normal_as_they_are(name: str) -> None:
    assert normalize_name_ensip15(name).as_text == name == normal_name(name.upper())
