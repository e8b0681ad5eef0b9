"""Addresses of the house in the settings: checked when the process starts, in the order in which they are named."""

import pytest

from core.settings import Settings
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainNetwork
from server.custody import cold_wallets, deposit_keys, shared_addresses
from server.errors import CannotRun
from services.catalogue import Catalogue, read_files
from tests.custody import BITCOIN_XPUB, SOLANA_HOUSE, XPUB

OTHER = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"


def settings(**given: str) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


@pytest.fixture
def catalogue() -> Catalogue:
    return read_files(ChainNetwork.LOCAL)


def test_each_once_the_first_first(catalogue: Catalogue) -> None:
    named = settings(deposit_addresses=f"solana={OTHER},solana={SOLANA_HOUSE},solana={OTHER}")
    assert shared_addresses(named, catalogue) == {"solana": (OTHER, SOLANA_HOUSE)}
    assert shared_addresses(settings(), catalogue) == {}
    assert cold_wallets(settings(cold_addresses=f"solana={OTHER}"), catalogue) == {"solana": frozenset({OTHER})}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"nochain={OTHER}", "there is no chain nochain"),
        ("solana=0x00000000219ab540356cBB839Cbe05303d7705Fa", "DEPOSIT_ADDRESSES: 0x"),
        ("solana=11111111111111111111111111111111", "nobody has the key"),
        ("ethereum=0x00000000219ab540356cBB839Cbe05303d7705Fa", "see DEPOSIT_XPUBS"),
    ],
)
def test_what_cannot_be_is_refused(catalogue: Catalogue, value: str, words: str) -> None:
    with pytest.raises(CannotRun, match=words):
        shared_addresses(settings(deposit_addresses=value), catalogue)


def test_every_family_has_addresses_of_its_own_key(catalogue: Catalogue) -> None:
    keys = deposit_keys(settings(deposit_xpubs=f"evm={XPUB}, bitcoin={BITCOIN_XPUB}"), catalogue)
    assert sorted(keys) == [ChainFamily.BITCOIN, ChainFamily.EVM]
    assert keys[ChainFamily.BITCOIN].address(0).startswith("bcrt1q")
    assert keys[ChainFamily.BITCOIN].path(3) == "m/84'/1'/7'/0/3"
    assert deposit_keys(settings(deposit_xpubs=f"bitcoin={BITCOIN_XPUB}"), catalogue).keys() == {ChainFamily.BITCOIN}
    assert deposit_keys(settings(), catalogue) == {}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"bitcoin={XPUB}", "another network"),
        (f"evm={BITCOIN_XPUB}", "another chain"),
        ("bitcoin=vpubnonsense", "no extended public key"),
        (
            "bitcoin=tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba",
            "of which kind",
        ),
    ],
)
def test_a_key_that_is_none_stops_the_process_and_is_not_repeated(catalogue: Catalogue, value: str, words: str) -> None:
    with pytest.raises(CannotRun, match=words) as refused:
        deposit_keys(settings(deposit_xpubs=value), catalogue)
    assert value.partition("=")[2] not in str(refused.value)
