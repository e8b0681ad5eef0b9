"""Wallets of people in tests: keys that sign messages as real wallets do, and contract wallets on a local chain."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey, PublicKeyXOnly
from embit import base58, bech32
from embit.hashes import hash160, tagged_hash
from embit.script import Script
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from solders.keypair import Keypair

from core.vocabulary import ChainFamily
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.shapes import as_data, as_object, as_text
from models.chain import BitcoinParameters, ChainEntry
from services.wallet_proofs import bip137, bip322
from services.wallet_proofs.bitcoin_addresses import AddressKind, BitcoinAddress
from services.wallet_proofs.contract_wallets import MAGIC_SUFFIX
from tests.chains import ANVIL_ADDRESSES, LOCAL_ETHEREUM, compiled

BITCOIN = ChainEntry(
    key="bitcoin",
    name="Bitcoin",
    family=ChainFamily.BITCOIN,
    native="BTC",
    network_name="Bitcoin",
    block_seconds=600,
    final_after=6,
    bitcoin=BitcoinParameters(hrp="bc", p2pkh=0, p2sh=5, coin_type=0),
)
SOLANA = ChainEntry(
    key="solana",
    name="Solana",
    family=ChainFamily.SOLANA,
    native="SOL",
    network_name="Solana",
    block_seconds=0.4,
    final_after=32,
)
CHAINS = {chain.key: chain for chain in (BITCOIN, LOCAL_ETHEREUM, SOLANA)}


class EthereumKey:
    """A key of Ethereum's kind."""

    family = ChainFamily.EVM

    def __init__(self, secret: bytes | None = None) -> None:
        self.secret = secret or secrets.token_bytes(32)
        self.address = str(Account.from_key(self.secret).address)

    def sign(self, message: str) -> str:
        """As `personal_sign` does."""
        signed = Account.sign_message(encode_defunct(text=message), self.secret)
        return "0x" + bytes(signed.signature).hex()


class SolanaKey:
    """A key of Solana's kind."""

    family = ChainFamily.SOLANA

    def __init__(self) -> None:
        self.pair = Keypair()
        self.address = str(self.pair.pubkey())

    def sign(self, message: str) -> str:
        """As `signMessage` does."""
        return str(self.pair.sign_message(message.encode()))


class BitcoinKey:
    """A key of Bitcoin's kind with one of its addresses."""

    family = ChainFamily.BITCOIN

    def __init__(
        self, kind: AddressKind = AddressKind.P2WPKH, chain: ChainEntry = BITCOIN, *, secret: bytes | None = None
    ) -> None:
        assert chain.bitcoin is not None
        self.parameters = chain.bitcoin
        self.key = PrivateKey(secret or secrets.token_bytes(32))
        self.public = self.key.public_key.format()
        self.kind = kind
        self.parsed = self._parsed()
        self.address = self.parsed.text

    def _parsed(self) -> BitcoinAddress:
        own, parameters = hash160(self.public), self.parameters
        match self.kind:
            case AddressKind.P2PKH:
                text, payload = base58.encode_check(bytes([parameters.p2pkh]) + own), own
            case AddressKind.P2SH:
                payload = hash160(b"\x00\x14" + own)
                text = base58.encode_check(bytes([parameters.p2sh]) + payload)
            case AddressKind.P2WPKH:
                text, payload = bech32.encode(parameters.hrp, 0, own), own
            case _:
                payload = PublicKeyXOnly.from_secret(self._tweaked().secret).format()
                text = bech32.encode(parameters.hrp, 1, payload)
        return BitcoinAddress(text, self.kind, payload)

    def _tweaked(self) -> PrivateKey:
        """The key behind a Taproot address without scripts (BIP-86)."""
        even = self.key if self.public[0] == 2 else PrivateKey.from_int(_ORDER - self.key.to_int())
        return even.add(tagged_hash("TapTweak", self.public[1:]))

    def sign(self, message: str) -> str:
        """As BIP-322 has it: the full form for P2PKH, the simple one for others."""
        if self.kind is AddressKind.P2PKH:
            return self.sign_full(message)
        return b64encode(_stack(self.witness(message))).decode()

    def witness(self, message: str, *, version: int = 0, sighash: int = 1) -> list[bytes]:
        """What satisfies `to_sign`."""
        transaction = bip322.to_sign(self.parsed.script, message.encode(), version=version)
        if self.kind is AddressKind.P2TR:
            digest = transaction.sighash_taproot(0, [Script(self.parsed.script)], [0])
            return [self._tweaked().sign_schnorr(digest)]
        if self.kind is AddressKind.P2PKH:
            digest = transaction.sighash_legacy(0, Script(self.parsed.script), sighash)
        else:
            code = Script(b"\x76\xa9\x14" + hash160(self.public) + b"\x88\xac")
            digest = transaction.sighash_segwit(0, code, 0, sighash)
        return [self.key.sign(digest, hasher=None) + bytes([sighash]), self.public]

    def sign_full(self, message: str, *, version: int = 0, prefix: str = "") -> str:
        """The whole of `to_sign`."""
        witness = self.witness(message, version=version)
        script_sig, stack = b"", _stack(witness)
        if self.kind is AddressKind.P2PKH:
            script_sig, stack = b"".join(_pushed(part) for part in witness), b""
        elif self.kind is AddressKind.P2SH:
            script_sig = _pushed(b"\x00\x14" + hash160(self.public))
        spent = bytes(reversed(bip322.to_spend(self.parsed.script, message.encode()).txid())) + bytes(4)
        raw = version.to_bytes(4, "little") + (b"\x00\x01" if stack else b"")
        raw += b"\x01" + spent + bytes([len(script_sig)]) + script_sig + bytes(4)
        raw += b"\x01" + bytes(8) + b"\x01\x6a" + stack + bytes(4)
        return prefix + b64encode(raw).decode()

    def sign_legacy(self, message: str, header: int | None = None) -> str:
        """As BIP-137 has it; `header` is the first of the four that say for which kind of address."""
        digest = bip137.signed_digest(self.parameters, message)
        signed = self.key.sign_recoverable(digest, hasher=None)
        first = {AddressKind.P2PKH: 31, AddressKind.P2SH: 35, AddressKind.P2WPKH: 39}.get(self.kind, 31)
        return b64encode(bytes([(header or first) + signed[64]]) + signed[:64]).decode()


_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _stack(items: list[bytes]) -> bytes:
    return bytes([len(items)]) + b"".join(_pushed(item) for item in items)


def _pushed(data: bytes) -> bytes:
    return bytes([len(data)]) + data


class NodeCalls:
    """Asks one node for contracts, and counts how often."""

    def __init__(self, url: str) -> None:
        self.node = JsonRpc(url)
        self.asked = 0

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
        self.asked += 1
        given = {"data": "0x" + data.hex(), **({} if to is None else {"to": to})}
        return as_data(await self.node.call("eth_call", given, "latest"), "call")

    async def code(self, chain: str, address: str) -> bytes:
        self.asked += 1
        return as_data(await self.node.call("eth_getCode", address, "latest"), "code")


@dataclass
class LocalChain:
    """A chain of the test's own, on which contracts are deployed."""

    calls: NodeCalls
    _made: dict[str, str] = field(default_factory=dict)

    async def send(self, to: str | None, data: bytes, *, sender: str = ANVIL_ADDRESSES[0]) -> Mapping[str, Any]:
        """A transaction of this account, the first funded one unless another is named; its receipt."""
        given = {"from": sender, "data": "0x" + data.hex(), **({} if to is None else {"to": to})}
        sent = as_text(await self.calls.node.call("eth_sendTransaction", given), "hash")
        async with asyncio.timeout(10):
            while (told := await self.calls.node.call("eth_getTransactionReceipt", sent)) is None:
                await asyncio.sleep(0.01)  # the block is made a moment after the transaction is taken
        receipt = as_object(told, "receipt")
        assert receipt["status"] == "0x1", receipt
        return receipt

    async def deploy(self, name: str, types: list[str] | None = None, *values: object) -> str:
        """Deploy a contract of tests/contracts; its address."""
        code = bytes.fromhex(compiled(name)["bytecode"][2:]) + encode(types or [], values)
        receipt = await self.send(None, code)
        return str(to_checksum_address(receipt["contractAddress"]))

    async def counterfactual(self, owner: EthereumKey) -> "Counterfactual":
        """A wallet of this owner that could be deployed, and is not."""
        factory = self._made.get("factory") or await self.deploy("WalletFactory")
        self._made["factory"] = factory
        return Counterfactual(factory, owner)


class Counterfactual:
    """A contract wallet that is not deployed yet (ERC-6492)."""

    family = ChainFamily.EVM

    def __init__(self, factory: str, owner: EthereumKey) -> None:
        salt = secrets.token_bytes(32)
        code = bytes.fromhex(compiled("OwnedWallet")["bytecode"][2:]) + encode(["address"], [owner.address])
        digest = keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + keccak(code))
        self.factory, self.owner = factory, owner
        self.address = str(to_checksum_address(digest[-20:]))
        self.deployment = keccak(text="make(address,bytes32)")[:4] + encode(
            ["address", "bytes32"], [owner.address, salt]
        )

    def sign(self, message: str) -> str:
        """The owner's signature in the wrapper."""
        return wrapped(self.factory, self.deployment, bytes.fromhex(self.owner.sign(message)[2:]))


@dataclass(frozen=True)
class Contract:
    """A contract wallet that is deployed."""

    address: str
    owner: EthereumKey
    family = ChainFamily.EVM

    def sign(self, message: str) -> str:
        """The owner's signature."""
        return self.owner.sign(message)


def wrapped(target: str, call: bytes, signature: bytes) -> str:
    """A signature in ERC-6492's wrapper."""
    inner = encode(["address", "bytes", "bytes"], [target, call, signature])
    return "0x" + (inner + MAGIC_SUFFIX).hex()


Signer = EthereumKey | SolanaKey | BitcoinKey | Counterfactual | Contract
