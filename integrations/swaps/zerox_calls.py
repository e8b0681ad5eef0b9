"""What a call of 0x's AllowanceHolder does, read from the call itself (https://github.com/0xProject/0x-settler).

`AllowanceHolder.exec` lends what may be taken to a Settler contract and calls it; `Settler.execute` trades, and then pays at least the minimum to the
recipient. Settlers are replaced every few weeks, and whoever names another contract as one can take the amount: so the registry of the chain has to be
asked whether it is genuine.
"""

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from integrations.swaps.base import SwapAsk, SwapUntrue
from integrations.swaps.fields import NATIVE, NOBODY

ALLOWANCE_HOLDER = "0x0000000000001fF3684f28c67538d4D072C22734"
"""On chains with the Cancun rules, such as Ethereum, Polygon and BNB Smart Chain. Nothing else of 0x ever needs an allowance."""
REGISTRY = "0x00000000000004533Fe15556B1E086BB1A72cEae"
"""Says which Settler is current: `ownerOf(feature)`, and which was before it, since quotes lag behind: `prev(feature)`."""
TAKER_SUBMITTED = 2
"""The feature of Settlers that whoever swaps calls."""
_EXEC = keccak(text="exec(address,address,uint256,address,bytes)")[:4]
_EXEC_ARGUMENTS = ("address", "address", "uint256", "address", "bytes")
_EXECUTE = keccak(text="execute((address,address,uint256),bytes[],bytes32)")[:4]
_EXECUTE_ARGUMENTS = ("(address,address,uint256)", "bytes[]", "bytes32")


def registry_questions() -> tuple[bytes, bytes]:
    """Calls of the registry whose answers are the genuine Settlers."""
    feature = TAKER_SUBMITTED.to_bytes(32, "big")
    return keccak(text="ownerOf(uint256)")[:4] + feature, keccak(text="prev(uint128)")[:4] + feature


def check_call(ask: SwapAsk, minimum_out: int, data: bytes) -> str:
    """The Settler that is called. Raises SwapUntrue when it gets more or something else, or need not pay the minimum to the asked address."""
    try:
        if data[:4] != _EXEC:
            raise SwapUntrue("its call is no swap")
        operator, token, amount, target, inner = decode(_EXEC_ARGUMENTS, data[4:])
        if inner[:4] != _EXECUTE:
            raise SwapUntrue("its call is no swap")
        (recipient, bought, minimum), _, _ = decode(_EXECUTE_ARGUMENTS, inner[4:])
    except (DecodingError, OverflowError):
        raise SwapUntrue("its call is none that can be read") from None
    if operator != target:
        raise SwapUntrue("its call lends what it takes to another contract than it calls")
    if to_checksum_address(token) not in ((NOBODY, NATIVE) if ask.from_token is None else (ask.from_token,)):
        raise SwapUntrue("its call takes another token")
    if amount > ask.amount:
        raise SwapUntrue("its call takes more than it says")
    if to_checksum_address(recipient) != ask.address:
        raise SwapUntrue("its call does not say that it pays the asked address")
    if to_checksum_address(bought) != (ask.to_token or NATIVE):
        raise SwapUntrue("its call buys another token")
    if minimum < minimum_out:
        raise SwapUntrue("its call accepts less than it says")
    return str(to_checksum_address(target))
