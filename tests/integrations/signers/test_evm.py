"""EIP-1559 transactions: byte for byte what eth_account makes with the same key, and taken by a real node."""

from dataclasses import replace

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.json_rpc import JsonRpc
from integrations.signers.base import Curve, SignerRefused
from integrations.signers.evm import EvmTransaction, evm_address, sign_evm
from integrations.signers.keystore import KeystoreSigner
from integrations.signers.kms import Kms, KmsSigner
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS, anvil
from tests.kms import REGION, make_key

KEY = PrivateKey.from_hex(ANVIL_KEYS[0].removeprefix("0x"))
SIGNER = KeystoreSigner("evm=keystore:k", KEY)
TO = ANVIL_ADDRESSES[1]
SOUND = EvmTransaction(
    chain_id=31337, nonce=0, to=TO, value=10**18, gas=21_000, max_fee_per_gas=10**11, max_priority_fee_per_gas=10**9
)


TRANSACTIONS = st.builds(
    EvmTransaction,
    chain_id=st.sampled_from([1, 56, 97, 137, 80002, 11155111, 31337]),
    nonce=st.integers(0, 2**64 - 2),
    to=st.sampled_from([*ANVIL_ADDRESSES]),
    value=st.integers(0, 2**256 - 1),
    gas=st.integers(21_000, 30_000_000),
    max_fee_per_gas=st.integers(10**9, 2**128),
    max_priority_fee_per_gas=st.integers(0, 10**9),
    data=st.binary(max_size=80),
)


@given(TRANSACTIONS)
async def test_bytes_and_hash_are_those_of_eth_account(transaction: EvmTransaction) -> None:
    signed = await sign_evm(SIGNER, transaction)
    fields = {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": transaction.to,
        "value": transaction.value,
        "gas": transaction.gas,
        "maxFeePerGas": transaction.max_fee_per_gas,
        "maxPriorityFeePerGas": transaction.max_priority_fee_per_gas,
        "data": transaction.data,
    }
    peer = Account.sign_transaction(fields, ANVIL_KEYS[0])
    assert signed.raw == bytes(peer.raw_transaction)
    assert signed.hash == peer.hash.to_0x_hex()


async def test_a_contract_is_made_without_a_recipient() -> None:
    signed = await sign_evm(SIGNER, replace(SOUND, to=None, data=b"\x60\x00", gas=60_000))
    assert Account.recover_transaction(signed.raw) == ANVIL_ADDRESSES[0]


def test_addresses_of_known_keys() -> None:
    for secret, address in zip(ANVIL_KEYS, ANVIL_ADDRESSES, strict=False):
        assert evm_address(PrivateKey.from_hex(secret[2:]).public_key.format()) == address


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chain_id": 0}, "chain_id is 0"),
        ({"nonce": -1}, "nonce is -1"),
        ({"nonce": 2**64 - 1}, "nonce is 18446744073709551615"),
        ({"value": -1}, "value is -1"),
        ({"value": 2**256}, "value is "),
        ({"gas": 20_999}, "gas is 20999; expected at least 21000"),
        ({"max_fee_per_gas": -1}, "max_fee_per_gas is -1"),
        ({"max_priority_fee_per_gas": 10**11 + 1}, "max_priority_fee_per_gas is 100000000001"),
        ({"to": TO.lower()}, "to is no address with a checksum"),
        ({"to": TO[:-1] + "9"}, "to is no address with a checksum"),
        ({"to": "0x"}, "to is no address with a checksum"),
        ({"to": ""}, "to is no address with a checksum"),
        ({"to": None}, "neither a recipient nor a contract"),
    ],
)
async def test_what_no_chain_would_take_is_not_signed(change: dict[str, object], words: str) -> None:
    with pytest.raises(SignerRefused, match=words):
        await sign_evm(SIGNER, replace(SOUND, **change))  # type: ignore[arg-type]


async def test_a_key_of_another_curve_signs_none() -> None:
    with pytest.raises(SignerRefused, match="is a key of ED25519"):
        await sign_evm(KeystoreSigner("evm=keystore:k", Ed25519PrivateKey.generate()), SOUND)


async def test_a_node_takes_what_kms_signed(kms_url: str) -> None:
    alias = make_key(kms_url, "ECC_SECG_P256K1")
    kms = Kms(REGION, kms_url)
    signer = KmsSigner(kms, f"evm=kms:{alias}", alias, Curve.SECP256K1)
    address = evm_address(await signer.public_key())
    async with anvil() as url:
        node = JsonRpc(url)
        await node.call("anvil_setBalance", address, hex(3 * 10**18))
        for nonce in range(2):
            signed = await sign_evm(signer, replace(SOUND, nonce=nonce))
            assert await node.call("eth_sendRawTransaction", "0x" + signed.raw.hex()) == signed.hash
            receipt = None
            while receipt is None:  # the node tells of a block a moment after it has it
                receipt = await node.call("eth_getTransactionReceipt", signed.hash)
            assert isinstance(receipt, dict)
            assert (receipt["from"].lower(), receipt["status"]) == (address.lower(), "0x1")
        await node.close()
    await kms.close()
