"""Deposit addresses below an account's extended public key, by the scheme that its purpose names (BIP-44, 49, 84, 86)."""

from dataclasses import dataclass

from embit.ec import PublicKey
from embit.hashes import hash160

from integrations.chains.bitcoin.addresses import BitcoinAddress, ScriptType, address_of, script_of
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.keys import AccountKey, KeyRefused, parse_account_key

_TYPES = {44: ScriptType.P2PKH, 49: ScriptType.P2SH, 84: ScriptType.P2WPKH, 86: ScriptType.P2TR}


@dataclass(frozen=True)
class BitcoinAccount:
    """An account's addresses for receiving."""

    key: AccountKey
    network: BitcoinNetwork
    purpose: int

    @property
    def type(self) -> ScriptType:
        """What its addresses pay to."""
        return _TYPES[self.purpose]

    def address(self, index: int) -> BitcoinAddress:
        """The receiving address with this index. Raises ValueError for an index that there is not."""
        script = _script(self.type, self.key.public_key(index))
        text = address_of(script, self.network)
        if text is None:
            raise ValueError("a script of these has an address")
        return BitcoinAddress(text, self.type, script)

    def path(self, index: int) -> str:
        """Where the private key of that address is found by whoever has the seed."""
        return self.key.path(self.purpose, self.network.coin_type, index)


@dataclass(frozen=True)
class ReceivingAddresses:
    """An account's addresses for receiving, as texts."""

    account: BitcoinAccount

    def address(self, index: int) -> str:
        """The address with this index. Raises ValueError for an index that there is not."""
        return self.account.address(index).text

    def path(self, index: int) -> str:
        """Where the private key of that address is found by whoever has the seed."""
        return self.account.path(index)


def parse_deposit_account(text: str, network: BitcoinNetwork) -> ReceivingAddresses:
    """The account whose addresses are given out. Raises KeyRefused: also for a key that does not tell of which kind they are."""
    account = parse_bitcoin_account(text, network)
    if account.key.purpose is None:
        example = (
            "zpub…, or [fingerprint/84h/0h/0h]xpub…" if network.is_main else "vpub…, or [fingerprint/84h/1h/0h]tpub…"
        )
        raise KeyRefused(f"this key does not tell of which kind its addresses are; expected one such as {example}")
    return ReceivingAddresses(account)


def parse_bitcoin_account(text: str, network: BitcoinNetwork, purpose: int | None = None) -> BitcoinAccount:
    """An account's key. The kind of its addresses is told by its prefix (SLIP-132), its origin or `purpose`; where nothing tells it, it is BIP-44's.

    Raises KeyRefused: no such key, a private one, one of another network, or one that contradicts `purpose`.
    """
    key = parse_account_key(text)
    if key.is_main != network.is_main or key.coin_type not in (None, network.coin_type):
        expected = "xpub…, ypub… or zpub…" if network.is_main else "tpub…, upub… or vpub…"
        raise KeyRefused(f"this is an account's key of another network; expected one such as {expected}")
    if purpose is not None and key.purpose not in (None, purpose):
        raise KeyRefused("this key is for addresses of another kind than the one named")
    chosen = purpose or key.purpose or 44
    if chosen not in _TYPES:
        raise KeyRefused("this key is for addresses of an unknown kind; expected purpose 44, 49, 84 or 86")
    return BitcoinAccount(key, network, chosen)


def _script(type_: ScriptType, public_key: bytes) -> bytes:
    match type_:
        case ScriptType.P2TR:
            return script_of(type_, PublicKey.parse(public_key).taproot_tweak(b"").xonly())
        case ScriptType.P2SH:
            return script_of(type_, hash160(script_of(ScriptType.P2WPKH, hash160(public_key))))
        case _:
            return script_of(type_, hash160(public_key))
