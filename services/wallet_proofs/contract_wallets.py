"""Contract wallets: the chain itself says whether a signature counts (ERC-1271), also for a wallet that is not deployed yet (ERC-6492).

What a contract says holds for its own chain and for now: its owners may change, and on another chain somebody else may have a contract at the same
address. So the chain belongs to the proof, and the proof is asked again before what matters (`services/wallets.py`, `recheck`).
"""

from typing import Protocol

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.errors import ChainError, ChainUnavailable, NodeRefused, NodesContradict
from models.chain import ChainEntry
from services.wallet_proofs.counterfactual_check import CODE
from services.wallet_proofs.refusals import SignatureInvalid

MAGIC_SUFFIX = bytes.fromhex("6492" * 16)
IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")
"""The selector of `isValidSignature(bytes32,bytes)`, and what it answers for yes (ERC-1271)."""
_YES = IS_VALID_SIGNATURE + bytes(28)


class ContractCalls(Protocol):
    """Asks an EVM chain, by its key in the catalogue. Raises ChainError; ChainUnavailable without reasons means that no node is configured."""

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
        """What a call would give on the newest block, without a transaction; `to` None: `data` is code that is run as a new contract's."""

    async def code(self, chain: str, address: str) -> bytes:
        """The code at an address; empty where there is no contract."""


class NoContractCalls:
    """Where no chain can be asked."""

    async def call(self, chain: str, to: str | None, data: bytes) -> bytes:  # noqa: ARG002
        raise ChainUnavailable(chain, {})

    async def code(self, chain: str, address: str) -> bytes:  # noqa: ARG002
        raise ChainUnavailable(chain, {})


def is_wrapped(signature: bytes) -> bool:
    """Whether it is a signature in ERC-6492's wrapper."""
    return signature.endswith(MAGIC_SUFFIX)


async def verify_contract(
    calls: ContractCalls,
    chain: ChainEntry,
    address: str,
    digest: bytes,
    signature: bytes,
    *,
    looks_like_key: bool = False,
) -> None:
    """Ask the contract at the address for a signature of this digest. Raises WalletRefused when it does not count, or cannot be asked.

    `looks_like_key`: the signature may as well be of a key that is not the address's. Where no node is configured it then counts as such.
    """
    try:
        accepted = await _is_accepted(calls, chain.key, address, digest, signature)
    except NodeRefused as error:  # the contract reverts, which is a way to say no
        raise _refused() from error
    except NodesContradict as error:
        text = "nodes of {chain} contradict each other; nothing is done until they agree"
        raise WalletRefused(text, {"chain": chain.name}, reason=WalletErrorCode.PROVIDER_LYING) from error
    except ChainError as error:
        if looks_like_key and isinstance(error, ChainUnavailable) and not error.reasons:
            raise SignatureInvalid(
                "the signature is not of this address's key; contract wallets of {chain} cannot be asked here",
                {"chain": chain.name},
            ) from error
        text = "no node of {chain} answers, so a contract wallet cannot be asked; try again later"
        raise WalletRefused(text, {"chain": chain.name}, reason=WalletErrorCode.PROVIDER_UNAVAILABLE) from error
    if not accepted:
        raise _refused()


async def _is_accepted(calls: ContractCalls, chain: str, address: str, digest: bytes, signature: bytes) -> bool:
    if is_wrapped(signature):
        return await _is_accepted_after_deployment(calls, chain, address, digest, signature)
    if not await calls.code(chain, address):
        raise SignatureInvalid("the signature is not of this address")
    data = IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
    return await calls.call(chain, address, data) == _YES


async def _is_accepted_after_deployment(
    calls: ContractCalls, chain: str, address: str, digest: bytes, signature: bytes
) -> bool:
    try:
        factory, factory_call, inner = decode(["address", "bytes", "bytes"], signature[: -len(MAGIC_SUFFIX)])
    except (DecodingError, ValueError, OverflowError) as error:
        raise SignatureInvalid("the signature ends as one of ERC-6492 and is none") from error
    arguments = encode(
        ["address", "bytes32", "address", "bytes", "bytes"], [address, digest, factory, factory_call, inner]
    )
    return await calls.call(chain, None, CODE + arguments) == b"\x01"


def _refused() -> WalletRefused:
    return WalletRefused(
        "the wallet's contract does not accept the signature",
        reason=WalletErrorCode.CONTRACT_WALLET_REFUSED,
        field=["signature"],
    )
