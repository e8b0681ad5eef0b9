"""What an EVM transaction does, as far as its bytes tell: coins that move, and the calls of ERC-20 and ERC-721 that move things or let others move them."""

from collections.abc import Awaitable, Callable, Sequence

from core.wallet_vocabulary import EffectKind
from events.token import TokenState
from models.prepared_transaction import EffectEntry, TokenEntry
from services.abi_arguments import AbiFunction, ResultUnreadable, results
from services.abi_types import AbiType
from services.evm_terms import Draft

Describe = Callable[[str], Awaitable[TokenState]]
"""The token of a contract, by its own words."""
_ADDRESS, _UINT, _BOOL = AbiType("address", "address"), AbiType("uint256", "uint", bits=256), AbiType("bool", "bool")
_UNLIMITED_FROM = 2**128
_UINT96 = 2**96 - 1
"""The highest number of some tokens, such as UNI, which means no limit there."""
_TRANSFER = bytes.fromhex("a9059cbb")
_TRANSFER_FROM = bytes.fromhex("23b872dd")
_APPROVE = bytes.fromhex("095ea7b3")
_INCREASE = bytes.fromhex("39509351")
_APPROVE_ALL = bytes.fromhex("a22cb465")
_KNOWN: dict[bytes, tuple[AbiType, ...]] = {
    _TRANSFER: (_ADDRESS, _UINT),
    _TRANSFER_FROM: (_ADDRESS, _ADDRESS, _UINT),
    _APPROVE: (_ADDRESS, _UINT),
    _INCREASE: (_ADDRESS, _UINT),
    _APPROVE_ALL: (_ADDRESS, _BOOL),
}
"""transfer, transferFrom, approve (EIP-20), increaseAllowance (OpenZeppelin), setApprovalForAll (EIP-721)."""


async def effects_of(coin: TokenState, draft: Draft, describe: Describe) -> list[EffectEntry]:
    """The effects, that on the chain's coin first. Raises what `describe` raises."""
    sender, to, data = draft.sender, draft.to, draft.data
    found = []
    if draft.value or not data:
        units = str(draft.value)
        found.append(EffectEntry(kind=EffectKind.TRANSFER, token=token_entry(coin), sender=sender, to=to, units=units))
    if data:
        found.append(await _of_call(sender, to, data, describe))
    return found


def counterparties(effects: Sequence[EffectEntry], to: str | None) -> list[str]:
    """Whom a transaction concerns beside its sender: who receives, who may spend; of a call that says nothing, the contract."""
    named = [each.spender or each.to for each in effects]
    return sorted({address for address in named if address is not None}) or ([to] if to is not None else [])


async def _of_call(sender: str, contract: str, data: bytes, describe: Describe) -> EffectEntry:
    values = _read(data)
    if values is None:
        return EffectEntry(kind=EffectKind.CONTRACT_CALL, sender=sender, to=contract)
    token = token_entry(await describe(contract))
    if data[:4] in (_TRANSFER, _TRANSFER_FROM):
        owner = sender if data[:4] == _TRANSFER else values[0]
        return EffectEntry(kind=EffectKind.TRANSFER, token=token, sender=owner, to=values[-2], units=values[-1])
    if data[:4] == _APPROVE_ALL:
        units, unlimited = (None, True) if values[1] else ("0", False)
    else:
        unlimited = int(values[1]) >= _UNLIMITED_FROM or int(values[1]) == _UINT96
        units = None if unlimited else values[1]
    return EffectEntry(
        kind=EffectKind.APPROVE, token=token, sender=sender, spender=values[0], units=units, unlimited=unlimited
    )


def _read(data: bytes) -> list[str] | None:
    """The arguments of a call that is known here, exactly as it must be; None for any other."""
    types = _KNOWN.get(data[:4])
    if types is None or len(data) != 4 + 32 * len(types):
        return None
    call = AbiFunction("", AbiType("()", "tuple"), AbiType("()", "tuple", parts=types), payable=False)
    try:
        return results(call, data[4:])
    except ResultUnreadable:
        return None


def token_entry(state: TokenState) -> TokenEntry:
    """A coin or token as it is kept."""
    return TokenEntry(
        chain=state.chain,
        contract=state.contract,
        symbol=state.symbol,
        name=state.name,
        decimals=state.decimals,
        asset=state.asset,
        spam=state.spam,
    )
