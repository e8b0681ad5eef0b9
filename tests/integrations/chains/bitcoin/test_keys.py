"""Deposit addresses from extended public keys: the vectors of BIP-44, 49, 84 and 86, and keys that are refused."""

import pytest
from embit import bip32, bip39, script
from embit.networks import NETWORKS

from integrations.chains.bitcoin.addresses import parse_address
from integrations.chains.bitcoin.keys import Purpose, account_key
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.extended_keys import KeyRefused, PrivateKeyRefused
from tests.integrations.chains.bitcoin.networks import MAIN, REGTEST, TEST

PHRASE = "abandon " * 11 + "about"
"""The phrase of BIP-49's, BIP-84's and BIP-86's vectors."""
ROOT = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(PHRASE))
BIP_84 = (
    "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
)
BIP_86 = (
    "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
)


def account(path: str, version: str, network: str = "main") -> str:
    text: str = ROOT.derive(path).to_public(version=NETWORKS[network][version]).to_base58()
    return text


def test_bip_84s_vectors() -> None:
    key = account_key(BIP_84, MAIN)
    assert key.purpose is Purpose.P2WPKH
    first, second = key.address(0), key.address(1)
    assert (first.address.text, first.path) == ("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "m/84'/0'/0'/0/0")
    assert (second.address.text, second.path) == ("bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g", "m/84'/0'/0'/0/1")
    assert parse_address(first.address.text, MAIN) == first.address


def test_bip_86s_vectors() -> None:
    key = account_key(BIP_86, MAIN, Purpose.P2TR)
    assert key.address(0).address.text == "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
    assert key.address(1).address.text == "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh"
    assert key.address(1).path == "m/86'/0'/0'/0/1"


def test_bip_49s_vector() -> None:
    key = account_key(account("m/49h/1h/0h", "ypub", "test"), TEST)
    found = key.address(0)
    assert (found.address.text, found.path) == ("2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2", "m/49'/1'/0'/0/0")


def test_bip_44() -> None:
    assert (
        account_key(account("m/44h/0h/0h", "xpub"), MAIN).address(0).address.text
        == "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA"
    )


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize(("network", "name", "coin"), [(MAIN, "main", 0), (TEST, "test", 1)])
def test_embit_derives_the_same(purpose: Purpose, network: BitcoinNetwork, name: str, coin: int) -> None:
    of_private = ROOT.derive(f"m/{purpose.value}h/{coin}h/7h")
    key = account_key(account(f"m/{purpose.value}h/{coin}h/7h", "xpub", name), network, purpose)
    for index in (0, 1, 1000, 2**31 - 1):
        public = of_private.derive([0, index]).get_public_key()
        peer = {
            Purpose.P2PKH: script.p2pkh,
            Purpose.NESTED: lambda each: script.p2sh(script.p2wpkh(each)),
            Purpose.P2WPKH: script.p2wpkh,
            Purpose.P2TR: script.p2tr,
        }[purpose](public)
        found = key.address(index)
        assert found.address.script == peer.data
        assert found.address.text == peer.address(NETWORKS[name])
        assert found.path == f"m/{purpose.value}'/{coin}'/7'/0/{index}"


def test_litecoins_regtest_has_prefixes_of_its_own() -> None:
    found = account_key(account("m/84h/1h/0h", "zpub", "test"), REGTEST).address(0)
    assert found.address.text.startswith("rltc1q")


@pytest.mark.parametrize("version", ["xprv", "yprv", "zprv", "Yprv", "Zprv"])
@pytest.mark.parametrize("network", ["main", "test"])
@pytest.mark.parametrize("spoiled", [False, True])
def test_private_keys_are_refused_loudly_and_never_repeated(version: str, network: str, spoiled: bool) -> None:
    text = ROOT.derive("m/84h/0h/0h").to_base58(version=NETWORKS[network][version])
    text = text[:-1] + "1" if spoiled else f" {text}\n"
    with pytest.raises(PrivateKeyRefused, match="PRIVATE") as refused:
        account_key(text, MAIN)
    assert text.strip()[4:20] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_private_key_under_public_letters_and_a_phrase_are_refused() -> None:
    from embit import base58

    raw = bytearray(base58.decode_check(ROOT.derive("m/84h/0h/0h").to_base58()))
    raw[:4] = NETWORKS["main"]["zpub"]
    for text in (base58.encode_check(bytes(raw)), PHRASE):
        with pytest.raises(PrivateKeyRefused) as refused:
            account_key(text, MAIN)
        assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (account("m/84h/1h/0h", "zpub", "test"), "vpub is of another network; expected xpub, ypub or zpub"),
        (account("m", "zpub"), "of depth 0; expected an account's key, of depth 3"),
        (account("m/84h/0h/0h/0", "zpub"), "of depth 4"),
        (account("m/84h/0h/0", "zpub"), "of depth 3"),
        (account("m/84h/0h/0h", "Zpub"), "of a kind that is not known here"),
        (BIP_84[:-1] + "t", "no extended public key, or a letter of it is wrong"),
        ("", "no extended public key"),
        ("xpub", "no extended public key"),
        ("x" * 100_000, "no extended public key"),
    ],
)
def test_what_is_no_accounts_key_of_this_network(text: str, words: str) -> None:
    with pytest.raises(KeyRefused, match=words):
        account_key(text, MAIN)


def test_a_test_network_takes_no_key_of_the_main_one() -> None:
    with pytest.raises(KeyRefused, match="zpub is of another network; expected tpub, upub or vpub"):
        account_key(BIP_84, TEST)


def test_a_purpose_that_contradicts_the_keys_letters() -> None:
    with pytest.raises(KeyRefused, match="zpub is for BIP-84, not for BIP-86"):
        account_key(BIP_84, MAIN, Purpose.P2TR)
    assert account_key(BIP_84, MAIN, Purpose.P2WPKH).address(0) == account_key(BIP_84, MAIN).address(0)


def test_a_key_that_is_no_point_is_refused() -> None:
    from embit import base58

    raw = bytearray(base58.decode_check(BIP_84))
    raw[45:] = b"\x02" + b"\xff" * 32
    with pytest.raises(KeyRefused, match="no point"):
        account_key(base58.encode_check(bytes(raw)), MAIN)


def test_indices_that_only_the_private_key_has() -> None:
    for index in (-1, 2**31):
        with pytest.raises(ValueError, match="0 to 2147483647"):
            account_key(BIP_84, MAIN).address(index)
