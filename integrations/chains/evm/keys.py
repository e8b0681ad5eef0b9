"""Deposit addresses of EVM chains, from the extended public key of an account (BIP-44: m/44'/60'/account'). Pure."""

from dataclasses import dataclass

from integrations.chains.extended_keys import KeyRefused, KeyVersion, parse_account_key
from integrations.signers.evm import evm_address

EXTERNAL = 0
COIN_TYPE = 60
"""Ether's (SLIP-44); the other EVM chains use it too, so that one account has the same addresses on all of them."""


@dataclass(frozen=True, slots=True)
class DerivedEvmAddress:
    """An address with its EIP-55 checksum, and the path by which the wallet that holds the private key finds it."""

    address: str
    path: str


class EvmAccountKey:
    """Addresses of one account.

    Raises, when it is made:
        PrivateKeyRefused: the text is a private key; it is not repeated.
        KeyRefused: it is no account's extended public key (xpub…).
    """

    def __init__(self, text: str) -> None:
        key = parse_account_key(text)
        if key.version is not KeyVersion.XPUB:
            raise KeyRefused(f"this {key.version} is no key for EVM chains; expected xpub")
        self._external = key.child(EXTERNAL)
        self.path = f"m/44'/{COIN_TYPE}'/{key.account}'"

    def address(self, index: int) -> DerivedEvmAddress:
        """The receiving address with this number. Raises ValueError below 0 and from 2147483648 on."""
        address = evm_address(self._external.child(index).public_key)
        return DerivedEvmAddress(address, f"{self.path}/{EXTERNAL}/{index}")
