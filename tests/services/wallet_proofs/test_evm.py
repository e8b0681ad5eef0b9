"""Signatures of keys and of contract wallets, the latter asked on a real node."""

from collections.abc import AsyncIterator

import pytest
from eth_abi.abi import encode
from eth_account.messages import defunct_hash_message
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from siwe.siwe import EIP6492_VALIDATOR_BYTECODE

from core.refusals import WalletRefused
from integrations.chains.errors import ChainUnavailable, NodesContradict
from services.wallet_proofs.contract_wallets import ContractCalls, NoContractCalls
from services.wallet_proofs.counterfactual_check import CODE
from services.wallet_proofs.evm import HALF_ORDER, MOST_BYTES, recovered_address, verify_evm
from tests.chains import LOCAL_ETHEREUM, anvil, compiled
from tests.wallet_keys import Contract, Counterfactual, EthereumKey, LocalChain, NodeCalls, Signer, wrapped

MESSAGE = "vault.example wants you to sign in with your Ethereum account:\nmany lines"
ORDER = 2 * HALF_ORDER + 1
KEY = EthereumKey(b"\x09" * 32)


@pytest.fixture
async def chain() -> AsyncIterator[LocalChain]:
    async with anvil() as url:
        calls = NodeCalls(url)
        yield LocalChain(calls)
        await calls.node.close()


async def verdict(
    address: str, signature: str, calls: ContractCalls | None = None, message: str = MESSAGE
) -> str | bool:
    """Whether a contract says so, or the code of the refusal."""
    try:
        return await verify_evm(calls or NoContractCalls(), LOCAL_ETHEREUM, address, message, signature)
    except WalletRefused as refused:
        return refused.reason.value


class Scripted:
    """A chain that answers as the test says."""

    def __init__(self, *, code: bytes = b"", answer: bytes | Exception = b"") -> None:
        self._code = code
        self._answer = answer

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def code(self, chain: str, address: str) -> bytes:
        return self._code


def parts(signature: str) -> tuple[bytes, int, int]:
    raw = bytes.fromhex(signature[2:])
    return raw[:32], int.from_bytes(raw[32:64], "big"), raw[64]


def joined(r: bytes, s: int, v: int) -> str:
    return "0x" + (r + s.to_bytes(32, "big") + bytes([v])).hex()


async def test_a_key_signs_for_its_address_and_no_chain_is_asked() -> None:
    signature = KEY.sign(MESSAGE)
    assert await verdict(KEY.address, signature) is False
    assert await verdict(KEY.address, signature[2:].upper()) is False
    assert await verdict(EthereumKey().address, signature) == "SIGNATURE_INVALID"
    assert await verdict(KEY.address, signature, message=MESSAGE + "!") == "SIGNATURE_INVALID"


async def test_a_signature_has_one_form() -> None:
    """Not the other s, not v as 0 and 1, not EIP-2098's 64 bytes."""
    r, s, v = parts(KEY.sign(MESSAGE))
    calls = Scripted()
    compact = "0x" + (r + (s | (v - 27) << 255).to_bytes(32, "big")).hex()
    wrong = [joined(r, ORDER - s, 55 - v), joined(r, s, v - 27), joined(r, s, 55 - v), compact]
    wrong += [joined(r, 0, v), joined(bytes(32), s, v), joined(b"\xff" * 32, s, v), joined(r, s, v) + "00"]
    for each in wrong:
        assert await verdict(KEY.address, each, calls) == "SIGNATURE_INVALID", each
    # the second form would recover to the very address, which is why it must be looked at
    digest = bytes(defunct_hash_message(text=MESSAGE))
    assert recovered_address(digest, bytes.fromhex(joined(r, s, v)[2:])) == KEY.address


@pytest.mark.parametrize("text", ["", "0x", "0x1", "signature", "0x" + "zz" * 65, " 0x00", "0x00\n", "٠" * 130])
async def test_what_is_no_signature(text: str) -> None:
    assert await verdict(KEY.address, text, Scripted()) == "SIGNATURE_INVALID"
    assert await verdict(KEY.address, "0x" + "00" * (MOST_BYTES + 1), Scripted()) == "SIGNATURE_INVALID"


@given(st.integers(0, 64), st.integers(0, 255))
async def test_one_changed_byte_is_noticed(place: int, value: int) -> None:
    raw = bytearray(bytes.fromhex(KEY.sign(MESSAGE)[2:]))
    before, raw[place] = raw[place], value
    expected = False if before == value else "SIGNATURE_INVALID"
    assert await verdict(KEY.address, raw.hex(), Scripted()) == expected


@given(st.binary(max_size=300), st.booleans())
async def test_any_bytes_are_refused(raw: bytes, is_wrapped: bool) -> None:
    text = (raw + bytes.fromhex("6492" * 16) if is_wrapped else raw).hex()
    refusals = ("SIGNATURE_INVALID", "CONTRACT_WALLET_REFUSED")
    assert await verdict(KEY.address, text, Scripted()) in refusals
    assert await verdict(KEY.address, text, Scripted(code=b"\x60")) in refusals


async def test_without_a_node_contract_wallets_cannot_be_asked() -> None:
    assert await verdict(KEY.address, "0x" + "11" * 65) == "SIGNATURE_INVALID"  # not longer than a key's
    long = "0x" + "11" * 130
    assert await verdict(KEY.address, long) == "PROVIDER_UNAVAILABLE"
    assert await verdict(KEY.address, wrapped(KEY.address, b"", b"")) == "PROVIDER_UNAVAILABLE"
    away = Scripted(code=b"\x60", answer=ChainUnavailable("ethereum", {"a node": "timed out"}))
    assert await verdict(KEY.address, EthereumKey().sign(MESSAGE), away) == "PROVIDER_UNAVAILABLE"
    lying = Scripted(code=b"\x60", answer=NodesContradict("they differ"))
    assert await verdict(KEY.address, EthereumKey().sign(MESSAGE), lying) == "PROVIDER_LYING"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x01", bytes.fromhex("1626ba7e"), bytes.fromhex("1626ba7e") + b"\x01" * 28, bytes(32), b"\xff" * 32],
)
async def test_a_contract_says_yes_in_one_way(answer: bytes) -> None:
    calls = Scripted(code=b"\x60", answer=answer)
    assert await verdict(KEY.address, "0x1234", calls) == "CONTRACT_WALLET_REFUSED"
    yes = Scripted(code=b"\x60", answer=bytes.fromhex("1626ba7e") + bytes(28))
    assert await verdict(KEY.address, "0x1234", yes) is True


def test_the_code_that_is_sent_is_its_source() -> None:
    assert bytes.fromhex(compiled("CounterfactualCheck")["bytecode"][2:]) == CODE


async def test_a_deployed_wallet_is_asked(chain: LocalChain) -> None:
    owner, other = EthereumKey(), EthereumKey()
    await chain.calls.node.call("anvil_setBalance", owner.address, hex(10**18))
    wallet = await chain.deploy("OwnedWallet", ["address"], owner.address)
    assert await verdict(wallet, owner.sign(MESSAGE), chain.calls) is True
    assert await verdict(wallet, other.sign(MESSAGE), chain.calls) == "CONTRACT_WALLET_REFUSED"
    assert await verdict(wallet, owner.sign(MESSAGE), chain.calls, MESSAGE + "!") == "CONTRACT_WALLET_REFUSED"
    assert await verdict(wallet, "0x1234", chain.calls) == "CONTRACT_WALLET_REFUSED"  # it reverts
    assert await verdict(other.address, owner.sign(MESSAGE), chain.calls) == "SIGNATURE_INVALID"  # nothing is there
    sloppy = await chain.deploy("SloppyWallet")
    assert await verdict(sloppy, owner.sign(MESSAGE), chain.calls) == "CONTRACT_WALLET_REFUSED"
    token = await chain.deploy("Token", ["string", "string", "uint8", "uint256"], "T", "T", 18, 1)
    assert await verdict(token, owner.sign(MESSAGE), chain.calls) == "CONTRACT_WALLET_REFUSED"
    identity = "0x0000000000000000000000000000000000000004"  # gives back whatever it is asked
    for signature in (owner.sign(MESSAGE), wrapped(identity, b"", b"")):
        refused = await verdict(identity, signature, chain.calls)
        assert refused in ("SIGNATURE_INVALID", "CONTRACT_WALLET_REFUSED")


async def test_a_counterfactual_wallet_is_asked_before_and_after_its_deployment(chain: LocalChain) -> None:
    owner = EthereumKey()
    wallet = await chain.counterfactual(owner)
    signature = wallet.sign(MESSAGE)
    assert await verdict(wallet.address, signature, chain.calls) is True
    assert await chain.calls.code("ethereum", wallet.address) == b""  # nothing was deployed by asking
    assert await verdict(wallet.address, owner.sign(MESSAGE), chain.calls) == "SIGNATURE_INVALID"
    thief = EthereumKey()
    stolen = wrapped(wallet.factory, wallet.deployment, bytes.fromhex(thief.sign(MESSAGE)[2:]))
    assert await verdict(wallet.address, stolen, chain.calls) == "CONTRACT_WALLET_REFUSED"
    theirs = Counterfactual(wallet.factory, thief)
    assert await verdict(wallet.address, theirs.sign(MESSAGE), chain.calls) == "CONTRACT_WALLET_REFUSED"
    assert await verdict(owner.address, signature, chain.calls) == "CONTRACT_WALLET_REFUSED"
    await chain.send(wallet.factory, wallet.deployment)
    assert await verdict(wallet.address, signature, chain.calls) is True
    assert await verdict(wallet.address, owner.sign(MESSAGE), chain.calls) is True


async def test_a_wallet_that_is_not_ready_is_prepared_first(chain: LocalChain) -> None:
    owner = EthereumKey()
    wallet = await chain.deploy("SleepingWallet")
    call = keccak(text="wake(address)")[:4] + encode(["address"], [owner.address])
    assert await verdict(wallet, owner.sign(MESSAGE), chain.calls) == "CONTRACT_WALLET_REFUSED"
    inner = bytes.fromhex(owner.sign(MESSAGE)[2:])
    assert await verdict(wallet, wrapped(wallet, call, inner), chain.calls) is True
    assert await verdict(wallet, wrapped(wallet, b"nonsense", inner), chain.calls) == "CONTRACT_WALLET_REFUSED"


async def test_another_implementation_of_the_standard_agrees(chain: LocalChain) -> None:
    """The validator that the `siwe` library has, on wallets that it knows how to judge."""
    owner, thief = EthereumKey(), EthereumKey()
    counterfactual = await chain.counterfactual(owner)
    deployed = await chain.deploy("OwnedWallet", ["address"], owner.address)
    signers: list[tuple[Signer, bool]] = [
        (counterfactual, True),
        (Contract(deployed, owner), True),
        (Contract(deployed, thief), False),
    ]
    digest = bytes(defunct_hash_message(text=MESSAGE))
    for signer, accepted in signers:
        signature = signer.sign(MESSAGE)
        arguments = encode(["address", "bytes32", "bytes"], [signer.address, digest, bytes.fromhex(signature[2:])])
        theirs = await chain.calls.call("ethereum", None, bytes.fromhex(EIP6492_VALIDATOR_BYTECODE[2:]) + arguments)
        assert (theirs[-1:] == b"\x01") is accepted
        assert (await verdict(signer.address, signature, chain.calls) is True) is accepted
