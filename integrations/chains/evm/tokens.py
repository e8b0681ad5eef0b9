"""What an ERC-20 token says of itself (EIP-20): anything it likes, which is why the texts are not to be believed."""

from dataclasses import dataclass

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from integrations.chains.evm.holdings import ContractCall, read_all, uint_in
from integrations.chains.json_rpc import JsonRpc

_NAME, _SYMBOL, _DECIMALS = bytes.fromhex("06fdde03"), bytes.fromhex("95d89b41"), bytes.fromhex("313ce567")
_MOST_DECIMALS = 77
"""Digits of the largest number that a balance can be."""
_MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class TokenWords:
    """Texts as the contract gives them, empty where it gives none; `decimals` None: it does not tell, or nonsense."""

    symbol: str
    name: str
    decimals: int | None


async def token_words(node: JsonRpc, contract: str, *, multicall: str | None, at: str = "latest") -> TokenWords:
    """As of the block of this hash, or of the newest one. Raises ProviderFailed."""
    calls = [ContractCall(contract, selector) for selector in (_SYMBOL, _NAME, _DECIMALS)]
    symbol, name, decimals = await read_all(node, calls, multicall=multicall, at=at)
    found = uint_in(decimals)
    return TokenWords(_text(symbol), _text(name), found if found is not None and found <= _MOST_DECIMALS else None)


def _text(answer: bytes | None) -> str:
    """A string, or the bytes32 that some early tokens give instead."""
    if answer is None or len(answer) > _MOST_TEXT:
        return ""
    if len(answer) == 32:
        return answer.rstrip(b"\0").decode(errors="replace")
    try:
        (raw,) = decode(["bytes"], answer)
    except (DecodingError, OverflowError):
        return ""
    return bytes(raw).decode(errors="replace")
