"""Deposit addresses from extended public keys: the vectors of BIP-49, 84 and 86, SLIP-132, BIP-32's invalid keys; and EVM addresses against eth-account."""

import pytest
from embit import base58, bip39
from embit.bip32 import HDKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.chains.bitcoin.addresses import ScriptType
from integrations.chains.bitcoin.keys import parse_bitcoin_account, parse_deposit_account
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.keys import KeyRefused, PrivateKeyRefused, parse_account_key, parse_evm_account
from tests.integrations.chains.bitcoin.house import MAIN, NETWORK, TEST

MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
ROOT = HDKey.from_seed(bip39.mnemonic_to_seed(MNEMONIC))
ZPUB = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
ZPRV = "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvBRmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE"
UPUB = "upub5EFU65HtV5TeiSHmZZm7FUffBGy8UKeqp7vw43jYbvZPpoVsgU93oac7Wk3u6moKegAEWtGNF8DehrnHtv21XXEMYRUocHqguyjknFHYfgY"
XPUB_86 = (
    "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
)
BIP_32_INVALID = [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
    "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGTQQD3dC4H2D5GBj7vWvSQaaBv5cxi9gafk7NF3pnBju6dwKvH",
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
    "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGpWnsj83BHtEy5Zt8CcDr1UiRXuWCmTQLxEK9vbz5gPstX92JQ",
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    "xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fEQ3Qen6J",
    "xprv9s2SPatNQ9Vc6GTbVMFPFo7jsaZySyzk7L8n2uqKXJen3KUmvQNTuLh3fhZMBoG3G4ZW1N2kZuHEPY53qmbZzCHshoQnNf4GvELZfqTUrcv",
    "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
]


def account_key(path: str, version: str = "0488b21e") -> str:
    text: str = ROOT.derive(path).to_public().to_base58(bytes.fromhex(version))
    return text


CASES = [
    (ZPUB, MAIN, None, 0, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "m/84'/0'/0'/0/0", ScriptType.P2WPKH),
    (ZPUB, MAIN, 84, 1, "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g", "m/84'/0'/0'/0/1", ScriptType.P2WPKH),
    (UPUB, TEST, None, 0, "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2", "m/49'/1'/0'/0/0", ScriptType.P2SH),
    (
        *(XPUB_86, MAIN, 86, 0, "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr", "m/86'/0'/0'/0/0"),
        ScriptType.P2TR,
    ),
    (
        *(XPUB_86, MAIN, 86, 1, "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh", "m/86'/0'/0'/0/1"),
        ScriptType.P2TR,
    ),
    (
        *(f"[73c5da0a/86'/0'/0']{XPUB_86}", MAIN, None, 0),
        *("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr", "m/86'/0'/0'/0/0", ScriptType.P2TR),
    ),
    (
        *(account_key("m/44h/0h/0h"), MAIN, None, 0, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA", "m/44'/0'/0'/0/0"),
        ScriptType.P2PKH,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "network", "purpose", "index", "address", "path", "type_"), CASES)
def test_published_accounts(  # noqa: PLR0917
    text: str, network: BitcoinNetwork, purpose: int | None, index: int, address: str, path: str, type_: ScriptType
) -> None:
    account = parse_bitcoin_account(text, network, purpose)
    found = account.address(index)
    assert (found.text, found.type, account.path(index), account.type) == (address, type_, path, type_)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 20))
def test_the_seeds_owner_finds_the_key_at_the_path(index: int, number: int) -> None:
    account = parse_bitcoin_account(account_key(f"m/84h/1h/{number}h", "045f1cf6"), NETWORK)
    own = ROOT.derive(account.path(index).replace("'", "h"))
    assert account.key.public_key(index) == own.sec()
    assert account.key.account == number


def test_evm_addresses_are_those_of_other_wallets() -> None:
    Account.enable_unaudited_hdwallet_features()
    account = parse_evm_account(account_key("m/44h/60h/0h"))
    for index in (0, 1, 2, 999):
        own = Account.from_mnemonic(MNEMONIC, account_path=account.path(index))
        assert account.address(index) == own.address
    assert account.address(0) == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
    assert account.path(7) == "m/44'/60'/0'/0/7"


@pytest.mark.parametrize("index", [-1, 2**31])
def test_there_are_no_other_indexes(index: int) -> None:
    with pytest.raises(ValueError, match="index"):
        parse_bitcoin_account(ZPUB, MAIN).address(index)


def test_a_private_key_is_refused_and_not_repeated() -> None:
    for text in (ZPRV, ROOT.to_base58(), ROOT.derive("m/84h/0h/0h").to_base58(), BIP_32_INVALID[0]):
        with pytest.raises(PrivateKeyRefused, match="PRIVATE") as refused:
            parse_account_key(f" {text} ")
        assert text[4:20] not in str(refused.value)
        assert refused.value.__cause__ is None


@pytest.mark.parametrize("text", [*BIP_32_INVALID, "", "xpub", ZPUB[:-1] + "t", ZPUB + "1", "x" * 10_000, MNEMONIC])
def test_what_is_no_account_key(text: str) -> None:
    with pytest.raises(KeyRefused) as refused:
        parse_account_key(text)
    assert len(text) < 10 or text[:10] not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "network", "purpose", "told"),
    [
        (ZPUB, TEST, None, "another network"),
        (ZPUB, NETWORK, None, "another network"),
        (UPUB, MAIN, None, "another network"),
        (ZPUB, MAIN, 44, "another kind"),
        (XPUB_86, MAIN, 45, "unknown kind"),
        (f"[73c5da0a/86'/1'/0']{XPUB_86}", MAIN, None, "another network"),
        (f"[73c5da0a/86'/0'/1']{XPUB_86}", MAIN, None, "origin contradicts"),
        (f"[73c5da0a/49'/0'/0']{ZPUB}", MAIN, None, "origin contradicts"),
        (account_key("m/84h/0h"), MAIN, None, "not the key of an account"),
        (account_key("m/84h/0h/0h/0"), MAIN, None, "not the key of an account"),
        (account_key("m/84h/0h/0"), MAIN, None, "not the key of an account"),
        (account_key("m"), MAIN, None, "not the key of an account"),
        (account_key("m/48h/0h/0h", "02aa7ed3"), MAIN, None, "several that sign together"),
        (base58.encode_check(bytes(4) + ROOT.derive("m/84h/0h/0h").to_public().serialize()[4:]), MAIN, None, "network"),
    ],
)
def test_keys_of_something_else(text: str, network: BitcoinNetwork, purpose: int | None, told: str) -> None:
    with pytest.raises(KeyRefused, match=told):
        parse_bitcoin_account(text, network, purpose)


def test_an_evm_account_is_of_coin_60() -> None:
    for text in (ZPUB, UPUB, f"[73c5da0a/44'/0'/0']{account_key('m/44h/0h/0h')}"):
        with pytest.raises(KeyRefused, match="another chain"):
            parse_evm_account(text)


def test_deposit_addresses_are_bip_84s_and_their_kind_is_never_guessed() -> None:
    """Addresses as the proposal publishes them."""
    addresses = parse_deposit_account(ZPUB, MAIN)
    assert [addresses.address(index) for index in (0, 1)] == [
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g",
    ]
    assert addresses.path(1) == "m/84'/0'/0'/0/1"
    told = f"[73c5da0a/84h/0h/0h]{account_key('m/84h/0h/0h')}"
    assert parse_deposit_account(told, MAIN).address(0) == addresses.address(0)
    with pytest.raises(KeyRefused, match="of which kind"):
        parse_deposit_account(account_key("m/84h/0h/0h"), MAIN)
    with pytest.raises(KeyRefused, match="another network"):
        parse_deposit_account(ZPUB, NETWORK)
