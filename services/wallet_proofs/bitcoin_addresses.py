"""Addresses of chains of Bitcoin's kind (BIP-13, BIP-173, BIP-350), as far as one key signs for them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from embit import base58, bech32

from core.wallet_vocabulary import WalletErrorCode
from models.chain import BitcoinParameters, ChainEntry
from services.wallet_proofs.refusals import AddressInvalid

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{25,36}", re.ASCII)


class AddressKind(StrEnum):
    """What an address pays to. P2SH stands for P2SH-P2WPKH: no other script is of one key."""

    P2PKH = "P2PKH"
    P2SH = "P2SH"
    P2WPKH = "P2WPKH"
    P2TR = "P2TR"


@dataclass(frozen=True, slots=True)
class BitcoinAddress:
    """An address of one key; `payload` is the hash, or the x-only key, that stands in its script."""

    text: str
    kind: AddressKind
    payload: bytes

    @property
    def script(self) -> bytes:
        """The scriptPubKey."""
        match self.kind:
            case AddressKind.P2PKH:
                return b"\x76\xa9\x14" + self.payload + b"\x88\xac"
            case AddressKind.P2SH:
                return b"\xa9\x14" + self.payload + b"\x87"
            case AddressKind.P2WPKH:
                return b"\x00\x14" + self.payload
            case _:
                return b"\x51\x20" + self.payload


def parse_bitcoin_address(text: str, chain: ChainEntry) -> BitcoinAddress:
    """The address, of this chain and of one key. Raises AddressInvalid."""
    parameters = chain.bitcoin
    if parameters is None:
        raise ValueError(f"{chain.key} is no chain of Bitcoin's kind")
    found = _segwit(text) or _base58(text, parameters)
    if found is None:
        raise AddressInvalid("this is no Bitcoin address, or its checksum is wrong; look for a typing error")
    hrp_or_version, kind, payload = found
    if hrp_or_version not in (parameters.hrp, parameters.p2pkh, parameters.p2sh):
        raise AddressInvalid(
            "this is an address of another network; expected one of {network}",
            {"network": chain.network_name},
            reason=WalletErrorCode.ADDRESS_WRONG_NETWORK,
        )
    if kind is None:
        raise AddressInvalid(
            "wallets of one key can be linked (P2PKH, P2SH-P2WPKH, P2WPKH, P2TR), not those of a script",
            reason=WalletErrorCode.NOT_ENABLED,
        )
    return BitcoinAddress(text.lower() if isinstance(hrp_or_version, str) else text, kind, payload)


_Found = tuple[str | int, AddressKind | None, bytes]


def _segwit(text: str) -> _Found | None:
    """Prefix, kind and witness program; None for what is no Bech32 address of any network."""
    _, prefix, _ = bech32.bech32_decode(text)
    if prefix is None:
        return None
    version, program = bech32.decode(prefix, text.lower())
    if version is None:
        return None
    kinds = {(0, 20): AddressKind.P2WPKH, (1, 32): AddressKind.P2TR}
    return prefix, kinds.get((version, len(program))), bytes(program)


def _base58(text: str, parameters: BitcoinParameters) -> _Found | None:
    """Version byte, kind and hash; None for what is no Base58Check text of 21 bytes."""
    if _BASE58.fullmatch(text) is None:
        return None
    try:
        data = base58.decode_check(text)
    except ValueError:
        return None
    if len(data) != 21:
        return None
    kinds = {parameters.p2pkh: AddressKind.P2PKH, parameters.p2sh: AddressKind.P2SH}
    return data[0], kinds.get(data[0]), data[1:]
