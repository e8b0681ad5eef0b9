"""What a call of LI.FI's contract does, read from the call itself, so that nobody has to believe what is said of it.

The contract (https://github.com/lifinance/contracts, an EIP-2535 diamond) is one and the same on the chains here. Swaps on one chain are its
GenericSwapFacet and GenericSwapFacetV3, which enforce receiver and minimum themselves. Calls of bridges all begin with `ILiFi.BridgeData`, followed by the
swaps before the bridge if there are any; what follows differs by bridge and is not read.
"""

from collections.abc import Sequence
from typing import NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from integrations.swaps.base import SwapAsk, SwapUntrue
from integrations.swaps.fields import NOBODY

DIAMOND = "0x1231DEB6f5749EF6cE6943a275A1D3E7486F4EaE"
"""On Ethereum, Polygon and BNB Smart Chain, as on most (https://docs.li.fi/smart-contracts/deployments-contract-addresses)."""
_SWAP = "(address,address,address,address,uint256,bytes,bool)"
_HEAD = ("bytes32", "string", "string", "address", "uint256")
_BRIDGE = "(bytes32,string,string,address,address,address,uint256,uint256,bool,bool)"
_WAYS = ("ERC20ToERC20", "ERC20ToNative", "NativeToERC20")


def _selector(name: str, swaps: str) -> bytes:
    return keccak(text=f"{name}({','.join(_HEAD)},{swaps})")[:4]


SINGLE = frozenset(_selector(f"swapTokensSingleV3{way}", _SWAP) for way in _WAYS)
MULTIPLE = frozenset(
    {
        *(_selector(f"swapTokensMultipleV3{way}", f"{_SWAP}[]") for way in _WAYS),
        _selector("swapTokensGeneric", f"{_SWAP}[]"),
    }
)


class _Swap(NamedTuple):
    """LibSwap.SwapData. `deposits`: the contract takes `amount` of what is sold from whoever calls."""

    call_to: str
    approve_to: str
    sold: str
    bought: str
    amount: int
    data: bytes
    deposits: bool


class _Bridge(NamedTuple):
    """ILiFi.BridgeData."""

    id: bytes
    bridge: str
    integrator: str
    referrer: str
    sent: str
    receiver: str
    amount: int
    chain: int
    has_swaps: bool
    has_call: bool


def check_call(ask: SwapAsk, minimum_out: int, data: bytes) -> None:
    """Raises SwapUntrue when the call takes more or something else, or does not pay at least the minimum to the asked address."""
    try:
        if ask.from_chain == ask.to_chain:
            _check_swap(ask, minimum_out, data)
        else:
            _check_bridge(ask, data)
    except (DecodingError, OverflowError, UnicodeDecodeError):
        raise SwapUntrue("its call is none that can be read") from None


def _check_swap(ask: SwapAsk, minimum_out: int, data: bytes) -> None:
    selector, arguments = data[:4], data[4:]
    if selector in SINGLE:
        *_, receiver, minimum, swap = decode([*_HEAD, _SWAP], arguments)
        swaps = [_Swap(*swap)._replace(deposits=True)]
    elif selector in MULTIPLE:
        *_, receiver, minimum, found = decode([*_HEAD, f"{_SWAP}[]"], arguments)
        swaps = [_Swap(*each) for each in found]
        swaps = [swaps[0]._replace(deposits=True), *swaps[1:]] if swaps else []
    else:
        raise SwapUntrue("its call is no swap")
    _require_deposits(ask, swaps)
    _require(swaps[-1].bought, ask.to_token or NOBODY, "its call buys another token")
    _require(receiver, ask.address, "its call pays somebody else")
    if minimum < minimum_out:
        raise SwapUntrue("its call accepts less than it says")


def _check_bridge(ask: SwapAsk, data: bytes) -> None:
    if data[:4] in SINGLE | MULTIPLE:
        raise SwapUntrue("its call stays on one chain")
    bridge = _Bridge(*decode([_BRIDGE], data[4:])[0])
    if bridge.has_call:
        raise SwapUntrue("its call hands what arrives to a contract, and not to the asked address")
    _require(bridge.receiver, ask.address, "its call pays somebody else")
    if bridge.chain != ask.to_chain:
        raise SwapUntrue("its call goes to another chain")
    if bridge.has_swaps:
        swaps = [_Swap(*each) for each in decode([_BRIDGE, f"{_SWAP}[]"], data[4:])[1]]
        _require_deposits(ask, swaps)
        _require(swaps[-1].bought, bridge.sent, "its call bridges another token than it buys")
        return
    _require(bridge.sent, ask.from_token or NOBODY, "its call takes another token")
    if bridge.amount > ask.amount:
        raise SwapUntrue("its call takes more than it says")


def _require_deposits(ask: SwapAsk, swaps: Sequence[_Swap]) -> None:
    """Allowances that were given for something else must stay out of reach."""
    taken = [swap for swap in swaps if swap.deposits]
    if not taken:
        raise SwapUntrue("its call takes nothing")
    for swap in taken:
        _require(swap.sold, ask.from_token or NOBODY, "its call takes another token")
    if sum(swap.amount for swap in taken) > ask.amount:
        raise SwapUntrue("its call takes more than it says")


def _require(found: str, wanted: str, otherwise: str) -> None:
    if to_checksum_address(found) != to_checksum_address(wanted):
        raise SwapUntrue(otherwise)
