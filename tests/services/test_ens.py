"""Names: forwards, backwards with the check, and what is not followed or believed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from ens._normalization import normalize_name_ensip15
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.ens import NameMalformed, namehash, normal_name
from services.chains import Chains
from services.ens import Names
from tests.evm import (
    FRIEND,
    OWNER,
    STRANGER,
    calldata,
    catalogue_with,
    chains_of,
    client_of,
    deploy,
    local_chain,
    send,
)

EVM = ChainFamily.EVM


@dataclass
class Ens:
    """A registry with a resolver, and the service that reads them."""

    client: EvmClient
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
    async with local_chain() as client:
        registry, resolver = await deploy(client, "EnsRegistry"), await deploy(client, "EnsResolver")
        clock = ManualClock()
        names = Names(chains_of(catalogue_with(ens_registry=registry), client), clock)
        yield Ens(client, clock, registry, resolver, names)
        await names.close()


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
