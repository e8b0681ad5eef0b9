"""EIP-1559 transactions of one key, on any EVM chain."""

from dataclasses import dataclass

from coincurve import PublicKey
from eth_account import Account
from eth_account.typed_transactions.dynamic_fee_transaction import DynamicFeeTransaction
from eth_utils.address import is_checksum_address, to_checksum_address
from eth_utils.crypto import keccak

from integrations.signers.base import Curve, SignedTransaction, Signer, SignerRefused, require

_UINT64 = 2**64
_UINT256 = 2**256
_INTRINSIC_GAS = 21_000


@dataclass(frozen=True, slots=True)
class EvmTransaction:
    """What is to be signed. `to`: an address with its checksum (EIP-55); None makes a contract of `data`. `value` and both fees are in wei."""

    chain_id: int
    nonce: int
    to: str | None
    value: int
    gas: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    data: bytes = b""


async def sign_evm(signer: Signer, transaction: EvmTransaction) -> SignedTransaction:
    """The transaction as `eth_sendRawTransaction` takes it (EIP-2718, type 2), and its hash.

    Raises:
        SignerRefused: a field is out of its range; nothing was signed.
        SignerError: as the signer says.
    """
    require(signer, Curve.SECP256K1)
    _check(transaction)
    fields = _fields(transaction)
    signature = await signer.sign_digest(DynamicFeeTransaction.from_dict(dict(fields)).hash())
    signed = {**fields, "v": signature.y_parity, "r": signature.r, "s": signature.s}
    raw = b"\x02" + DynamicFeeTransaction.from_dict(signed).payload()
    sender = evm_address(await signer.public_key())
    if Account.recover_transaction(raw) != sender:
        raise SignerRefused(f"the signed transaction is not of {sender}")
    return SignedTransaction(raw, "0x" + keccak(raw).hex())


def evm_address(public_key: bytes) -> str:
    """The address of a compressed secp256k1 key, with its checksum (EIP-55)."""
    return to_checksum_address(keccak(PublicKey(public_key).format(compressed=False)[1:])[-20:])


def _fields(transaction: EvmTransaction) -> dict[str, object]:
    return {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "maxPriorityFeePerGas": transaction.max_priority_fee_per_gas,
        "maxFeePerGas": transaction.max_fee_per_gas,
        "gas": transaction.gas,
        "to": transaction.to or b"",
        "value": transaction.value,
        "data": transaction.data,
        "accessList": (),
    }


def _check(transaction: EvmTransaction) -> None:
    """Raises SignerRefused for a field that no chain would take (EIP-1559; EIP-2681 of nonces)."""
    bounds = (
        ("chain_id", transaction.chain_id, 1, _UINT64),
        ("nonce", transaction.nonce, 0, _UINT64 - 1),
        ("value", transaction.value, 0, _UINT256),
        ("gas", transaction.gas, _INTRINSIC_GAS, _UINT64),
        ("max_fee_per_gas", transaction.max_fee_per_gas, 0, _UINT256),
        ("max_priority_fee_per_gas", transaction.max_priority_fee_per_gas, 0, transaction.max_fee_per_gas + 1),
    )
    for name, number, least, end in bounds:
        if not least <= number < end:
            raise SignerRefused(f"{name} is {number}; expected at least {least} and less than {end}")
    if transaction.to is not None and not is_checksum_address(transaction.to):
        raise SignerRefused("to is no address with a checksum")
    if transaction.to is None and not transaction.data:
        raise SignerRefused("there is neither a recipient nor a contract to make")
