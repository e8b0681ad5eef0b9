"""What an EVM transaction will cost and whether its sender can pay for it, as of now."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.refusals import WalletRefused
from core.wallet_vocabulary import FeeSpeed, WalletErrorCode
from events.chain import FeeOffer
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import PENDING, EvmClient
from integrations.chains.evm.errors import Refusal, meaning
from services.chains import GWEI_DIGITS, Chains

MARGIN_PERCENT = 25
"""Gas beyond what the simulation took."""
PLAIN_GAS = 21_000
"""Of a transfer of coins to an address without code: exactly this, without a margin (Ethereum's Yellow Paper, appendix G)."""
UNSIMULATED_GAS = 500_000
"""Where the simulation fails, and a person may want to sign all the same."""
_COIN_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be sent; `value` in wei."""

    sender: str
    to: str
    value: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """`max_fee` and `priority` in wei for a unit of gas, `priority` None without EIP-1559; `reverts`: the simulation failed."""

    gas: int
    max_fee: int
    priority: int | None
    nonce: int
    balance: int
    reverts: bool = False

    @property
    def fee(self) -> int:
        """The most it can cost, in wei."""
        return self.gas * self.max_fee


async def terms_of(chains: Chains, client: EvmClient, draft: Draft, speed: FeeSpeed) -> Terms:
    """The terms. Raises ChainError, and WalletRefused where the chain has no nodes or the sender has less than `value`."""
    offers = await chains.fees(client.key)
    if offers is None:
        text = "this server has no node of this chain"
        raise WalletRefused(text, reason=WalletErrorCode.PROVIDER_UNAVAILABLE)
    by_speed: Mapping[FeeSpeed, FeeOffer] = {
        FeeSpeed.SLOW: offers.slow,
        FeeSpeed.STANDARD: offers.standard,
        FeeSpeed.FAST: offers.fast,
    }
    offer = by_speed[speed]
    balance = await client.balance(draft.sender)
    if draft.value > balance:
        raise too_little(balance, draft.value, _COIN_DIGITS)
    gas, reverts = await _gas(client, draft)
    return Terms(
        gas=gas,
        max_fee=_wei(offer.most or Decimal(0)),
        priority=None if offer.priority is None else _wei(offer.priority),
        nonce=await client.nonce(draft.sender, at=PENDING),
        balance=balance,
        reverts=reverts,
    )


def require_fee(terms: Terms, value: int) -> None:
    """Raises WalletRefused with INSUFFICIENT_GAS when the sender cannot pay the fee on top of `value`."""
    needed = value + terms.fee
    if needed > terms.balance:
        text = "the sender has too little of the chain's own coin to pay the fee as well"
        raise WalletRefused(
            text,
            reason=WalletErrorCode.INSUFFICIENT_GAS,
            field=["from"],
            limit=whole(terms.balance, _COIN_DIGITS),
            actual=whole(needed, _COIN_DIGITS),
        )


def too_little(has: int, needs: int, digits: int) -> WalletRefused:
    """The refusal for an amount that the sender does not have."""
    text = "the sender does not have so much"
    return WalletRefused(
        text,
        reason=WalletErrorCode.INSUFFICIENT_FUNDS,
        field=["amount"],
        limit=whole(has, digits),
        actual=whole(needs, digits),
    )


def whole(units: int, digits: int) -> Decimal:
    """An amount of smallest units in whole ones, exactly."""
    return Decimal((0, tuple(map(int, str(units))), -digits))


async def _gas(client: EvmClient, draft: Draft) -> tuple[int, bool]:
    try:
        gas = await client.estimate_gas(draft.sender, draft.to, draft.data, draft.value)
    except NodeRefused as refused:
        if meaning(refused).kind in (Refusal.REVERTED, Refusal.OTHER):
            return UNSIMULATED_GAS, True
        raise
    if gas == PLAIN_GAS and not draft.data:
        return gas, False
    return gas * (100 + MARGIN_PERCENT) // 100, False


def _wei(gwei: Decimal) -> int:
    return int(gwei.scaleb(GWEI_DIGITS))
