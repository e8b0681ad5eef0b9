"""Deposit addresses of a chain of Bitcoin's kind, from an account's extended public key: of BIP-44, 49, 84 or 86. Pure.

The kind of address follows from the key's letters (SLIP-132): xpub and tpub are BIP-44's, ypub and upub BIP-49's, zpub and vpub BIP-84's. Wallets that
write every key as xpub need the purpose beside it.
"""

from dataclasses import dataclass
from enum import IntEnum

from coincurve import PublicKey
from embit import hashes

from integrations.chains.bitcoin.addresses import BitcoinAddress, ScriptType, address_of, script_of
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.extended_keys import ExtendedPublicKey, KeyRefused, KeyVersion, parse_account_key

EXTERNAL = 0
"""The chain of addresses that are given out (BIP-44, "Change")."""


class Purpose(IntEnum):
    """The first level of a path, which tells the kind of address."""

    P2PKH = 44
    NESTED = 49
    P2WPKH = 84
    P2TR = 86


_PURPOSES = {
    KeyVersion.XPUB: Purpose.P2PKH,
    KeyVersion.TPUB: Purpose.P2PKH,
    KeyVersion.YPUB: Purpose.NESTED,
    KeyVersion.UPUB: Purpose.NESTED,
    KeyVersion.ZPUB: Purpose.P2WPKH,
    KeyVersion.VPUB: Purpose.P2WPKH,
}
_OF_MAIN = frozenset({KeyVersion.XPUB, KeyVersion.YPUB, KeyVersion.ZPUB})
_OF_ANY_PURPOSE = frozenset({KeyVersion.XPUB, KeyVersion.TPUB})


@dataclass(frozen=True, slots=True)
class DerivedAddress:
    """An address, and the path by which the wallet that holds the private key finds it."""

    address: BitcoinAddress
    path: str


class BitcoinAccountKey:
    """Addresses of one account. Make it by `account_key`."""

    def __init__(self, key: ExtendedPublicKey, purpose: Purpose, network: BitcoinNetwork) -> None:
        self.purpose = purpose
        self._network = network
        self._external = key.child(EXTERNAL)
        self.path = f"m/{purpose.value}'/{network.coin_type}'/{key.account}'"
        """Of the account; a wallet that uses a coin type of its own has another."""

    def address(self, index: int) -> DerivedAddress:
        """The receiving address with this number. Raises ValueError below 0 and from 2147483648 on."""
        type_, script = _script(self.purpose, self._external.child(index).public_key)
        text = address_of(script, self._network)
        if text is None:
            raise ValueError("this script has no address")
        return DerivedAddress(BitcoinAddress(text, type_, script), f"{self.path}/{EXTERNAL}/{index}")


def account_key(text: str, network: BitcoinNetwork, purpose: Purpose | None = None) -> BitcoinAccountKey:
    """The account whose extended public key this is.

    Raises:
        PrivateKeyRefused: it is a private key; it is not repeated.
        KeyRefused: it is no account's extended public key, is of another network, or of another purpose than the one named.
    """
    key = parse_account_key(text)
    if (key.version in _OF_MAIN) != network.is_main:
        expected = "xpub, ypub or zpub" if network.is_main else "tpub, upub or vpub"
        raise KeyRefused(f"this {key.version} is of another network; expected {expected}")
    told = _PURPOSES[key.version]
    if purpose is not None and purpose is not told and key.version not in _OF_ANY_PURPOSE:
        raise KeyRefused(f"this {key.version} is for BIP-{told.value}, not for BIP-{purpose.value}")
    return BitcoinAccountKey(key, told if purpose is None else purpose, network)


def _script(purpose: Purpose, public_key: bytes) -> tuple[ScriptType, bytes]:
    """The kind of script that pays to a key, and the script."""
    match purpose:
        case Purpose.P2PKH:
            return ScriptType.P2PKH, script_of(ScriptType.P2PKH, hashes.hash160(public_key))
        case Purpose.NESTED:
            inner = script_of(ScriptType.P2WPKH, hashes.hash160(public_key))
            return ScriptType.P2SH, script_of(ScriptType.P2SH, hashes.hash160(inner))
        case Purpose.P2WPKH:
            return ScriptType.P2WPKH, script_of(ScriptType.P2WPKH, hashes.hash160(public_key))
        case Purpose.P2TR:
            return ScriptType.P2TR, script_of(ScriptType.P2TR, _output_key(public_key))


def _output_key(public_key: bytes) -> bytes:
    """The x-only key of a Taproot output without scripts (BIP-86, BIP-341)."""
    internal = public_key[1:]
    tweak: bytes = hashes.tagged_hash("TapTweak", internal)
    return PublicKey(b"\x02" + internal).add(tweak).format()[1:]
