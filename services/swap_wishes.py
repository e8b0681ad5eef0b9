"""What is asked of a swap, checked in the order in which refusals are told; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode as Code
from events.token import TokenState
from integrations.swaps.base import SwapAsk
from models.chain import ChainEntry
from services.catalogue import Catalogue
from services.chain_addresses import payable_address

DEFAULT_SLIPPAGE = Decimal("0.005")
MOST_SLIPPAGE = Decimal("0.05")
_BASIS_POINT = Decimal("0.0001")
_MOST_UNITS = 10**34
"""More digits cannot be stored."""


@dataclass(frozen=True, slots=True)
class SwapWish:
    """As it was typed. Tokens by contract, or by the symbol of one that the catalogue vouches for."""

    from_chain: str
    to_chain: str
    from_token: str
    to_token: str
    amount: Decimal
    address: str
    max_slippage: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CheckedWish:
    """What can be asked for; `ask` says the same in an aggregator's terms."""

    from_chain: ChainEntry
    to_chain: ChainEntry
    from_token: TokenState
    to_token: TokenState
    amount: Decimal
    ask: SwapAsk


def checked(catalogue: Catalogue, wish: SwapWish) -> CheckedWish:
    """The wish. Raises WalletRefused."""
    from_chain, from_id = _chain(catalogue, wish.from_chain, "fromChain")
    to_chain, to_id = _chain(catalogue, wish.to_chain, "toChain")
    from_token = _token(catalogue, from_chain, wish.from_token, "from")
    to_token = _token(catalogue, to_chain, wish.to_token, "to")
    if from_token == to_token:
        text = "name another token than the one that is sold"
        raise WalletRefused(text, reason=Code.INVALID_INPUT, field=["to"])
    ask = SwapAsk(
        from_chain=from_id,
        to_chain=to_id,
        from_token=from_token.contract,
        to_token=to_token.contract,
        amount=_units(wish.amount, from_token),
        address=payable_address(from_chain, wish.address),
        slippage_bps=_basis_points(DEFAULT_SLIPPAGE if wish.max_slippage is None else wish.max_slippage),
    )
    return CheckedWish(from_chain, to_chain, from_token, to_token, wish.amount, ask)


def _chain(catalogue: Catalogue, key: str, field: str) -> tuple[ChainEntry, int]:
    chain = catalogue.chains.get(key)
    if chain is None:
        text = "there is no such chain here; `chains` lists those that there are"
        raise WalletRefused(text, reason=Code.UNKNOWN_CHAIN, field=[field])
    if chain.family is not ChainFamily.EVM or chain.chain_id is None:
        text = "this is possible on EVM chains only, such as ethereum"
        raise WalletRefused(text, reason=Code.NOT_ENABLED, field=[field])
    return chain, chain.chain_id


def _token(catalogue: Catalogue, chain: ChainEntry, name: str, field: str) -> TokenState:
    tokens: Sequence[TokenState] = tuple(catalogue.tokens[chain.key].values())
    wanted = name.lower()
    found = [token for token in tokens if token.contract is not None and token.contract.lower() == wanted]
    found = found or [token for token in tokens if token.symbol == name]
    if len(found) != 1:
        text = "there is no such token on this chain here; name it by its contract or, as listed, its symbol"
        raise WalletRefused(text, reason=Code.UNKNOWN_ASSET, field=[field])
    return found[0]


def _units(amount: Decimal, token: TokenState) -> int:
    units = amount.scaleb(token.decimals)
    if amount <= 0 or units != units.to_integral_value() or units >= _MOST_UNITS:
        text = "expected an amount above 0 with at most {digits} digits after the point"
        raise WalletRefused(text, {"digits": token.decimals}, reason=Code.AMOUNT_INVALID, field=["amount"])
    return int(units)


def _basis_points(slippage: Decimal) -> int:
    if not 0 < slippage <= MOST_SLIPPAGE or slippage % _BASIS_POINT:
        text = "expected a part of one from 0.0001 to 0.05, in steps of 0.0001"
        raise WalletRefused(
            text, reason=Code.INVALID_INPUT, field=["maxSlippage"], limit=MOST_SLIPPAGE, actual=slippage
        )
    return int(slippage / _BASIS_POINT)
