"""Deposit addresses of EVM chains: Anvil's published accounts, and eth-account's own derivation."""

import pytest
from embit import bip32, bip39
from embit.networks import NETWORKS
from eth_account import Account

from integrations.chains.evm.keys import EvmAccountKey
from integrations.chains.extended_keys import KeyRefused, PrivateKeyRefused
from tests.chains import ANVIL_ADDRESSES

PHRASE = "test " * 11 + "junk"
ROOT = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(PHRASE))


def xpub(path: str = "m/44h/60h/0h", version: str = "xpub") -> str:
    text: str = ROOT.derive(path).to_public(version=NETWORKS["main"][version]).to_base58()
    return text


def test_anvils_accounts() -> None:
    key = EvmAccountKey(xpub())
    assert [key.address(index).address for index in range(3)] == list(ANVIL_ADDRESSES)
    assert key.address(2).path == "m/44'/60'/0'/0/2"


@pytest.mark.parametrize("account", [0, 5])
def test_eth_account_derives_the_same(account: int) -> None:
    Account.enable_unaudited_hdwallet_features()
    key = EvmAccountKey(xpub(f"m/44h/60h/{account}h"))
    for index in (0, 1, 77, 2**31 - 1):
        found = key.address(index)
        assert found.path == f"m/44'/60'/{account}'/0/{index}"
        assert found.address == Account.from_mnemonic(PHRASE, account_path=found.path).address


def test_private_keys_and_keys_of_other_kinds_are_refused() -> None:
    private = ROOT.derive("m/44h/60h/0h").to_base58()
    with pytest.raises(PrivateKeyRefused) as refused:
        EvmAccountKey(private)
    assert private[4:20] not in str(refused.value)
    with pytest.raises(KeyRefused, match="zpub is no key for EVM chains; expected xpub"):
        EvmAccountKey(xpub(version="zpub"))
    with pytest.raises(KeyRefused, match="of depth 4"):
        EvmAccountKey(xpub("m/44h/60h/0h/0"))
    for index in (-1, 2**31):
        with pytest.raises(ValueError, match="0 to 2147483647"):
            EvmAccountKey(xpub()).address(index)
