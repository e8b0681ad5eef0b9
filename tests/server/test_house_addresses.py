"""Addresses of the house in the settings: checked when the process starts, in the order in which they are named."""

import pytest

from core.settings import Settings
from core.wallet_vocabulary import ChainNetwork
from server.custody import cold_wallets, shared_addresses
from server.errors import CannotRun
from services.catalogue import Catalogue, read_files
from tests.custody import SOLANA_HOUSE

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
